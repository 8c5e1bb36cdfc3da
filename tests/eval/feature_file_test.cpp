#include <hlip/eval/picture_table.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <limits>

using namespace hlip;

namespace {

/// A file for one test, removed behind it.
struct Scratch {
  std::string path;
  explicit Scratch(const std::string& name)
      : path((std::filesystem::temp_directory_path() / ("hlip_eval_" + name)).string()) {}
  Scratch(const Scratch&) = delete;
  ~Scratch() { std::filesystem::remove(path); }
};

FeatureFile two_pictures() {
  FeatureFile f;
  f.encoder = "tiny", f.files = {"a/one.png", "b/two.png"};
  f.width = 2, f.cls = {1, 2, 3, 4};
  f.rows = 1, f.columns = 2, f.patches = {1, 2, 3, 4, 5, 6, 7, 8};
  return f;
}

PictureTable table_of(const std::string& text, const PictureColumns& columns = {}) {
  const Scratch csv("table.csv");
  atomic_write(csv.path, text);
  return read_picture_table(csv.path, columns);
}

}  // namespace

TEST_CASE("feature file: comes back as it was written, patches only when asked for") {
  const Scratch file("features.safetensors");
  write_feature_file(file.path, two_pictures());
  const FeatureFile f = read_feature_file(file.path);
  CHECK(f.encoder == "tiny");
  CHECK(f.files == two_pictures().files);
  CHECK(f.width == 2);
  CHECK(f.cls == two_pictures().cls);
  CHECK(f.rows == 1);
  CHECK(f.columns == 2);
  CHECK(f.patches == two_pictures().patches);
  CHECK(f.patches_of(1)[0] == 5);
  CHECK(f.cls_of(1)[1] == 4);
  CHECK(read_feature_file(file.path, false).patches.empty());
}

TEST_CASE("feature file: one from elsewhere has features of any float and perhaps no name") {
  const Scratch file("plain.safetensors");
  SafetensorsWriter writer;
  const std::vector<double> values = {0.5, -1};
  writer.add("features", std::span<const double>(values), {2, 1});
  writer.metadata("files", R"(["x.png", "y.png"])");
  writer.write(file.path);
  const FeatureFile f = read_feature_file(file.path);
  CHECK(f.encoder == "hlip_eval_plain");
  CHECK(f.cls == std::vector<float>{0.5f, -1});
}

TEST_CASE("feature file: what is wrong is named, and nothing is written") {
  const Scratch file("bad.safetensors");
  const auto refused = [&](auto change, const char* what) {
    FeatureFile f = two_pictures();
    change(f);
    CHECK_THROWS_WITH_AS(write_feature_file(file.path, f), doctest::Contains(what), error);
    CHECK_FALSE(std::filesystem::exists(file.path));
  };
  refused([](auto& f) { f.cls[3] = std::numeric_limits<float>::quiet_NaN(); },
          "a feature of \"b/two.png\" is nan");
  refused([](auto& f) { f.patches[0] = std::numeric_limits<float>::infinity(); },
          "patches: a feature of \"a/one.png\" is inf");
  refused([](auto& f) { f.files[1] = f.files[0]; }, "is named twice");
  refused([](auto& f) { f.cls.pop_back(); }, "has 3 numbers, expected 2 pictures x 2");
  refused([](auto& f) { f.patches.pop_back(); }, "patches: has 7 numbers");
  refused([](auto& f) { f = FeatureFile{}; }, "names no picture");

  const auto written = [&](const char* tensor, const Shape& shape, const char* files,
                           const char* what) {
    const Scratch plain("written.safetensors");
    SafetensorsWriter writer;
    const std::vector<float> values(static_cast<std::size_t>(shape.numel()));
    writer.add(tensor, std::span<const float>(values), shape);
    if (*files) writer.metadata("files", files);
    writer.write(plain.path);
    CHECK_THROWS_WITH_AS(read_feature_file(plain.path), doctest::Contains(what), error);
  };
  written("weights", {2, 2}, R"(["a", "b"])", "has neither cls nor features");
  written("cls", {2, 2, 1}, R"(["a", "b"])", "expected (pictures, C)");
  written("cls", {2, 2}, "", "has no files");
  written("cls", {2, 2}, R"({"a": 1})", "is no list of names");
  written("cls", {2, 2}, R"(["a", 7])", "entry 1 is 7");
  written("cls", {2, 2}, R"(["a"])", "names 1 pictures, cls has rows for 2");
  written("cls", {2, 0}, R"(["a", "b"])", "has 0 numbers");
  written("cls", {0, 2}, "[]", "names no picture");
}

TEST_CASE("FeatureNames: the same name, or a path with the same end; two such paths are none") {
  const std::vector<std::string> files = {"x/one.png", "two.png", "x/same.png", "y/same.png",
                                          "valid_1_a_1"};
  const FeatureNames names(files);
  CHECK(names.find("x/one.png") == 0);
  CHECK(names.find("one.png") == 0);
  CHECK(names.find("other/folder/two.png") == 1);
  CHECK(names.find("y/same.png") == 3);
  CHECK(names.find("same.png") == FeatureNames::ambiguous);
  CHECK(names.find("three.png") == FeatureNames::absent);
  CHECK(names.find("valid_1_a_1.nii.gz") == 4);  // a volume, as CT-RATE's tables call it
}

TEST_CASE("picture table: subjects, class tokens in its order, and pictures without features") {
  const auto t = table_of("image,patient\ntwo.png,p\none.png,q\n");
  CHECK(t.subjects == std::vector<std::string>{"p", "q"});
  CHECK(class_tokens_of(two_pictures(), "f", t) == std::vector<float>{3, 4, 1, 2});
  CHECK(table_of("image\na\nb\n").subjects == std::vector<std::string>{"a", "b"});
  CHECK_THROWS_WITH_AS(class_tokens_of(two_pictures(), "f", table_of("image\none.png\nx\ny\n")),
                       doctest::Contains("line 3, column image: \"x\" has no features in f, nor "
                                         "have 1 other pictures"),
                       error);
  CHECK_THROWS_WITH_AS(table_of("image\na\na\n"), doctest::Contains("is already in line 2"), error);
  CHECK_THROWS_WITH_AS(table_of("file\na\n"), doctest::Contains("column image is absent"), error);
  CHECK_THROWS_WITH_AS(table_of("image\na\n", {.subject = "who"}),
                       doctest::Contains("column who is absent"), error);
  CHECK_THROWS_WITH_AS(table_of("image,subject\na,\n"), doctest::Contains("expected a subject"),
                       error);
  CHECK_THROWS_WITH_AS(table_of("image,x\n,1\n"), doctest::Contains("the name of a picture"),
                       error);
  CHECK_THROWS_WITH_AS(table_of("image\n"), doctest::Contains("no rows"), error);
}

TEST_CASE("picture_table: rows at fault are left out where somebody wants to hear of them") {
  Problems problems;
  const auto t = picture_table(
      parse_csv("image,subject,split\na,s,train\n,s,valid\nb,,held\na,u,test\nc,u,test\n", "t.csv"),
      {}, &problems);
  CHECK(t.images == std::vector<std::string>{"a", "c"});
  CHECK(t.subjects == std::vector<std::string>{"s", "u"});
  CHECK(t.table.line(1) == 6);
  CHECK(splits_of(t, 0.5, 0) == std::vector<Split>{Split::train, Split::test});
  CHECK(problems ==
        Problems{"t.csv: line 3, column image: is empty, expected the name of a picture",
                 "t.csv: line 4, column subject: is empty, expected a subject",
                 "t.csv: line 5, column image: \"a\" is already in line 2"});
}

TEST_CASE("splits_of: a column, or subjects that stay together") {
  const auto t = table_of("image,split\na,train\nb,val\nc,test\nd,valid\n");
  CHECK(splits_of(t, 0.5, 0) ==
        std::vector<Split>{Split::train, Split::valid, Split::test, Split::valid});
  CHECK_THROWS_WITH_AS(splits_of(table_of("image,split\na,train\nb,held\n"), 0.5, 0),
                       doctest::Contains("line 3, column split: is \"held\""), error);
  CHECK_THROWS_WITH_AS(splits_of(table_of("image,split\na,train\n"), 0.5, 0),
                       doctest::Contains("left to test"), error);
  std::string text = "image,subject\n";
  for (int i = 0; i < 40; ++i) text += fmt::format("p{},s{}\n", i, i / 4);
  const auto subjects = table_of(text);
  const auto drawn = splits_of(subjects, 0.3, 1);
  CHECK(std::count(drawn.begin(), drawn.end(), Split::test) == 12);
  CHECK(subjects_in_both(subjects, drawn) == 0);
  CHECK(splits_of(subjects, 0.3, 1) == drawn);
  CHECK(splits_of(subjects, 0.3, 2) != drawn);
  const auto three = splits_of(subjects, 0.3, 1, 0.2);  // validation takes from training alone
  CHECK(std::count(three.begin(), three.end(), Split::valid) == 8);
  for (std::size_t i = 0; i < three.size(); ++i) {
    CHECK((three[i] == Split::test) == (drawn[i] == Split::test));
    CHECK(three[i] == three[i / 4 * 4]);
  }
  const auto leak = table_of("image,subject,split\na,s,train\nb,s,test\n");
  CHECK(subjects_in_both(leak, splits_of(leak, 0.5, 0)) == 1);
}

TEST_CASE("subject_folds: no subject in two folds, folds of nearly one size") {
  std::vector<std::string> subjects;
  for (int i = 0; i < 60; ++i) subjects.push_back(fmt::format("s{}", i / 3));
  const auto folds = subject_folds(subjects, 5, 0);
  for (std::size_t i = 0; i < folds.size(); ++i) CHECK(folds[i] == folds[i / 3 * 3]);
  for (std::int64_t fold = 0; fold < 5; ++fold)
    CHECK(std::count(folds.begin(), folds.end(), fold) == 12);
  CHECK(subject_folds(subjects, 5, 0) == folds);
  CHECK_THROWS_AS(subject_folds(subjects, 21, 0), error);
  CHECK_THROWS_AS(subject_folds(subjects, 1, 0), error);
}

TEST_CASE("read_findings: columns of 0, 1 and unknown; one class alone is refused by name") {
  const auto t = table_of("image,age,nodule,fluid\na,40,1,\nb,50,0.0,1\nc,60,-1,0\n");
  const auto all = read_findings(t, {});
  REQUIRE(all.size() == 2);
  CHECK(all[0].name == "nodule");
  CHECK(all[0].values[0] == 1);
  CHECK(all[0].values[1] == 0);
  CHECK(std::isnan(all[0].values[2]));
  CHECK(std::isnan(all[1].values[0]));
  CHECK(read_findings(t, {"fluid"}).size() == 1);
  CHECK_THROWS_WITH_AS(read_findings(t, {"age"}),
                       doctest::Contains("line 2, column age: is \"40\", expected 0, 1"), error);
  CHECK_THROWS_WITH_AS(read_findings(t, {"fluid", "fluid"}), doctest::Contains("asked for twice"),
                       error);
  CHECK_THROWS_WITH_AS(read_findings(t, {"tube"}), doctest::Contains("column tube is absent"),
                       error);
  CHECK_THROWS_WITH_AS(read_findings(table_of("image,x\na,1\nb,1\n"), {}),
                       doctest::Contains("column x: 2 labels are 1 and 0 are 0"), error);
  CHECK_THROWS_WITH_AS(read_findings(table_of("image,x\na,7\n"), {}),
                       doctest::Contains("no column of findings"), error);
}
