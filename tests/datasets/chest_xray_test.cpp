#include "../io/temp_folder.hpp"
#include "../support/errors.hpp"

#include <hlip/datasets/chest_xray/table.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace hlip;
using test::error_of;

namespace {

void write(const std::string& path, std::string_view text = "picture") {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  atomic_write(path, text);
}

bool has(const std::string& message, std::string_view part) {
  if (message.find(part) != std::string::npos) return true;
  MESSAGE(message);
  return false;
}

}  // namespace

TEST_CASE("radiograph table: paths count from the table's folder, other columns are kept") {
  const TempFolder folder;
  write(folder / "set/images/a.png");
  write(folder / "set/b.JPG");
  write(folder / "far.dcm");
  write(folder / "set/table.csv",
        "sex,image,Effusion,report\nF,images/a.png,1,\"A, b\nc\"\nM,b.JPG,0,x\nM," +
            (folder / "far.dcm") + ",-1,\n");
  const auto all = read_radiograph_table(folder / "set/table.csv");
  expect_no_problems(all);
  REQUIRE(all.size() == 3);
  CHECK(all.images[0] == folder / "set/images/a.png");
  CHECK(all.names[0] == "images/a.png");
  CHECK(all.images[1] == folder / "set/b.JPG");
  CHECK(all.images[2] == folder / "far.dcm");
  CHECK(all.text(0, "report") == "A, b\nc");
  CHECK(all.text(1, "sex") == "M");
  CHECK(all.has("Effusion"));
  CHECK_FALSE(all.has("effusion"));
  CHECK(has(error_of([&] { all.text(0, "age"); }), "column age is absent"));
}

TEST_CASE("radiograph table: a column of another name holds the pictures") {
  const TempFolder folder;
  write(folder / "t.csv", "Path,view\nx/y.png,PA\n");
  const auto all = read_radiograph_table(folder / "t.csv",
                                         {.image_column = "Path", .check_files = false});
  CHECK(all.problems.empty());
  CHECK(all.images == std::vector<std::string>{folder / "x/y.png"});
  CHECK(has(error_of([&] { read_radiograph_table(folder / "t.csv"); }), "column image is absent"));
}

TEST_CASE("radiograph table: the pictures of a split; all of them where there is none") {
  TempFolder folder;
  for (const char* name : {"a.png", "b.png", "d.png"}) atomic_write(folder / name, "");
  const auto table = [&](const std::string& text) {
    atomic_write(folder / "table.csv", text);
    return read_radiograph_table(folder / "table.csv");
  };
  using Numbers = std::vector<std::size_t>;
  // c.png is not there: pictures are numbered without it
  const RadiographTable all = table(
      "image,split\na.png,train\nb.png,test\nc.png,train\nd.png,train\n");
  CHECK(pictures_of_split(all, "train") == Numbers{0, 2});
  CHECK(pictures_of_split(all, "test") == Numbers{1});
  CHECK(pictures_of_split(all, "") == Numbers{0, 1, 2});
  CHECK(error_of([&] { pictures_of_split(all, "Train"); }) ==
        folder / "table.csv" + ": split: has no picture of \"Train\"");
  CHECK(pictures_of_split(table("image\nb.png\na.png\n"), "train") == Numbers{0, 1});
  CHECK(pictures_of_split(read_radiograph_table(folder.string()), "train") == Numbers{0, 1, 2});
  CHECK(error_of([&] { pictures_of_split(table("image\ngone.png\n"), ""); }) ==
        folder / "table.csv" + ": has no picture that could be used");
}

TEST_CASE("radiograph table: pictures that are not there are one message, and left out") {
  const TempFolder folder;
  std::string table = "image,label\n";
  for (int i = 0; i < 40; ++i) table += fmt::format("{}.png,{}\n", i, i % 2);
  write(folder / "t.csv", table);
  for (const char* there : {"7.png", "31.png"}) write(folder / there);
  const auto all = read_radiograph_table(folder / "t.csv");
  CHECK(all.names == std::vector<std::string>{"7.png", "31.png"});
  CHECK(all.text(1, "label") == "1");
  REQUIRE(all.problems.size() == 1);
  CHECK(all.problems.count() == 38);
  CHECK(has(all.problems[0], "38 of 40 pictures are not there: "));
  CHECK(has(all.problems[0], "\"0.png\", \"1.png\", \"2.png\" and 35 more"));
  const std::string message = error_of([&] { expect_no_problems(all); });
  CHECK(has(message, "38 problems"));
  CHECK(has(message, "t.csv"));
}

TEST_CASE("radiograph table: rows without a picture or with one twice are faults with their line") {
  const TempFolder folder;
  write(folder / "a.png");
  write(folder / "t.csv", "image,x\na.png,1\n,2\na.png,3\n");
  const auto all = read_radiograph_table(folder / "t.csv");
  CHECK(all.size() == 1);
  REQUIRE(all.problems.size() == 2);
  CHECK(has(all.problems[0], "line 3, column image: is empty"));
  CHECK(has(all.problems[1], "line 4, column image: \"a.png\" is already in line 2"));
}

TEST_CASE("radiograph table: what cannot be a collection is refused with a message") {
  const TempFolder folder;
  write(folder / "header.csv", "image,x\n");
  write(folder / "empty.csv", "");
  write(folder / "rows.csv", "image,x\na.png\n");
  write(folder / "none/readme.txt");
  for (const char* name : {"header.csv", "empty.csv", "rows.csv", "none", "absent.csv", "absent"})
    CHECK(has(error_of([&] { read_radiograph_table(folder / name); }), name));
}

TEST_CASE("radiograph folder: pictures of every kind below it, sorted, hidden files aside") {
  const TempFolder folder;
  for (const char* name : {"z.png", "p2/s/b.dcm", "p1/a.JPEG", "p1/c.jpg", "p1/notes.txt",
                           "p1/.d.png", ".hidden/e.png", "mask.png.tmp-1-0"})
    write(folder / name);
  const auto all = read_radiograph_table(folder.string() + "/");
  CHECK(all.problems.empty());
  CHECK(all.names == std::vector<std::string>{"p1/a.JPEG", "p1/c.jpg", "p2/s/b.dcm", "z.png"});
  CHECK(all.images[0] == folder / "p1/a.JPEG");
  CHECK_FALSE(all.has("label"));
  CHECK(has(error_of([&] { all.text(0, "label"); }), "is a folder of pictures"));
  CHECK(label_columns(all).empty());
}

TEST_CASE("radiograph folder: links to folders are followed once, loops end, dead links are said") {
  const TempFolder folder;
  namespace fs = std::filesystem;
  write(folder / "set/p1/a.png");
  write(folder / "elsewhere/b.png");
  fs::create_directory_symlink(folder / "set", folder / "set/p1/loop");
  fs::create_directory_symlink(folder / "elsewhere", folder / "set/linked");
  fs::create_directory_symlink(folder / "elsewhere", folder / "set/twice");
  fs::create_symlink(folder / "nowhere.png", folder / "set/dead.png");
  const auto all = read_radiograph_table(folder / "set");
  CHECK(all.names == std::vector<std::string>{"linked/b.png", "p1/a.png"});
  REQUIRE(all.problems.size() == 1);
  CHECK(has(all.problems[0], "set/dead.png"));
}

TEST_CASE("radiograph labels: 0, 1, and NaN for what a table leaves open; -1 is what one says") {
  const TempFolder folder;
  write(folder / "t.csv",
        "image,Effusion,Nodule,age,never\na,1,0.0,40,0\nb,-1.0,1.0,41,0\nc,, 0,42,0\nd,0,,1,\n");
  const auto all = read_radiograph_table(folder / "t.csv", {.check_files = false});
  const std::vector<std::string> names = {"Nodule", "Effusion"};
  const auto labels = radiograph_labels(all, names);
  REQUIRE(labels.size() == 8);
  CHECK(labels[0] == 0);
  CHECK(labels[1] == 1);
  CHECK(labels[2] == 1);
  CHECK(std::isnan(labels[3]));
  CHECK(labels[4] == 0);
  CHECK(std::isnan(labels[5]));
  CHECK(radiograph_labels(all, names, UncertainLabels::positive)[3] == 1);
  CHECK(radiograph_labels(all, names, UncertainLabels::negative)[3] == 0);
  CHECK(std::isnan(radiograph_labels(all, names, UncertainLabels::negative)[5]));
  CHECK(label_columns(all) == std::vector<std::string>{"Effusion", "Nodule"});
  const std::vector<std::string> age = {"age"}, absent = {"Nodule", "Oedema"};
  CHECK(has(error_of([&] { radiograph_labels(all, age); }),
            "line 2, column age: is \"40\", expected 0, 1, -1 or nothing"));
  CHECK(has(error_of([&] { radiograph_labels(all, absent); }), "column Oedema is absent"));
}
