#include <hlip/backend/cpu.hpp>
#include <hlip/eval/class_tokens.hpp>

#include "../io/temp_folder.hpp"

#include <doctest/doctest.h>

using namespace hlip;

namespace {
void write_features(const std::string& path, const std::string& encoder, float first) {
  FeatureFile f;
  f.encoder = encoder, f.files = {"one.png", "two.png"};
  f.width = 2, f.cls = {first, 2, 3, 4};
  write_feature_file(path, f);
}
}  // namespace

TEST_CASE("read_class_tokens: in the order of the table, encoders of one name are told apart") {
  const TempFolder dir;
  const std::string a = dir / "a.safetensors", b = dir / "b.safetensors", csv = dir / "t.csv";
  write_features(a, "tiny", 1), write_features(b, "tiny", 9);
  atomic_write(csv, "image\ntwo.png\none.png\n");
  const PictureTable table = read_picture_table(csv);
  const auto encoders = read_class_tokens({a, b}, table);
  REQUIRE(encoders.size() == 2);
  CHECK(encoders[0].encoder == "tiny");
  CHECK(encoders[1].encoder == "tiny (" + b + ")");
  CHECK(encoders[0].width == 2);
  CHECK(encoders[0].values == std::vector<float>{3, 4, 1, 2});
  CHECK(encoders[1].values == std::vector<float>{3, 4, 9, 2});
  CHECK_THROWS_WITH_AS(read_class_tokens({a, b, b}, table), doctest::Contains("is given twice"),
                       error);
  CHECK(read_class_tokens({}, table).empty());
}

TEST_CASE("ClassTokens: some rows as a tensor, in the order asked for") {
  const ClassTokens tokens{"tiny", 2, {1, 2, 3, 4, 5, 6}};
  const auto x = tokens.of_rows<double, Cpu>({2, 0});
  CHECK(x.shape() == Shape{2, 2});
  CHECK(x.to_vector() == std::vector<double>{5, 6, 1, 2});
  CHECK(tokens.of_rows<float, Cpu>({}).shape() == Shape{0, 2});
  CHECK_THROWS_WITH_AS((tokens.of_rows<float, Cpu>({3})),
                       doctest::Contains("class_tokens: row 3, but there are 3"), error);
}
