#include "../io/temp_folder.hpp"
#include "../support/errors.hpp"

#include <hlip/datasets/ct_rate/dataset.hpp>
#include <hlip/phantoms/parts/options.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <limits>

using namespace hlip;

namespace {

const std::string reports_header =
    "VolumeName,ClinicalInformation_EN,Technique_EN,Findings_EN,Impressions_EN\n";
const std::string metadata_header = "VolumeName,XYSpacing,RescaleIntercept,RescaleSlope,ZSpacing\n";

std::string labels_header() {
  std::string text = "VolumeName";
  for (const auto name : ct_rate_labels) text += "," + std::string(name);
  return text + "\n";
}

// A tree with studies valid_1_a (two reconstructions) and valid_2_b.
struct Tree {
  TempFolder folder;
  Tree() {
    for (const char* name : {"valid_2_b_1", "valid_1_a_2", "valid_1_a_1"}) {
      const auto parts = parse_ct_rate_name(name);
      const auto path = folder / ("valid/" + ct_rate_volume_path(*parts));
      std::filesystem::create_directories(std::filesystem::path(path).parent_path());
      std::vector<std::int16_t> v(2400, 24);  // air, and from here on soft tissue
      std::fill(v.begin() + 1200, v.end(), std::int16_t{1064});
      write_nifti<std::int16_t>(path, v, {2, 30, 40}, scaling_affine({5, 0.8, 0.7}));
    }
    put("radiology_text_reports/validation_reports.csv",
        reports_header +
            "valid_2_b_1.nii.gz,,,\"Clear (both)\n lungs\",\"No \"\"acute\"\" finding\"\n"
            "valid_1_a_2.nii.gz,,,Nodule of 5 mm.,Nodule\nvalid_1_a_1.nii.gz,,,Nodule of 5 "
            "mm.,Nodule\n");
    put("metadata/validation_metadata.csv",
        metadata_header +
            "valid_1_a_1.nii.gz,\"[0.7, 0.8]\",-1024,1,5\nvalid_1_a_2.nii.gz,\"[0.7, "
            "0.8]\",-1024,1,5\n"
            "valid_2_b_1.nii.gz,\"[0.7, 0.8]\",-8192,2,2.5\n");
    put("multi_abnormality_labels/valid_predicted_labels.csv",
        labels_header() + "valid_1_a_1.nii.gz,0,0,0,0,0,0,0,0,0,1,0,0,0,0,0,0,0,0\n");
  }
  void put(const std::string& name, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(folder / name).parent_path());
    atomic_write(folder / name, text);
  }
  CtRateDataset read(const CtRateOptions& options = {}) {
    return read_ct_rate(folder.string(), "valid", options);
  }
};

bool mentions(const Problems& problems, const std::string& part) {
  for (const auto& p : problems)
    if (p.find(part) != std::string::npos) return true;
  return false;
}

}  // namespace

TEST_CASE("ct_rate: a sound tree gives sorted studies with text, labels and rescale values") {
  Tree tree;
  const auto data = tree.read();
  CHECK(data.problems.empty());
  REQUIRE(data.studies.size() == 2);
  const auto &a = data.studies[0], &b = data.studies[1];
  CHECK(a.name == "valid_1_a");
  REQUIRE(a.recons.size() == 2);
  CHECK(a.recons[0].name == "valid_1_a_1");
  CHECK(a.recons[1].path == tree.folder / "valid/valid_1/valid_1_a/valid_1_a_2.nii.gz");
  CHECK(a.report == std::vector<std::string>{
                        "The volume shows: Nodule. The volume looks like: Nodule of 5 mm."});
  CHECK(a.labels.size() == 18);
  CHECK(a.labels[9] == 1);
  CHECK(b.labels.empty());
  CHECK(b.report[0] ==
        "The volume shows: No acute finding. The volume looks like: Clear both lungs.");
  CHECK(b.recons[0].intercept == -8192);
  CHECK(b.recons[0].slope == 2);
  CHECK(b.recons[0].spacing == std::array<double, 3>{2.5, 0.8, 0.7});
}

TEST_CASE("ct_rate: all faults are listed at once and sound studies remain") {
  Tree tree;
  tree.put("radiology_text_reports/validation_reports.csv",
           reports_header +
               "../../x_1_a_1.nii.gz,,,f,i\nvalid_1_a_1.nii.gz,,,f,i\nvalid_1_a_1.nii.gz,,,g,i\n"
               "valid_2_b_1.nii.gz,,,f,i\nvalid_3_a_1.nii.gz,,,f,i\nvalid_1_a_2.nii.gz,,,f,"
               "i\nvalid_5_a_1.nii.gz,,,,\n");
  tree.put("metadata/validation_metadata.csv",
           metadata_header +
               "valid_1_a_1.nii.gz,\"[0.7, 0.8]\",-1024,1,5\nvalid_2_b_1.nii.gz,\"[0.7]\",,0,nan\n"
               "valid_3_a_1.nii.gz,\"[0.7, 0.8]\",-1024,1,5\nvalid_5_a_1.nii.gz,\"[0.7, "
               "0.8]\",-1024,1,5\n");
  tree.put("multi_abnormality_labels/valid_predicted_labels.csv",
           labels_header() + "valid_1_a_1.nii.gz,0,0,0,0,0,yes,0,0,0,1,0,0,0,0,0,0,0,0\n");
  const auto data = tree.read();
  REQUIRE(data.studies.size() == 1);
  CHECK(data.studies[0].name == "valid_1_a");
  CHECK(data.studies[0].recons.size() == 1);
  CHECK(mentions(data.problems,
                 "validation_reports.csv: line 2, column VolumeName: \"../../x_1_a_1.nii.gz\" is "
                 "not a volume name"));
  CHECK(mentions(data.problems,
                 "line 4, column VolumeName: \"valid_1_a_1.nii.gz\" is already in line 3"));
  CHECK(mentions(data.problems, "line 3, column XYSpacing: is \"[0.7]\""));
  CHECK(mentions(data.problems, "line 3, column ZSpacing: is \"nan\""));
  CHECK(mentions(data.problems, "line 3, column RescaleSlope: is \"0\""));
  CHECK(mentions(data.problems, "line 3, column RescaleIntercept: is \"\""));
  CHECK(mentions(data.problems, "valid_1_a_2.nii.gz: has no usable row in the metadata table"));
  CHECK(mentions(data.problems, "valid_3_a_1.nii.gz: the volume is absent"));
  CHECK(data.absent == 1);  // a fault, and counted
  CHECK(mentions(data.problems, "column Hiatal hernia: is \"yes\", expected 0 or 1"));
  CHECK(mentions(data.problems, "study valid_5_a: its report is empty"));
  CHECK_THROWS_WITH_AS(expect_no_problems(data), doctest::Contains("problems:"), error);
}

TEST_CASE("ct_rate: damaged volumes are found by the check asked for") {
  Tree tree;
  const auto path = tree.folder / "valid/valid_2/valid_2_b/valid_2_b_1.nii.gz";
  auto bytes = read_file(path);
  bytes[bytes.size() - 7] = static_cast<char>(bytes[bytes.size() - 7] ^ 1);  // CRC
  atomic_write(path, bytes);
  CtRateOptions options;
  CHECK(tree.read(options).studies.size() == 2);
  options.check = VolumeCheck::voxels;
  const auto data = tree.read(options);
  CHECK(data.studies.size() == 1);
  CHECK(mentions(data.problems, "valid_2_b_1.nii.gz: byte"));
}

TEST_CASE(
    "ct_rate: a volume that cannot be a CT in HU is a fault where every voxel is read, by the rule "
    "of check_data") {
  Tree tree;
  const auto path = tree.folder / "valid/valid_1/valid_1_a/valid_1_a_1.nii.gz";
  CtRateOptions options;
  options.check = VolumeCheck::voxels;
  constexpr float nan = std::numeric_limits<float>::quiet_NaN(),
                  inf = std::numeric_limits<float>::infinity();
  std::vector<float> display(2400);  // 8 bits for a screen
  for (std::size_t i = 0; i < display.size(); ++i) display[i] = static_cast<float>(i % 256);
  std::vector<float> odd = display;
  for (std::size_t i = 0; i < odd.size(); ++i) odd[i] = i % 2 ? nan : 3e38f;
  for (const auto& [values, says] :
       {std::pair{std::vector<float>(2400, nan), "all voxels are equal (-1024 to -1024 HU)"},
        {std::vector<float>(2400, inf), "all voxels are equal (3071 to 3071 HU)"},
        {std::vector<float>(2400, -inf), "all voxels are equal"},
        {std::vector<float>(2400, 3e38f), "all voxels are equal"},
        {odd, "only 0.0 % of the voxels lie between -200 and 300 HU"},
        {display,
         "only 0.0 % of the voxels lie between -200 and 300 HU: was the intercept applied twice, "
         "or is it no CT in HU (display values, MRI)? (-1024 to -769 HU)"}}) {
    write_nifti<float>(path, values, {2, 30, 40}, scaling_affine({5, 0.8, 0.7}));
    const auto data = tree.read(options);
    const std::string fault = path + ": " + says;
    CAPTURE(fault);
    CHECK(mentions(data.problems, fault));
    REQUIRE(data.studies.size() == 1);
    CHECK(data.studies[0].recons.size() == 1);  // what is left of a study is used
  }
}

TEST_CASE("ct_rate: missing tables are problems, and partial downloads are allowed on request") {
  Tree tree;
  std::filesystem::remove(tree.folder / "metadata/validation_metadata.csv");
  auto data = tree.read();
  CHECK(data.studies.empty());
  CHECK(mentions(data.problems, "validation_metadata.csv: the table of metadata is absent"));
  CtRateOptions options;
  options.already_hu = true;
  CHECK(tree.read(options).problems.empty());
  options.need_labels = true;
  CHECK(mentions(tree.read(options).problems, "study valid_2_b: has no labels"));
  options.need_labels = false;
  options.allow_absent = true;
  std::filesystem::remove(tree.folder / "valid/valid_1/valid_1_a/valid_1_a_2.nii.gz");
  data = tree.read(options);
  CHECK(data.problems.empty());
  CHECK(data.absent == 1);
  CHECK(data.studies[0].recons.size() == 1);
  CHECK(
      mentions(read_ct_rate(tree.folder.string(), "train").problems, "table of reports is absent"));
  CHECK_THROWS_AS(read_ct_rate(tree.folder.string(), "../x"), error);
}

TEST_CASE("ct_rate: without need of reports every table names volumes, each once") {
  Tree tree;
  CtRateOptions options;
  options.need_reports = false;
  auto data = tree.read(options);
  CHECK(data.problems.empty());
  REQUIRE(data.studies.size() == 2);
  CHECK(data.studies[0].recons.size() == 2);
  CHECK(data.studies[0].recons[0].intercept == -1024);
  std::filesystem::remove(tree.folder / "radiology_text_reports/validation_reports.csv");
  CHECK(tree.read(options).studies.size() == 2);
  CHECK_FALSE(read_ct_rate(tree.folder.string(), "train", options).problems.empty());
}

TEST_CASE("ct_rate: an annotation file replaces the reports table") {
  Tree tree;
  tree.put("a.json",
           R"({"valid_1_a":{"recons":["valid_1_a_1.nii.gz","valid_1_a_2.nii.gz"],"report":["One.",)"
           R"("Two."]},
                         "valid_2_b":{"recons":["valid_1_a_1.nii.gz"],"report":["x"]},
                         "valid_4_a":{"recons":[],"report":["x"]}})");
  CtRateOptions options;
  options.annotation = tree.folder / "a.json";
  const auto data = tree.read(options);
  REQUIRE(data.studies.size() == 1);
  CHECK(data.studies[0].report == std::vector<std::string>{"One.", "Two."});
  CHECK(mentions(data.problems,
                 "study \"valid_2_b\": \"valid_1_a_1.nii.gz\" is not one of its volumes"));
  CHECK(mentions(data.problems, "study \"valid_4_a\": has no scans"));
}

TEST_CASE("ct_rate: the release's unusable reconstructions are skipped, not faults") {
  Tree tree;
  tree.put("radiology_text_reports/train_reports.csv",
           reports_header + "train_1267_a_4.nii.gz,,,f,i\n");
  tree.put("metadata/train_metadata.csv", metadata_header);
  const auto data = read_ct_rate(tree.folder.string(), "train");
  CHECK(data.problems.empty());
  CHECK(data.studies.empty());
  CHECK(data.skipped == std::vector<std::string>{"train_1267_a_4"});
}

TEST_CASE("ct_rate: names are taken apart, impossible ones refused") {
  const auto name = parse_ct_rate_name("train_12_b_3.nii.gz");
  REQUIRE(name);
  CHECK(ct_rate_volume_path(*name) == "train_12/train_12_b/train_12_b_3.nii.gz");
  for (const char* bad : {"", "a", "a_1_b", "../a_1_b_1", "a_1_b_1.nii", "/a_1_b_1.nii.gz",
                          "a__b_1.nii.gz", "_a_1_b_1.nii.gz", "a_1_b_.nii.gz", "a_1_b_1\n.nii.gz"})
    CHECK_FALSE(parse_ct_rate_name(bad));
}

TEST_CASE("ct_rate: annotation text has its full stops and no quotes or parentheses") {
  CHECK(ct_rate_annotation_text("A 'b' (c)", "D.\n  E") ==
        "The volume shows: A b c. The volume looks like: D. E.");
  CHECK(ct_rate_annotation_text("", "D") == "The volume looks like: D.");
  CHECK(ct_rate_annotation_text("A.", " ") == "The volume shows: A.");
  CHECK(ct_rate_annotation_text("\"\"", "").empty());
}

TEST_CASE("ct_rate: the label columns are those phantoms are written with") {
  for (std::size_t k = 0; k < ct_rate_labels.size(); ++k)
    CHECK(ct_rate_labels[k] == phantom_label_columns[k]);
}

TEST_CASE(
    "ct_rate: of a table or an annotation that is wrong everywhere, twenty faults are told and the "
    "others counted") {
  Tree tree;
  std::string labels = labels_header(),
              json = "{\"valid_1_a\":{\"scans\":[\"valid_1_a_1\"],\"report\":[\"x\"";
  for (int i = 0; i < 1000; ++i) labels += std::string(18, ',') + "\n", json += ",0";
  const auto label_file = tree.folder / "multi_abnormality_labels/valid_predicted_labels.csv";
  atomic_write(label_file, labels);
  const auto data = tree.read();
  REQUIRE(data.problems.size() == 21);
  // 18 labels and a name in each row
  CHECK(data.problems.back() == label_file + ": and 18980 more faults");
  CHECK(data.problems.count() == 19000);
  CHECK_THROWS_WITH_AS(expect_no_problems(data), doctest::Contains("19000 problems:"), error);

  const auto annotation = tree.folder / "a.json";
  atomic_write(annotation, json + "]}}");
  Problems problems;
  CHECK(study_annotations(read_json(annotation), annotation, problems).empty());
  REQUIRE(problems.size() == 21);
  CHECK(problems.front() ==
        annotation + ": study \"valid_1_a\": report holds \"0\", expected text");
  CHECK(problems.back() == annotation + ": and 980 more faults");
  CHECK(problems.count() == 1000);
}

TEST_CASE("ct_rate: a list of thousands of absent volumes is cut, and says how long it is") {
  Problems problems;
  for (int i = 0; i < 5000; ++i) problems.push_back(fmt::format("volume {} is absent\x1b[2J", i));
  const std::string message = test::error_of(
      [&] { expect_no_problems(problems, "root", "valid"); });
  CHECK(message.starts_with("root: valid: 5000 problems:\n  volume 0 is absent\\x1b[2J\n"));
  CHECK(message.ends_with("\n  volume 99 is absent\\x1b[2J\n  and 4900 more"));
}
