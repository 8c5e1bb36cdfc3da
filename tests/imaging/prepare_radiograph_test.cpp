// Preparation of radiographs: sizes, what is refused, preprocessor_config.json, and the pixels of
// the published package.
#include "../io/temp_folder.hpp"
#include "../support/errors.hpp"

#include <doctest/doctest.h>
#include <hlip/imaging/preprocessor_config.hpp>
#include <hlip/imaging/read_radiograph.hpp>
#include <hlip/io/safetensors.hpp>

#include <filesystem>

using namespace hlip;

namespace {

Radiograph slope_picture(index_t height, index_t width) {
  Radiograph x{height, width};
  for (index_t i = 0; i < height * width; ++i)
    x.levels.push_back(
        static_cast<std::uint16_t>(i % width * 255 / std::max<index_t>(width - 1, 1)));
  return x;
}

const char* const published_config = R"({
  "crop_size": {"height": 112, "width": 112}, "do_center_crop": true, "do_convert_rgb": true,
  "do_normalize": true, "do_rescale": true, "do_resize": true,
  "image_mean": [0.5307, 0.5307, 0.5307], "image_std": [0.2583, 0.2583, 0.2583],
  "image_processor_type": "BitImageProcessor", "resample": 3,
  "rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 126}, "device": null})";

/// The message about the published configuration with one piece replaced.
std::string config_fault(const std::string& from, const std::string& to) {
  const TempFolder folder;
  std::string text = published_config;
  text.replace(text.find(from), from.size(), to);
  atomic_write(folder / "p.json", text);
  std::string message = test::error_of([&] { radiograph_preparation_from(folder / "p.json"); });
  const auto at = message.find("p.json: ");
  return at == message.npos ? message : message.substr(at + 8);
}

}  // namespace

TEST_CASE("prepare_radiograph: the middle of the longer side, three equal channels, normalised") {
  RadiographPreparation p;
  p.shorter_side = p.crop = 40;
  for (const auto& [h, w] : {std::pair{60, 90}, std::pair{90, 60}, std::pair{40, 40}}) {
    const auto x = prepare_radiograph(slope_picture(h, w), p);
    REQUIRE(x.shape() == Shape{3, 40, 40});
    CHECK(x.select(0, 0).to_vector() == x.select(0, 2).to_vector());
    // grey in the middle, and darker to the left of it than at its right
    CHECK(x.at({0, 20, 20}) == doctest::Approx((0.5 - 0.5307) / 0.2583).epsilon(0.15));
    CHECK(x.at({0, 20, 0}) < x.at({0, 20, 39}));
  }
  CHECK(prepare_radiograph(slope_picture(60, 90)).shape() == Shape{3, 518, 518});
  const auto wide = centre_of_radiograph(slope_picture(60, 90), p);
  CHECK(int{wide.levels[0]} == 255 * 10 / 60 + 1);  // 10 of 60 columns are cut off
}

TEST_CASE("prepare_radiograph: what is no picture of a chest is refused, a narrow strip is not") {
  auto x = slope_picture(1, 1);
  x.source = "dot.png";
  CHECK(test::error_of([&] { prepare_radiograph(x); }) ==
        "dot.png: a picture of 1 x 1 pixels, expected at least 16 a side");
  CHECK(test::error_of([] {
          prepare_radiograph(slope_picture(15, 900));
        }).starts_with("radiograph: a picture of 15 x 900"));
  RadiographPreparation p;
  CHECK(prepare_radiograph(slope_picture(16, 20000), p).shape() == Shape{3, 518, 518});
  CHECK(prepare_radiograph(slope_picture(16, 16), p).shape() == Shape{3, 518, 518});
  p.least_side = 1;
  CHECK(prepare_radiograph(slope_picture(1, 1), p).at({2, 517, 0}) ==
        doctest::Approx(-0.5307 / 0.2583));
  p.crop = 600;
  CHECK(test::error_of([&] {
          prepare_radiograph(slope_picture(99, 99), p);
        }).starts_with("radiograph preparation: a crop of 600 from a shorter side of 518"));
  p.crop = 100;
  p.levels.std[1] = 0;
  CHECK(test::error_of([&] {
          prepare_radiograph(slope_picture(99, 99), p);
        }).starts_with("normalize: "));
  CHECK(test::error_of([] {
          prepare_radiograph(Radiograph{50, 50});
        }).starts_with("to_byte_picture: 0 levels"));
}

TEST_CASE("preprocessor_config.json: read, and refused where it says what hlip does not do") {
  const TempFolder folder;
  atomic_write(folder / "p.json", published_config);
  RadiographPreparation want;
  want.shorter_side = 126, want.crop = 112;
  want.levels.rescale = 0.00392156862745098;
  CHECK(radiograph_preparation_from(folder / "p.json") == want);
  CHECK(config_fault("\"resample\": 3", "\"resample\": 2") == "no error");
  CHECK(config_fault("{\"height\": 112, \"width\": 112}", "112") == "no error");

  const auto says = [](const std::string& message, std::string_view part) {
    if (message.starts_with(part)) return true;
    MESSAGE(message);
    return false;
  };
  CHECK(says(config_fault("\"do_resize\": true", "\"do_resize\": false"), "do_resize: is false"));
  CHECK(
      says(config_fault("\"device\": null", "\"device\": \"cuda\""), "device: is \"cuda\", which"));
  CHECK(says(config_fault("\"resample\": 3", "\"resample\": 1"), "resample: is 1, expected 3"));
  CHECK(says(config_fault("BitImageProcessor", "ViTImageProcessor"), "image_processor_type: is "));
  CHECK(says(config_fault("\"shortest_edge\"", "\"longest_edge\""), "size: is {\"longest_edge\""));
  CHECK(says(config_fault("\"height\": 112", "\"height\": 113"), "crop_size: is {"));
  CHECK(says(config_fault("\"height\": 112, \"width\": 112", "\"height\": 0, \"width\": 0"),
             "crop_size: is 0"));
  CHECK(says(config_fault(": 126", ": 100"), "radiograph preparation: a crop of 112"));
  CHECK(says(config_fault("\"image_mean\"", "\"image_mode\""), "image_mode: is ["));
  CHECK(says(config_fault("[0.2583, 0.2583, 0.2583]", "[0.2583]"), "image_std: is [0.2583]"));
  CHECK(says(config_fault("[0.2583, 0.2583, 0.2583]", "[0, 0, 0]"), "normalize: "));
  CHECK(says(config_fault("[0.2583, 0.2583, 0.2583]", "[1, 1, \"1\"]"), "image_std: is \"1\""));
  CHECK(says(config_fault("\"resample\": 3,", ""), "resample: is absent"));
}

TEST_CASE("prepare_radiograph: the pixels of the published package, to half a grey level") {
  const char* set = std::getenv("HLIP_SHARED");
  const auto shared = set ? std::string(set) : std::string(HLIP_SOURCE_DIR) + "/../shared";
  const auto folder = shared + "/golden/rad_dino_hf/";
  if (!std::filesystem::exists(folder)) {
    MESSAGE("skipped: the shared data are absent (set HLIP_SHARED)");
    return;
  }
  const SafetensorsFile file(folder + "expected.safetensors");
  const auto p = radiograph_preparation_from(folder + "model/preprocessor_config.json");
  const Json config = parse_json(file.metadata("config"), "config");
  index_t k = 0;
  for (const auto& image : config["images"]) {
    const auto path = shared + "/data/cxr/images/" + image["file"].get<std::string>();
    CAPTURE(path);
    const auto x = prepare_radiograph(read_radiograph(path), p);
    const auto name = fmt::format("output.image{}", k++);
    const auto want = file.values<double>(name + ".pixels"),
               sums = file.values<double>(name + ".sums");
    double worst = 0, sum = 0, squares = 0;
    std::size_t at = 0;
    for (index_t r = 0; r < p.crop; r += 7)
      for (index_t c = 0; c < p.crop; c += 7)
        worst = std::max(worst, std::abs(want.at(at++) - double{x.at({0, r, c})}));
    for (const double v : x.to_vector()) sum += v, squares += v * v;
    CHECK(at == want.size());
    CHECK(worst < 0.0076);
    CHECK(sum == doctest::Approx(sums[0]).epsilon(1e-4));
    CHECK(squares == doctest::Approx(sums[1]).epsilon(1e-5));
  }
  CHECK(k > 0);
}
