#include <hlip/datasets/ct_rate/check.hpp>
#include <hlip/datasets/ct_rate/check_page.hpp>
#include <hlip/phantoms/chest_ct_writer.hpp>
#include <hlip/text/wordpiece_learn.hpp>

#include "../io/temp_folder.hpp"

#include <doctest/doctest.h>

using namespace hlip;

namespace {

/// A tree of 4 training and 2 held-out studies.
std::string write_tree(const TempFolder& folder) {
  PhantomOptions small;
  small.slices = 24, small.pixels = 40;
  return write_phantom_dataset(folder / "p", small, 1, 4, 2, 1).dataset;
}
std::string volume(const std::string& root, const std::string& split, int patient) {
  return fmt::format("{}/{}/{}_{}/{}_{}_a/{}_{}_a_1.nii.gz", root, split, split, patient, split,
                     patient, split, patient);
}
DataCheck check(const std::string& root, DataCheckOptions options = {}) {
  options.threads = 2;
  return check_ct_rate(root, options, [](std::size_t, std::size_t) {});
}
/// The findings of one place, "kind: what".
std::vector<std::string> of(const DataCheck& c, const std::string& where) {
  std::vector<std::string> out;
  for (const auto& f : c.findings)
    if (f.where == where) out.push_back((f.fault ? "" : "warning, ") + f.kind + ": " + f.what);
  return out;
}

}  // namespace

TEST_CASE("check_ct_rate: a sound tree has no faults, whatever the number of threads") {
  const TempFolder folder;
  const std::string root = write_tree(folder);
  const auto found = check(root);
  CHECK(found.faults() == 0);
  CHECK(found.volumes.size() == 6);
  CHECK(std::all_of(found.volumes.begin(), found.volumes.end(), [](const auto& v) {
    return v.read && v.orientation.size() == 3 && v.range.min < -900;
  }));
  DataCheckOptions one;
  one.threads = 1;
  CHECK(data_check_json(check_ct_rate(root, one, [](std::size_t, std::size_t) {})) ==
        data_check_json(found));
}

TEST_CASE(
    "check_ct_rate: copies are found in other files, within a split and across, also when stored "
    "otherwise") {
  const TempFolder folder;
  const std::string root = write_tree(folder);
  std::filesystem::copy_file(volume(root, "train", 1), volume(root, "train", 2),
                             std::filesystem::copy_options::overwrite_existing);
  const Volume v = read_nifti(volume(root, "train", 3));
  // float in place of int16
  write_nifti<float>(
      volume(root, "valid", 1),
      std::span<const float>(v.voxels.data(), static_cast<std::size_t>(v.voxels.numel())),
      v.voxels.shape(), v.affine);
  const auto found = check(root);
  // beside warnings that file and table tell different spacings
  const auto says = [&](const std::string& where, const std::string& what) {
    const auto all = of(found, where);
    return std::find(all.begin(), all.end(), what) != all.end();
  };
  CHECK(says("train_2_a_1", "duplicate: has the same voxels as train_1_a_1"));
  CHECK(says("valid_1_a_1", "leak: has the same voxels as train_3_a_1 of split train"));
  CHECK(found.faults() == 2);
}

TEST_CASE(
    "check_ct_rate: cut and absent files, values that are no HU, and reports that are odd, each "
    "with its place") {
  const TempFolder folder;
  const std::string root = write_tree(folder),
                    reports = root + "/radiology_text_reports/train_reports.csv";
  const std::string whole = read_file(volume(root, "train", 1));
  atomic_write(volume(root, "train", 1), whole.substr(0, whole.size() / 2));
  std::filesystem::remove(volume(root, "valid", 2));
  Volume v = read_nifti(volume(root, "train", 3));
  for (index_t i = 0; i < v.voxels.numel(); ++i) v.voxels.data()[i] += 1024;
  write_nifti<float>(
      volume(root, "train", 3),
      std::span<const float>(v.voxels.data(), static_cast<std::size_t>(v.voxels.numel())),
      v.voxels.shape(), v.affine);
  std::string text =
      "VolumeName,Findings_EN,Impressions_EN\ntrain_1_a_1.nii.gz,fine,fine\ntrain_2_a_1.nii.gz,  "
      ",\ntrain_3_a_1.nii.gz,NodÃ¼l &lt; 5\x01,\ntrain_4_a_1.nii.gz,";
  for (int i = 0; i < 70; ++i) text += "fine ";
  atomic_write(reports, text + ",<script>alert(1)</script>\n");
  DataCheckOptions options;
  options.tokenizer = std::make_shared<const WordPieceTokenizer>(WordPieceTokenizer(learn_wordpiece(
      std::vector<std::string>{"fine volume shows looks like the"}, {.min_count = 1})));
  options.context_length = 64;
  const auto found = check(root, options);
  CHECK(of(found, "train_1_a_1").size() == 1);
  CHECK(of(found, "train_1_a_1").front().find("the gzip stream is cut") != std::string::npos);
  CHECK(of(found, "valid").front().find("valid_2_a_1.nii.gz: the volume is absent") !=
        std::string::npos);
  CHECK(of(found, "train_3_a_1").front().starts_with("intensity: no voxel is below -200 HU"));
  CHECK(of(found, "train_2_a") == std::vector<std::string>{"report: is empty"});
  CHECK(of(found, "train_3_a").size() == 3);  // mis-decoded, control characters, entities
  const auto cut = of(found, "train_4_a");
  REQUIRE(cut.size() == 1);
  CHECK(cut.front().find("and is cut after 64") != std::string::npos);
  CHECK(found.splits[0].cut_reports == 1);
  CHECK(found.splits[1].absent == 1);
  CHECK(found.faults() == 4);
}

TEST_CASE(
    "check_ct_rate: a patient of two splits is a leak, and no name becomes markup on the page") {
  DataCheck found;
  found.root = "<script>";
  found.volumes = {{"train", "p_1_a", "p_1_a_1", "", false, {0, 0, 0}, {}, {}, {}},
                   {"valid", "p_1_b", "p_1_b_1", "", false, {0, 0, 0}, {}, {}, {}},
                   {"valid", "p_2_a", "p_2_a_1", "", false, {0, 0, 0}, {}, {}, {}}};
  detail::look_for_duplicates(found);
  CHECK(of(found, "p_1") ==
        std::vector<std::string>{"leak: is a patient of several splits: train, valid"});
  CHECK(found.findings.size() == 1);
  found.findings.push_back({true, "file", "<script>", "<script>"});
  CHECK(data_check_page(found).find("<script>") == std::string::npos);
  CHECK(data_check_json(found)["faults"] == 2);
}
