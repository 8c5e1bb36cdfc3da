#include <doctest/doctest.h>

#include <hlip/datasets/ct_rate/dataset.hpp>
#include <hlip/datasets/volumes/table.hpp>
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

TEST_CASE("phantom writer: label maps and a table of volumes read back") {
  const TempFolder folder;
  PhantomOptions options = small();
  options.label_maps = true;
  const auto set = write_phantom_dataset(folder / "set", options, 3, 5, 2, 2);
  CHECK(set.table == folder / "set/volumes.csv");
  const auto table = read_csv(set.table);
  REQUIRE(table.rows() == 7);
  for (std::size_t row = 0; row < 7; ++row) {
    const std::string split = row < 5 ? "train" : "valid";
    const auto s = make_phantom(options, 3, split, static_cast<index_t>(row < 5 ? row : row - 5));
    const std::string volume(table.at(row, table.column("volume")));
    CHECK(table.at(row, table.column("split")) == split);
    const std::string mask = phantom_mask_path(set.dataset, split, volume);
    CHECK(folder / "set/" + std::string(table.at(row, table.column("mask"))) == mask);
    const Volume v = read_nifti(folder / "set/" + volume), m = read_nifti(mask);
    CHECK(inspect_nifti(mask, false).header.type == NiftiType::u8);
    CHECK(m.affine == v.affine);
    REQUIRE(m.voxels.shape() == s.dhw);
    CHECK(std::equal(s.label_map.begin(), s.label_map.end(), m.voxels.data()));
    CHECK(std::equal(s.hu.begin(), s.hu.end(), v.voxels.data()));
  }
  // as a collection of volumes, and still as a CT-RATE tree of the same studies
  for (const std::string split : {"train", "valid"}) {
    const CtRateDataset volumes = read_volume_table(set.table, split),
                        tree = read_ct_rate(set.dataset, split);
    CHECK(volumes.problems.empty());
    CHECK(tree.problems.empty());
    REQUIRE(volumes.studies.size() == (split == "train" ? 5 : 2));
    REQUIRE(tree.studies.size() == volumes.studies.size());
    for (std::size_t i = 0; i < tree.studies.size(); ++i) {
      CHECK(volumes.studies[i].name == tree.studies[i].name);
      CHECK(volumes.studies[i].report == tree.studies[i].report);
      CHECK(volumes.studies[i].recons[0].path == tree.studies[i].recons[0].path);
    }
  }
  const std::string readme = read_file(folder / "set/README.txt");
  CHECK(readme.find("SYNTHETIC") != std::string::npos);
  CHECK(readme.find("3 heart, 4 aorta") != std::string::npos);
}

TEST_CASE("phantom writer: label maps do not change the other files, nor depend on threads") {
  const TempFolder folder;
  PhantomOptions options = small();
  CHECK(write_phantom_dataset(folder / "plain", options, 3, 4, 1, 2).table.empty());
  options.label_maps = true;
  write_phantom_dataset(folder / "one", options, 3, 4, 1, 1);
  write_phantom_dataset(folder / "three", options, 3, 4, 1, 3);
  const auto plain = all_files(folder / "plain"), files = all_files(folder / "one");
  CHECK(files == all_files(folder / "three"));
  CHECK(files.size() == plain.size() + 5 + 1);
  for (const auto& f : files)
    CHECK(read_file(folder / "one/" + f) == read_file(folder / "three/" + f));
  for (const auto& f : plain)
    if (f != "README.txt" && f != "phantom.json")
      CHECK(read_file(folder / "plain/" + f) == read_file(folder / "one/" + f));
}

TEST_CASE("phantom writer: a folder with label maps serves both, one without does not") {
  const TempFolder folder;
  PhantomOptions plain = small(), maps = small();
  maps.label_maps = true;
  write_phantom_dataset(folder / "plain", plain, 3, 2, 1, 1);
  const auto before = all_files(folder / "plain");
  CHECK_THROWS_WITH_AS(write_phantom_dataset(folder / "plain", maps, 3, 2, 1, 1),
                       doctest::Contains("\"label_maps\": true"), error);
  CHECK(all_files(folder / "plain") == before);

  const std::string root = folder / "maps";
  write_phantom_dataset(root, maps, 3, 2, 1, 1);
  const auto files = all_files(root);
  for (const PhantomOptions& wanted : {plain, maps}) {
    const auto found = write_phantom_dataset(root, wanted, 3, 2, 1, 1);
    CHECK(found.reused);
    CHECK(found.table == root + "/volumes.csv");
  }
  CHECK_THROWS_AS(write_phantom_dataset(root, plain, 4, 2, 1, 1), error);

  // cut off, whoever goes on with it makes it whole
  const std::string mask = phantom_mask_path(root + "/dataset", "train", "train_2_a_1.nii.gz"),
                    bytes = read_file(mask);
  std::filesystem::rename(root + "/phantom.json", root + "/phantom.unfinished.json");
  std::filesystem::rename(mask, mask + ".tmp-1-1");
  std::filesystem::remove(root + "/volumes.csv");
  CHECK_FALSE(write_phantom_dataset(root, plain, 3, 2, 1, 1).reused);
  CHECK(all_files(root) == files);
  CHECK(read_file(mask) == bytes);
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
