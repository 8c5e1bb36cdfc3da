// Structures by name, and the masks that tables name for them.
#include "../io/temp_folder.hpp"
#include "../support/errors.hpp"

#include <doctest/doctest.h>
#include <hlip/datasets/chest_xray/masks.hpp>
#include <hlip/io/png.hpp>

using namespace hlip;

namespace {

bool refuses(std::string_view part, const std::string& message) {
  if (message.find(part) != message.npos) return true;
  MESSAGE(message);
  return false;
}
/// A folder with a picture of 20 x 32 and masks of it.
struct Masks {
  TempFolder folder;
  Radiograph picture;
  RadiographPreparation preparation;

  Masks() {
    preparation.shorter_side = preparation.crop = 20;
    picture = {20, 32, 8, std::vector<std::uint16_t>(640), {0, 255}, {}, "picture.png"};
  }
  /// @param level called as level(y, x)
  template <class Level> std::string write(const std::string& name, Level level, index_t h = 20) {
    std::vector<std::uint8_t> pixels;
    for (index_t y = 0; y < h; ++y)
      for (index_t x = 0; x < 32; ++x) pixels.push_back(static_cast<std::uint8_t>(level(y, x)));
    const std::string path = folder / name;
    atomic_write(path, encode_grey_png(pixels, 32, static_cast<std::size_t>(h)));
    return path;
  }
  PictureMasks read(const std::vector<std::string>& files, const char* structures) {
    return read_masks(picture, files, mask_structures(structures), preparation);
  }
};

}  // namespace

TEST_CASE("mask structures: columns, several columns, label masks; written as they are read") {
  const std::string text = "ribs,lungs=right_lung+left_lung,zones:6,heart=all:3";
  const auto all = mask_structures(text);
  REQUIRE(all.size() == 4);
  CHECK(all[0] == MaskStructure{"ribs", {"ribs"}, 0});
  CHECK(all[1] == MaskStructure{"lungs", {"right_lung", "left_lung"}, 0});
  CHECK(all[2] == MaskStructure{"zones", {"zones"}, 6});
  CHECK(all[3] == MaskStructure{"heart", {"all"}, 3});
  CHECK(all[1].class_name(1) == "left_lung");
  CHECK(all[2].class_name(5) == "zones 6");
  CHECK(class_count(all) == 12);
  std::string again;
  for (const auto& s : all) again += (again.empty() ? "" : ",") + s.text();
  CHECK(again == text);
}

TEST_CASE("mask structures: what is none") {
  for (const char* text : {"", "a,", "=a", "a=", "a+b", "a=b+", "z:0", "z:256", "z:x", "z:", ":3",
                           "a=b+c:2", "a,a", "a:200,b:200", "../a", "a/b=c", ".=c"})
    CHECK_MESSAGE(test::error_of([&] { mask_structures(text); }).starts_with("classes: "), text);
}

TEST_CASE("masks: cut about the centre as their picture is, each class by itself") {
  Masks m;
  const auto left = m.write("left.png", [](index_t, index_t x) { return x < 16 ? 255 : 0; });
  const auto labels = m.write("labels.png", [](index_t y, index_t) { return y / 7; });  // 0, 1, 2
  const auto read = m.read({left, labels, ""}, "left,rows:2,none");
  REQUIRE(read.levels.size() == 4 * 400);
  CHECK(read.known == std::vector<char>{1, 1, 1, 0});
  for (std::size_t y = 0; y < 20; ++y)
    for (std::size_t x = 0; x < 20; ++x) {
      REQUIRE(read.levels[y * 20 + x] == (x < 10 ? 255 : 0));
      REQUIRE(read.levels[400 + y * 20 + x] == (y / 7 == 1 ? 255 : 0));
      REQUIRE(read.levels[800 + y * 20 + x] == (y / 7 == 2 ? 255 : 0));
      REQUIRE(read.levels[1200 + y * 20 + x] == 0);
    }
  CHECK(m.read({}, "left").known == std::vector<char>{0});
  m.preparation.shorter_side = m.preparation.crop = 10;
  const auto small = m.read({left}, "left");
  CHECK(std::count(small.levels.begin(), small.levels.end(), 255) == 50);
}

TEST_CASE("masks: of another size, with other values, unreadable: the file is named") {
  Masks m;
  const auto fault = [&](const std::string& file, const char* structures) {
    return test::error_of([&] { m.read({file}, structures); });
  };
  const auto one = [](index_t y, index_t x) { return y == 3 && x == 4 ? 7 : y > 10 ? 255 : 0; };
  CHECK(refuses("short.png: is a mask of 10 x 32 pixels, its picture picture.png has 20 x 32",
                fault(m.write("short.png", one, 10), "a")));
  CHECK(refuses("two.png: row 11, column 0: is 255, and 7 was met before: the mask of one class",
                fault(m.write("two.png", one), "a")));
  CHECK(refuses("two.png: row 3, column 4: is 7, expected 0 to 6, the labels of the classes",
                fault(m.write("two.png", one), "a:6")));
  CHECK(refuses("gone.png", fault(m.folder / "gone.png", "a")));
  atomic_write(m.folder / "text.png", "no picture");
  CHECK(refuses("text.png: byte 0: is neither PNG", fault(m.folder / "text.png", "a")));
}

TEST_CASE("masks: a table's columns name them; empty is not known, absent files are one problem") {
  Masks m;
  const auto none = [](index_t, index_t) { return 0; };
  for (const char* name : {"p.png", "q.png", "m.png"}) m.write(name, none);
  atomic_write(m.folder / "table.csv", "image,a,b\np.png,m.png,\nq.png,lost.png,gone.png\n");
  const RadiographTable table = read_radiograph_table(m.folder / "table.csv");
  Problems problems;
  const auto files = mask_files(table, mask_structures("both=a+b"), problems);
  CHECK(files == std::vector<std::vector<std::string>>{{m.folder / "m.png", ""}, {"", ""}});
  REQUIRE(problems.size() == 1);
  CHECK(
      refuses("table.csv: 2 masks are not there, the first is \"lost.png\" (line 3", problems[0]));
  CHECK(refuses("c", test::error_of([&] { mask_files(table, mask_structures("c"), problems); })));
}
