#include <hlip/datasets/brain_mri/dataset.hpp>

#include "../io/temp_folder.hpp"
#include "../support/errors.hpp"

#include <doctest/doctest.h>

using namespace hlip;

namespace {

void add_scan(const std::string& folder) {
  std::filesystem::create_directories(folder);
  write_brain_scan(folder + "/img.safetensors", Tensor<float>::arange(32).reshape({2, 4, 4}) / 31,
                   {});
}

// Two sound studies; the order of names is not that of the file.
std::string add_tree(const TempFolder& folder) {
  for (const char* scan : {"b/T2", "b/T1", "a/FLAIR"})
    add_scan(folder / ("train/" + std::string(scan)));
  const std::string json = folder / "train_studies.json";
  atomic_write(
      json,
      R"({"b": {"series": {"T2": {"num_slices": 20, "view": "axial"}, "T1": {"num_slices": 20,)"
      R"( "view": "coronal"}}, "report_length": 2, "report": ["One.", "Two."]},
                         "a": {"series": {"FLAIR": {"num_slices": 20, "view": "axial"}},
                         "report_length": 1, "report": ["Three."]}})");
  return json;
}

}  // namespace

TEST_CASE(
    "brain mri: the published layout is read with studies and scans sorted by name, whatever the "
    "file's order") {
  TempFolder folder;
  const std::string json = add_tree(folder);
  for (const auto check :
       {VolumeCheck::none, VolumeCheck::exists, VolumeCheck::header, VolumeCheck::voxels}) {
    const BrainDataset data = read_brain_mri(folder.string() + "/", json, {"", "", true, check});
    CHECK(data.problems.empty());
    CHECK(data.split == "train");
    REQUIRE(data.studies.size() == 2);
    CHECK(data.studies[0].name == "a");
    CHECK(data.studies[0].report == std::vector<std::string>{"Three."});
    REQUIRE(data.studies[1].scans.size() == 2);
    CHECK(data.studies[1].scans[0].name == "T1");
    CHECK(data.studies[1].scans[0].path == folder / "train/b/T1/img.safetensors");
    CHECK(data.studies[1].scans[1].name == "T2");
  }
  CHECK(brain_split("x/valid_few_studies.json") == "valid");
  CHECK(brain_split("test.json") == "test");
}

TEST_CASE("brain mri: every fault is found, and a study with one bad scan is left out whole") {
  TempFolder folder;
  const std::string json = add_tree(folder);
  std::filesystem::remove(folder / "train/b/T1/img.safetensors");
  const auto absent = read_brain_mri(folder.string(), json);
  REQUIRE(absent.problems.size() == 1);
  CHECK(absent.problems[0].find("train/b/T1: holds no scan") != std::string::npos);
  CHECK(absent.problems[0].find("hint: preprocess_brain_mri") != std::string::npos);
  REQUIRE(absent.studies.size() == 1);
  CHECK(absent.studies[0].name == "a");

  add_scan(folder / "train/b/T1");
  std::string bytes = read_file(folder / "train/b/T2/img.safetensors");
  atomic_write(folder / "train/b/T2/img.safetensors", bytes.substr(0, bytes.size() - 1));
  CHECK(read_brain_mri(folder.string(), json, {.check = VolumeCheck::exists}).studies.size() == 2);
  CHECK(read_brain_mri(folder.string(), json, {.check = VolumeCheck::header}).problems.size() == 1);

  write_nifti<float>(folder / "train/b/T2/img.nii", std::vector<float>(60, std::nanf("")),
                     {3, 4, 5}, scaling_affine({3, 1, 1}));
  std::filesystem::remove(folder / "train/b/T2/img.safetensors");
  write_brain_scan(folder / "train/a/FLAIR/img.safetensors", Tensor<float>::full({2, 4, 4}, 0.5f),
                   {});  // nothing to be seen
  const auto blank = read_brain_mri(folder.string(), json, {.check = VolumeCheck::voxels});
  REQUIRE(blank.problems.size() == 2);
  CHECK(blank.problems[0].find("a/FLAIR/img.safetensors: all voxels are equal") !=
        std::string::npos);
  CHECK(blank.problems[1].find("b/T2/img.nii: no voxel is finite") != std::string::npos);

  atomic_write(
      json,
      R"({"../b": {"series": {"T1": {}}, "report": ["x"]}, "a": {"series": {"../T1": {}},)"
      R"( "report": ["x"]}, "c": {"series": {}, "report": ["x"]}, "d": {"series": {"T1": {}}}})");
  const auto faulty = read_brain_mri(folder.string(), json);
  CHECK(faulty.studies.empty());
  REQUIRE(faulty.problems.size() == 4);
  CHECK(faulty.problems[0].find("leads out of the data folder") != std::string::npos);
  CHECK(faulty.problems[3].find("has no report") != std::string::npos);
  CHECK_THROWS_AS(read_brain_mri(folder.string(), json, {.split = "../x"}), error);
}

TEST_CASE(
    "brain mri: labels belong to studies by name; rows that say anything but 0 or 1, come twice or "
    "are missing are faults") {
  TempFolder folder;
  const std::string json = add_tree(folder), labels = folder / "labels.csv";
  atomic_write(labels, "Glioma,study,Acute stroke\n0,b,1\n1,a,0\n");
  const auto data = read_brain_mri(folder.string(), json,
                                   {.labels = labels, .need_reports = false});
  CHECK(data.problems.empty());
  CHECK(data.findings == std::vector<std::string>{"Glioma", "Acute stroke"});
  REQUIRE(data.studies.size() == 2);
  CHECK(data.studies[0].labels == std::vector<std::int8_t>{1, 0});
  CHECK(data.studies[1].labels == std::vector<std::int8_t>{0, 1});

  atomic_write(labels, "study,Glioma\na,yes\na,1\na,0\n");
  const auto faulty = read_brain_mri(folder.string(), json, {.labels = labels});
  REQUIRE(faulty.problems.size() == 3);
  CHECK(faulty.problems[0].find("line 2, column Glioma: is \"yes\", expected 0 or 1") !=
        std::string::npos);
  CHECK(faulty.problems[1].find("study \"a\" is given twice") != std::string::npos);
  CHECK(faulty.problems[2].find("study \"b\" has no row") != std::string::npos);
  std::string wrong = "study,Glioma\n";
  for (int i = 0; i < 100; ++i) wrong += "a,\n";
  atomic_write(labels, wrong);
  const auto many = read_brain_mri(folder.string(), json, {.labels = labels});
  CHECK(many.problems.count() == 102);  // and two studies without labels
  REQUIRE(many.problems.size() == 23);
  CHECK(many.problems[20] == labels + ": and 80 more faults");
  atomic_write(labels, "study\na\n");
  CHECK(test::error_of([&] {
          read_brain_mri(folder.string(), json, {.labels = labels});
        }).find("has no column beside study") != std::string::npos);
}
