// DICOM: the files of the shared collection by their recorded sums, and small ones written here.
#include <doctest/doctest.h>

#ifndef HLIP_WITH_DICOM
TEST_CASE("dicom: not built, DCMTK or OpenJPEG is absent") {
  MESSAGE("skipped: hlip::dicom is not there");
}
#else

#include "../io/temp_folder.hpp"
#include "../support/errors.hpp"
#include "../support/sha256.hpp"

#include <hlip/core/random.hpp>
#include <hlip/datasets/inspect_dicom.hpp>
#include <hlip/imaging/augment/byte_picture.hpp>
#include <hlip/imaging/read_radiograph.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>

using namespace hlip;

namespace {

std::string dicom_folder() {
  const char* shared = std::getenv("HLIP_SHARED");
  return (shared ? std::string(shared) : std::string(HLIP_SOURCE_DIR) + "/../shared") +
         "/data/dicom/";
}
bool absent(const std::string& folder) {
  if (std::filesystem::exists(folder)) return false;
  MESSAGE("skipped: the shared data are absent (set HLIP_SHARED)");
  return true;
}
bool says(const std::string& message, std::string_view part) {
  if (message.find(part) != std::string::npos) return true;
  MESSAGE(message);
  return false;
}
std::string fault(const std::string& path, const DicomOptions& options = {}) {
  return test::error_of([&] { read_dicom(path, options); });
}

/// A small CT slice in explicit little endian, written element by element.
struct Slice {
  std::string series = "1.2.3", modality = "CT", position = "-10\\-20\\0",
              orientation = "1\\0\\0\\0\\1\\0", spacing = "0.5\\0.75", slope = "2",
              intercept = "-1000", frames, syntax = "1.2.840.10008.1.2.1",
              photometric = "MONOCHROME2", imager_spacing, centre, width, function, padding;
  std::uint16_t rows = 2, columns = 3, bits_stored = 12, samples = 1, is_signed = 0;
  std::vector<std::uint16_t> pixels = {0, 1, 2, 3, 4, 5};

  static std::string u16(std::size_t v) {
    return {static_cast<char>(v & 255), static_cast<char>(v >> 8 & 255)};
  }
  static std::string u32(std::size_t v) { return u16(v & 65535) + u16(v >> 16); }
  static std::string element(unsigned group, unsigned number, const std::string& vr,
                             std::string value) {
    if (value.size() % 2) value += vr == "UI" ? '\0' : ' ';
    return u16(group) + u16(number) + vr +
           (vr == "OW" || vr == "SQ" ? u16(0) + u32(value.size()) : u16(value.size())) + value;
  }
  std::string bytes() const {
    const auto text = [](unsigned group, unsigned number, const char* vr,
                         const std::string& value) {
      return value.empty() ? "" : element(group, number, vr, value);
    };
    std::string meta = element(2, 0x10, "UI", syntax), data, raw;
    for (const auto p : pixels) raw += u16(p);
    data += element(8, 0x16, "UI", "1.2.840.10008.5.1.4.1.1.2") + text(8, 0x60, "CS", modality) +
            text(0x18, 0x1164, "DS", imager_spacing) + element(0x20, 0xE, "UI", series) +
            element(0x20, 0x13, "IS", "7") + text(0x20, 0x32, "DS", position) +
            text(0x20, 0x37, "DS", orientation) + element(0x28, 2, "US", u16(samples)) +
            element(0x28, 4, "CS", photometric) + text(0x28, 8, "IS", frames) +
            element(0x28, 0x10, "US", u16(rows)) + element(0x28, 0x11, "US", u16(columns)) +
            text(0x28, 0x30, "DS", spacing) + element(0x28, 0x100, "US", u16(16)) +
            element(0x28, 0x101, "US", u16(bits_stored)) +
            element(0x28, 0x102, "US", u16(bits_stored - 1u)) +
            element(0x28, 0x103, "US", u16(is_signed)) + text(0x28, 0x120, "US", padding) +
            text(0x28, 0x1050, "DS", centre) + text(0x28, 0x1051, "DS", width) +
            text(0x28, 0x1052, "DS", intercept) + text(0x28, 0x1053, "DS", slope) +
            text(0x28, 0x1056, "CS", function) + element(0x7FE0, 0x10, "OW", raw);
    return std::string(128, '\0') + "DICM" + element(2, 0, "UL", u32(meta.size())) + meta + data;
  }
};

/// n slices 2 mm apart whose file names and instance numbers say nothing of their order.
void write_series(
    const TempFolder& folder, int n,
    const std::function<void(int, Slice&)>& change = [](int, Slice&) {}) {
  for (int k = 0; k < n; ++k) {
    Slice s;
    s.position = fmt::format("-10\\-20\\{}", 2 * k);
    for (auto& p : s.pixels) p = static_cast<std::uint16_t>(p + 10 * k);
    change(k, s);
    atomic_write(folder / fmt::format("{}.dcm", (7 * k + 3) % n), s.bytes());
  }
}

}  // namespace

TEST_CASE(
    "dicom: every file of the collection decodes to its recorded sum, or is refused where the "
    "reference refuses") {
  const auto folder = dicom_folder();
  if (absent(folder)) return;
  CHECK(test::sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const auto table = read_csv(
      folder + "expected.csv",
      {"file", "transfer_syntax", "shape", "sha256_stored_little_endian", "decode_note"});
  CHECK(table.rows() == 60);
  for (std::size_t r = 0; r < table.rows(); ++r) {
    const auto field = [&](const char* name) {
      return std::string(table.at(r, table.column(name)));
    };
    const std::string path = folder + field("file");
    CAPTURE(path);
    if (!field("decode_note").empty()) {
      // The one lossy 12-bit file that the reference had no decoder for is decoded here; the cut
      // ones are refused.
      const bool lossy = field("transfer_syntax") == "1.2.840.10008.1.2.4.51";
      CHECK(inspect_dicom(path).ok() == lossy);
      continue;
    }
    const auto [h, samples] = read_dicom_file(path);
    CHECK(h.syntax == field("transfer_syntax"));
    CHECK(h.modality == field("Modality"));
    const std::string frame = fmt::format("{}x{}", h.rows, h.columns);
    CHECK((h.frames.size() == 1 ? frame : fmt::format("{}x{}", h.frames.size(), frame)) ==
          field("shape"));
    std::string raw;
    for (const auto v : samples) {
      raw += static_cast<char>(v & 255);
      if (h.bits_allocated == 16) raw += static_cast<char>(v >> 8 & 255);
    }
    CHECK(test::sha256(raw) == field("sha256_stored_little_endian"));
  }
}

TEST_CASE("dicom: the collection's CT series becomes one volume in HU") {
  const auto folder = dicom_folder() + "ct_series_j2k";
  if (absent(folder)) return;
  const auto v = read_dicom(folder);
  CHECK(v.voxels.shape() == Shape{20, 512, 512});
  CHECK(v.unit == Unit::hounsfield);
  CHECK(v.warnings.empty());
  CHECK(orientation_code(v.affine) == "LPS");
  CHECK(v.spacing == std::array<double, 3>{2, 0.9765625, 0.9765625});
  CHECK(v.affine[2][3] == -804.5);  // the slice nearest to the feet, which has the highest number
  const auto last = read_dicom_file(folder + "/16592.dcm").samples;
  for (const std::size_t at : {0u, 512u * 256u + 200u})
    CHECK(v.voxels.data()[at] == static_cast<float>(last[at] - 1024));
}

TEST_CASE("dicom: series of the collection that are no volume are refused") {
  const auto folder = dicom_folder();
  if (absent(folder)) return;
  CHECK(says(fault(folder + "mr_t1_series"), "unevenly spaced"));
  CHECK(says(fault(folder + "single"), "MR_truncated.dcm"));
  CHECK(says(fault(folder), "holds no DICOM files"));
  const auto chest = read_dicom(folder + "ct_chest_slices");
  CHECK(chest.voxels.shape() == Shape{2, 512, 512});
  CHECK(chest.unit == Unit::stored);  // no Modality
  CHECK(says(chest.warnings.at(0), "Modality is absent"));
}

TEST_CASE("dicom: slices lie by position, values are rescaled slice by slice") {
  TempFolder folder;
  write_series(folder, 5, [](int k, Slice& s) {
    if (k == 4) s.slope = "3";
  });
  atomic_write(folder / "notes.txt", "not an image, but a text of more than sixteen bytes");
  const auto v = read_dicom(folder.string());
  CHECK(v.voxels.shape() == Shape{5, 2, 3});
  for (int k = 0; k < 5; ++k)
    for (int p = 0; p < 6; ++p)
      CHECK(v.voxels.data()[6 * k + p] ==
            static_cast<float>((k == 4 ? 3 : 2) * (10 * k + p) - 1000));
  const Affine want = {{{-0.75, 0, 0, 10}, {0, -0.5, 0, 20}, {0, 0, 2, 0}, {0, 0, 0, 1}}};
  CHECK(v.affine == want);
  CHECK(v.unit == Unit::hounsfield);
  REQUIRE(v.warnings.size() == 1);
  CHECK(says(v.warnings[0], "1 file is no DICOM and left out"));
}

TEST_CASE("dicom: bits above the stored ones are not values") {
  TempFolder folder;
  Slice s;
  s.pixels = {0x0FFF, 0xF001, 0x0800, 0x07FF, 0, 0xF800};
  atomic_write(folder / "unsigned.dcm", s.bytes());
  CHECK(read_dicom_file(folder / "unsigned.dcm").samples ==
        std::vector<std::int32_t>{4095, 1, 2048, 2047, 0, 2048});
  s.is_signed = 1;
  atomic_write(folder / "signed.dcm", s.bytes());
  CHECK(read_dicom_file(folder / "signed.dcm").samples ==
        std::vector<std::int32_t>{-1, 1, -2048, 2047, 0, -2048});
}

TEST_CASE("dicom: a folder that is not one volume is refused with file and fault") {
  const auto with = [](std::function<void(int, Slice&)> change, const DicomOptions& options = {}) {
    TempFolder folder;
    write_series(folder, 5, change);
    return fault(folder.string(), options);
  };
  CHECK(with([](int, Slice&) {}) == "no error");
  CHECK(says(with([](int k, Slice& s) { s.series = k < 2 ? "1.2.4" : "1.2.3"; }),
             "holds 2 series, expected one (hint: choose one by its UID, or give each a folder): "
             "1.2.3 (CT, 3 files), 1.2.4 (CT, 2 files)"));
  CHECK(with([](int k, Slice& s) { s.series = k < 2 ? "1.2.4" : "1.2.3"; }, {.series = "1.2.4"}) ==
        "no error");
  CHECK(says(with([](int, Slice&) {}, {.series = "9.9"}), "expected 9.9"));
  CHECK(says(with([](int, Slice&) {}, {.modality = "MR"}), "Modality: is CT, expected MR"));
  CHECK(says(with([](int k, Slice& s) {
               if (k == 2) s.rows = 3, s.columns = 2;
             }),
             "Rows: 3 x 2 pixels, but 2 x 3 in"));
  CHECK(says(with([](int k, Slice& s) {
               if (k == 2) s.position.clear();
             }),
             "ImagePositionPatient: is absent"));
  CHECK(says(with([](int k, Slice& s) {
               if (k == 2) s.position = "1\\2";
             }),
             "ImagePositionPatient: does not hold 3 finite numbers"));
  CHECK(says(with([](int k, Slice& s) {
               if (k == 2) s.position = "-10\\-20\\6";
             }),
             "is at the same place as"));
  CHECK(says(with([](int, Slice& s) { s.spacing.clear(); }), "PixelSpacing: is absent"));
  CHECK(says(with([](int, Slice& s) { s.slope = "0"; }), "RescaleSlope: is 0"));
  CHECK(says(with([](int, Slice& s) { s.samples = 3; }), "SamplesPerPixel: is 3"));
  CHECK(says(with([](int, Slice& s) { s.bits_stored = 17; }), "BitsStored"));
  CHECK(says(with([](int, Slice& s) { s.rows = 0; }), "Rows"));
  CHECK(says(with([](int, Slice& s) { s.rows = 60000, s.columns = 60000; }),
             "Rows: 60000 x 60000 pixels"));
  CHECK(says(with([](int, Slice& s) { s.rows = 200; }),
             "PixelData: has 12 bytes, 200 x 3 pixels of 1 frames need 1200"));
  CHECK(says(with([](int, Slice& s) { s.frames = "2000000"; }), "NumberOfFrames: is 2000000"));
  CHECK(says(with([](int, Slice& s) { s.syntax = "1.2.840.10008.1.2.4.90"; }),
             "compressed Transfer Syntax uses explicit length"));
}

TEST_CASE("dicom: cut and spoilt files give an error or pixels, nothing else") {
  TempFolder folder;
  std::vector<std::string> seeds = {Slice().bytes()};
  for (const char* name :
       {"MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_implicit.dcm", "MR_small_expb.dcm", "image_dfl.dcm"})
    if (const auto path = dicom_folder() + "single/" + name; is_file(path))
      seeds.push_back(read_file(path));
  RandomStream random({11, 12, 13});
  int refused = 0, read = 0;
  for (int round = 0; round < 400; ++round) {
    std::string bytes = seeds[static_cast<std::size_t>(round) % seeds.size()];
    const auto anywhere = [&] {
      return static_cast<std::size_t>(random.below(static_cast<std::int64_t>(bytes.size())));
    };
    if (round % 3 == 0) bytes.resize(anywhere() + 1);
    else
      for (int i = 0; i < 1 + round % 7; ++i)
        bytes[anywhere()] = static_cast<char>(random.below(256));
    atomic_write(folder / "spoilt.dcm", bytes);
    const auto report = inspect_dicom(folder / "spoilt.dcm");
    report.ok() ? ++read : ++refused;
    for (const auto& p : report.problems) CHECK(p.starts_with(folder.string()));
  }
  CHECK(refused > 100);
  CHECK(read > 20);
}

TEST_CASE("dicom: sequences nested without end are refused, not followed") {
  std::string bytes = Slice().bytes();
  const std::string pixels = bytes.substr(bytes.size() - 24);
  bytes.resize(bytes.size() - 24);
  std::string nest;
  for (int depth = 0; depth < 200000; ++depth)
    nest += Slice::u16(0x40) + Slice::u16(0xA730) + "SQ" + Slice::u16(0) + Slice::u32(0xFFFFFFFF) +
            Slice::u16(0xFFFE) + Slice::u16(0xE000) + Slice::u32(0xFFFFFFFF);
  TempFolder folder;
  atomic_write(folder / "deep.dcm", bytes + nest + pixels);
  const auto report = inspect_dicom(folder / "deep.dcm");
  REQUIRE(report.problems.size() == 1);
  CHECK(says(report.problems[0], "deep.dcm: the decoder crashed on it"));
}

TEST_CASE("dicom: a radiograph is dark where its levels are low, and shown through its window") {
  TempFolder folder;
  const auto read = [&](auto change) {
    Slice s;
    s.intercept = s.slope = s.spacing = "";
    change(s);
    atomic_write(folder / "x", s.bytes());
    return read_radiograph(folder / "x");
  };
  using Levels = std::vector<std::uint16_t>;
  using Window = std::array<double, 2>;
  const auto plain = read([](Slice&) {});
  CHECK(plain.levels == Levels{0, 1, 2, 3, 4, 5});
  CHECK(plain.bits == 12);
  CHECK(plain.window == Window{0, 5});
  CHECK_FALSE(plain.spacing.has_value());
  const auto inverted = read([](Slice& s) { s.photometric = "MONOCHROME1"; });
  CHECK(inverted.levels == Levels{4095, 4094, 4093, 4092, 4091, 4090});
  CHECK(to_byte_picture(inverted).levels == std::vector<std::uint8_t>{255, 204, 153, 102, 51, 0});
  CHECK(read([](Slice& s) { s.is_signed = 1, s.pixels[0] = 0x0FFF; }).levels ==
        Levels{2047, 2049, 2050, 2051, 2052, 2053});
  CHECK(read([](Slice& s) { s.slope = "-1", s.intercept = "9"; }).levels == inverted.levels);

  const auto windowed = [](Slice& s) { s.centre = "3\\40", s.width = "4\\400"; };
  CHECK(read(windowed).window == Window{1, 4});
  CHECK(read([&](Slice& s) {
          windowed(s);
          s.function = "LINEAR_EXACT";
        }).window == Window{1, 5});
  const auto both = read([&](Slice& s) {
    windowed(s);
    s.photometric = "MONOCHROME1", s.slope = "2", s.intercept = "-1";
  });
  CHECK(both.window == Window{4095 - 2.5, 4095 - 1});
  const auto curved = read([&](Slice& s) {
    windowed(s);
    s.function = "SIGMOID";
  });
  CHECK(curved.bits == 16);
  CHECK(curved.levels[3] == 32768);
  CHECK(curved.levels[5] == std::lround(65535 / (1 + std::exp(-2.0))));
  CHECK(curved.window == Window{0, 65535});
  for (const char* none : {"0", "-4", "x"})
    CHECK(read([&](Slice& s) { s.centre = "3", s.width = none; }).window == Window{0, 5});
  CHECK(read([](Slice& s) { s.padding = Slice::u16(5); }).window == Window{0, 4});
}

TEST_CASE("dicom: the pixel size of a radiograph, and what is no radiograph") {
  TempFolder folder;
  const auto write = [&](auto change) {
    Slice s;
    change(s);
    atomic_write(folder / "x", s.bytes());
    return folder / "x";
  };
  const auto spacing = [&](const char* patient, const char* detector) {
    return read_radiograph(
               write([&](Slice& s) { s.spacing = patient, s.imager_spacing = detector; }))
        .spacing;
  };
  using Spacing = std::array<double, 2>;
  CHECK(spacing("0.5\\0.75", "0.1\\0.2") == Spacing{0.5, 0.75});
  CHECK(spacing("", "0.1\\0.2") == Spacing{0.1, 0.2});
  CHECK_FALSE(spacing("0\\0", "").has_value());
  const auto refused = [&](auto change) {
    const auto path = write(change);
    return test::error_of([&] { read_radiograph(path); });
  };
  CHECK(says(refused([](Slice& s) { s.frames = "2"; }), "NumberOfFrames: is 2, expected 1"));
  CHECK(says(refused([](Slice& s) { s.slope = "0"; }), "RescaleSlope: is 0"));
  CHECK(says(refused([](Slice& s) { s.samples = 3; }), "SamplesPerPixel: is 3"));
  CHECK(says(refused([](Slice& s) { s.photometric = "PALETTE COLOR"; }), "expected MONOCHROME1"));
  CHECK(says(refused([](Slice& s) { s.rows = 30000, s.columns = 30000; }),
             "Rows: 30000 x 30000 pixels"));
  CHECK(says(refused([](Slice& s) {
               s.rows = 30000, s.columns = 1;
               s.pixels.resize(30000);
             }),
             "Rows: 30000 x 1 pixels, expected 1 to 20000 a side"));
}

#endif
