// Every hostile or odd file of the shared collections, through the function hlip_inspect calls.
#include "../io/temp_folder.hpp"
#include "../support/allocations.hpp"

#include <hlip/datasets/inspect.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>

using namespace hlip;

namespace {

std::string shared_folder(const std::string& name) {
  const char* shared = std::getenv("HLIP_SHARED");
  return (shared ? std::string(shared) : std::string(HLIP_SOURCE_DIR) + "/../shared") + "/data/" +
         name + "/";
}
std::string malformed_folder() { return shared_folder("malformed"); }

// The choices docs/bad_input.md documents, where the collection leaves one.
const std::map<std::string, bool>& choices() {
  static const std::map<std::string, bool> table = {
      {"nifti/bad_crc.nii.gz", false},
      {"nifti/trailing_garbage.nii.gz", true},
      {"nifti/plain_named_gz.nii.gz", true},
      {"nifti/wrong_sizeof_hdr.nii", false},
      {"nifti/nan_pixdim.nii", true},
      {"nifti/inf_pixdim.nii", true},
      {"nifti/zero_pixdim.nii", true},
      {"nifti/negative_pixdim.nii", true},
      {"nifti/nan_sform.nii", true},
      {"nifti/dim0_two.nii", true},
      {"nifti/vox_offset_small.nii", true},
      {"nifti/bitpix_mismatch.nii", false},
      {"nifti/quaternion_unnormal.nii", true},
      {"nifti/rgb.nii.gz", false},
      {"nifti/sheared_sform.nii.gz", true},
      {"nifti/analyze75/old.hdr", false},
      {"csv/cr_only.csv", true},
      {"csv/stray_quote.csv", false},
      {"csv/duplicate_ids.csv", false},
      {"csv/latin1.csv", false},
      {"csv/nul_byte.csv", false},
      {"json/dup_keys.json", false},
      {"json/bom.json", false},
      {"json/lone_surrogate.json", false},
      {"json/big_number.json", false},
  };
  return table;
}

bool expect_ok(const std::string& file, const std::string& expected) {
  if (expected == "ok" || expected == "ok_4d" || expected.starts_with("ok ")) return true;
  if (expected == "error" || expected.starts_with("row a ok")) return false;
  REQUIRE(choices().count(file) == 1);  // "x_or_y": the project chose
  return choices().at(file);
}

}  // namespace

TEST_CASE("malformed: every file of the collection has its documented outcome") {
  const auto folder = malformed_folder();
  if (!std::filesystem::exists(folder + "expected.csv")) {
    MESSAGE("skipped: the shared data are absent (set HLIP_SHARED)");
    return;
  }
  const auto table = read_csv(folder + "expected.csv", {"file", "expected"});
  const int file_column = table.column("file"), expected_column = table.column("expected");
  CHECK(table.rows() > 100);
  for (std::size_t r = 0; r < table.rows(); ++r) {
    const std::string file(table.at(r, file_column)), expected(table.at(r, expected_column));
    CAPTURE(file);
    CAPTURE(expected);
    const auto report = inspect_file(folder + file);
    CHECK(report.ok() == expect_ok(file, expected));
    for (const auto& p : report.problems) {
      CAPTURE(p);
      // names the file (of a pair, either)
      CHECK(p.starts_with(folder + file.substr(0, file.rfind('/') + 1)));
      CHECK(p.size() < 1500);
      CHECK(find_invalid_utf8(p) == std::string::npos);
      CHECK(
          std::none_of(p.begin(), p.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; }));
    }
    if (expected.starts_with("ok "))
      CHECK(std::to_string(report.rows) + (report.rows == 1 ? " row" : " rows") ==
            expected.substr(3));
    if (expected.starts_with("row a ok")) CHECK(report.rows == 1);
  }
}

TEST_CASE("malformed: messages give the place") {
  const auto folder = malformed_folder();
  if (!std::filesystem::exists(folder)) {
    MESSAGE("skipped: the shared data are absent (set HLIP_SHARED)");
    return;
  }
  const auto says = [&](const std::string& file, const std::string& part) {
    const auto report = inspect_file(folder + file);
    bool found = false;
    for (const auto& p : report.problems) found = found || p.find(part) != std::string::npos;
    CAPTURE(file);
    CAPTURE(part);
    CHECK(found);
  };
  says("csv/missing_column.csv", "Impressions_EN");
  says("csv/ragged_rows.csv", "line 2: has 3 fields, the header has 5");
  says("csv/labels_bad_values.csv", "line 3, column Emphysema: is \"1.0\"");
  says("csv/labels_bad_values.csv", "line 3, column Atelectasis: is \"\"");
  says("csv/labels_bad_values.csv", "line 4, column Emphysema: is \"yes\"");
  says("csv/labels_bad_values.csv", "line 4, column Atelectasis: is \"-1\"");
  says("csv/metadata_bad_spacing.csv", "line 3, column XYSpacing");
  says("csv/metadata_bad_spacing.csv", "line 4, column RescaleSlope");
  says("csv/metadata_bad_spacing.csv", "line 5, column ZSpacing");
  says("csv/path_traversal.csv", "line 2, column VolumeName");
  says("csv/unterminated_quote.csv", "line 2: a quote opened in this row is never closed");
  says("json/nan.json", "byte 11");
  says("nifti/analyze75/orphan/alone.hdr", "alone.img is absent");
}

TEST_CASE("malformed: files that hold the same volume give the same voxels") {
  const auto folder = malformed_folder() + "nifti/";
  if (!std::filesystem::exists(folder)) {
    MESSAGE("skipped: the shared data are absent (set HLIP_SHARED)");
    return;
  }
  const auto good = read_nifti(folder + "good.nii");
  const auto values = good.voxels.to_vector();
  for (const char* name :
       {"good.nii.gz",           "two_members.nii.gz",   "trailing_garbage.nii.gz",
        "plain_named_gz.nii.gz", "nan_pixdim.nii",       "inf_pixdim.nii",
        "negative_pixdim.nii",   "nan_sform.nii",        "nan_scl.nii",
        "scl_slope_zero.nii",    "vox_offset_small.nii", "no_orientation.nii",
        "big_endian.nii",        "nifti2.nii.gz",        "four_d.nii.gz",
        "four_d_single.nii.gz",  "analyze75/pair.hdr",   "analyze75/pair.img",
        "oblique_20deg.nii.gz",  "sheared_sform.nii.gz"}) {
    CAPTURE(name);
    CHECK(read_nifti(folder + name).voxels.to_vector() == values);
  }
  const float low = *std::min_element(values.begin(), values.end());
  for (const char* type : {"i4", "u2", "u4", "i8", "f4", "f8"}) {
    CAPTURE(type);
    auto shifted = values;
    for (float& v : shifted) v -= low;
    CHECK(read_nifti(folder + "dtype_" + type + ".nii.gz").voxels.to_vector() == shifted);
  }
  auto scaled = values;
  for (float& v : scaled) v = 2 * v - 1024;
  CHECK(read_nifti(folder + "scl_real.nii").voxels.to_vector() == scaled);
  for (const char* code : {"RAS", "LAS", "PSR", "AIL"}) {
    CAPTURE(code);
    const auto v = read_nifti(folder + "orient_" + code + ".nii.gz");
    CHECK(orientation_code(v.affine) == code);
    const auto back = reorient(v, orientation_code(good.affine));
    CHECK(back.voxels.to_vector() == values);
    for (std::size_t r = 0; r < 3; ++r)
      for (std::size_t c = 0; c < 4; ++c)
        CHECK(back.affine[r][c] == doctest::Approx(good.affine[r][c]).epsilon(1e-4));
  }
}

TEST_CASE(
    "malformed: files that would fill the machine are refused or read in proportion to their size, "
    "with a few lines of messages") {
  const auto folder = shared_folder("hostile");
  if (!std::filesystem::exists(folder)) {
    MESSAGE("skipped: the shared data are absent (set HLIP_SHARED)");
    return;
  }
  // of no use, but small
  const std::set<std::string> readable = {"b2b_long_key_unfold.pt", "vox_offset_348_351.nii"};
  TempFolder unpacked;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    std::string path = file.path(), name = file.path().filename();
    if (name == "README.md" || name.ends_with(".toml")) continue;
    CAPTURE(name);
    if (name.ends_with(".gz")) {
      const std::string packed = read_file(path);
      const auto bytes = gunzip(std::as_bytes(std::span(packed)), std::size_t{1} << 28, path);
      path = unpacked / name.substr(0, name.size() - 3);
      atomic_write(path,
                   std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    }
    FileReport report;
    const auto cost = test::allocations_of([&] { report = inspect_file(path); });
    CHECK(report.ok() == readable.contains(name));
    CHECK(cost.peak < std::size_t{300} << 20);
    CHECK(cost.total < std::size_t{600} << 20);
    CHECK(report.problems.size() <= 21);
    for (const auto& p : report.problems) {
      CAPTURE(p);
      CHECK(p.starts_with(path));
      CHECK(p.size() < 1500);
      CHECK(visible_text(p) == p);
    }
  }
}
