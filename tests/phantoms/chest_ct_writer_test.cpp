#include <doctest/doctest.h>

#include <hlip/imaging/nifti.hpp>
#include <hlip/io/csv.hpp>
#include <hlip/io/json.hpp>
#include <hlip/phantoms/chest_ct_writer.hpp>

#include "../io/temp_folder.hpp"

using namespace hlip;

namespace {

// A small grid keeps the test quick; nothing the writer does depends on it.
PhantomOptions small() {
  PhantomOptions options;
  options.slices = 10, options.pixels = 20;
  return options;
}

std::vector<std::string> all_files(const std::string& root) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root))
    if (entry.is_regular_file())
      files.push_back(std::filesystem::relative(entry.path(), root).string());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

TEST_CASE("phantom writer: tables and volumes read back as the studies they came from") {
  const TempFolder folder;
  const auto set = write_phantom_dataset(folder / "set", small(), 3, 5, 2, 2);
  CHECK_FALSE(set.reused);
  CHECK(set.dataset == folder / "set/dataset");
  for (const std::string split : {"train", "valid"}) {
    const std::string name = split == "train" ? "train" : "validation";
    const auto reports = read_csv(set.dataset + "/radiology_text_reports/" + name + "_reports.csv");
    const auto labels = read_csv(set.dataset + "/multi_abnormality_labels/" + split +
                                 "_predicted_labels.csv");
    const auto metadata = read_csv(set.dataset + "/metadata/" + name + "_metadata.csv");
    const auto annotation = read_json(split == "train" ? set.train_annotation
                                                       : set.valid_annotation);
    const std::size_t n = split == "train" ? 5 : 2;
    REQUIRE(reports.rows() == n);
    REQUIRE(labels.rows() == n);
    REQUIRE(metadata.rows() == n);
    REQUIRE(annotation.size() == n);
    REQUIRE(labels.columns().size() == 19);
    REQUIRE(metadata.columns().size() == 44);
    for (std::size_t i = 0; i < n; ++i) {
      const auto s = make_phantom(small(), 3, split, static_cast<index_t>(i));
      const std::string study = fmt::format("{}_{}_a", split, i + 1), volume = study + "_1.nii.gz";
      for (const auto* table : {&reports, &labels, &metadata})
        CHECK(table->at(i, table->column("VolumeName")) == volume);
      CHECK(reports.at(i, reports.column("Findings_EN")) == s.findings);
      CHECK(reports.at(i, reports.column("Impressions_EN")) == s.impression);
      CHECK(reports.at(i, reports.column("ClinicalInformation_EN")) == "Not given.");
      for (std::size_t c = 0; c < s.labels.size(); ++c)
        CHECK(labels.at(i, labels.column(phantom_label_columns[c])) == (s.labels[c] ? "1" : "0"));
      CHECK(metadata.at(i, metadata.column("RescaleSlope")) == "1");
      CHECK(metadata.at(i, metadata.column("NumberofSlices")) == "10");
      CHECK(metadata.at(i, metadata.column("XYSpacing")) ==
            fmt::format("[{:.6f}, {:.6f}]", s.spacing[2], s.spacing[1]));
      CHECK(metadata.at(i, metadata.column("ZSpacing")) == fmt::format("{:.6f}", s.spacing[0]));
      CHECK(annotation[study]["recons"][0] == volume);
      CHECK(annotation[study]["report"][0] == phantom_annotation(s));
      const Volume v = read_nifti(
          fmt::format("{}/{}/{}_{}/{}/{}", set.dataset, split, split, i + 1, study, volume));
      REQUIRE(v.voxels.shape() == s.dhw);
      // slope 1: stored values are HU
      CHECK(std::equal(s.hu.begin(), s.hu.end(), v.voxels.data()));
      CHECK(orientation_code(v.affine) == "LPS");
      for (std::size_t d = 0; d < 3; ++d) CHECK(v.spacing[d] == doctest::Approx(s.spacing[d]));
    }
  }
  CHECK(read_file(folder / "set/README.txt").find("SYNTHETIC") != std::string::npos);
}

TEST_CASE("phantom writer: the files do not depend on the number of threads") {
  const TempFolder folder;
  write_phantom_dataset(folder / "one", small(), 3, 6, 1, 1);
  write_phantom_dataset(folder / "three", small(), 3, 6, 1, 3);
  const auto files = all_files(folder / "one");
  CHECK(files == all_files(folder / "three"));
  CHECK(files.size() == 7 + 6 + 2 + 2);
  for (const auto& f : files)
    CHECK(read_file(folder / "one/" + f) == read_file(folder / "three/" + f));
}

TEST_CASE("phantom writer: a complete data set is reused and one that was cut off is continued") {
  const TempFolder folder;
  const std::string root = folder / "set";
  int calls = 0;
  index_t last = 0;
  const auto count = [&](index_t done, index_t total) {
    ++calls, last = done;
    CHECK(total == 4);
  };
  write_phantom_dataset(root, small(), 3, 3, 1, 1, count);
  CHECK(calls == 4);
  CHECK(last == 4);
  CHECK(write_phantom_dataset(root, small(), 3, 3, 1, 1, count).reused);
  CHECK(calls == 4);

  const auto files = all_files(root);
  const std::string lost = root + "/dataset/train/train_2/train_2_a/train_2_a_1.nii.gz",
                    bytes = read_file(lost);
  std::filesystem::rename(root + "/phantom.json", root + "/phantom.unfinished.json");
  std::filesystem::remove(lost);
  CHECK_FALSE(write_phantom_dataset(root, small(), 3, 3, 1, 1).reused);
  CHECK(all_files(root) == files);
  CHECK(read_file(lost) == bytes);
}

TEST_CASE("phantom writer: one process at a time draws a data set; a finished one is everybody's") {
  const TempFolder folder;
  std::filesystem::create_directories(folder / "set");
  {
    const FolderLock other(folder / "set");
    CHECK_THROWS_WITH_AS(write_phantom_dataset(folder / "set", small(), 3, 1, 1, 1),
                         doctest::Contains("set: is in use by"), error);
  }
  write_phantom_dataset(folder / "set", small(), 3, 1, 1, 1);
  const FolderLock other(folder / "set");
  CHECK(write_phantom_dataset(folder / "set", small(), 3, 1, 1, 1).reused);
}

TEST_CASE("phantom writer: a folder with something else in it is left alone") {
  const TempFolder folder;
  write_phantom_dataset(folder / "set", small(), 3, 1, 1, 1);
  const auto files = all_files(folder / "set");
  CHECK_THROWS_AS(write_phantom_dataset(folder / "set", small(), 4, 1, 1, 1), error);
  CHECK_THROWS_AS(write_phantom_dataset(folder / "set", {}, 3, 1, 1, 1), error);
  std::filesystem::create_directories(folder / "real/dataset/train");
  CHECK_THROWS_AS(write_phantom_dataset(folder / "real", small(), 3, 1, 1, 1), error);
  CHECK(all_files(folder / "set") == files);
  CHECK(all_files(folder / "real").empty());
}

TEST_CASE("phantom writer: impossible requests are refused before anything is written") {
  const TempFolder folder;
  CHECK_THROWS_AS(write_phantom_dataset(folder / "set", small(), 3, -1, 1, 1), error);
  CHECK_THROWS_AS(write_phantom_dataset(folder / "set", small(), 3, 1, 2'000'000, 1), error);
  CHECK_THROWS_AS(write_phantom_dataset(folder / "set", small(), 3, 1, 1, 0), error);
  CHECK(folder.entries() == 0);
  atomic_write(folder / "file", "not a folder");
  CHECK_THROWS_AS(write_phantom_dataset(folder / "file", small(), 3, 1, 1, 1), error);
}
