// One DICOM file: what its header says about grey pixels and their place, and the pixels as stored.
// Needs DCMTK, OpenJPEG and zlib.
#pragma once

#include <hlip/imaging/dicom/jpeg2000.hpp>
#include <hlip/io/file.hpp>
#include <hlip/io/isolated.hpp>
#include <hlip/tensor/shape.hpp>

#include <dcmtk/config/osconfig.h>

#include <dcmtk/dcmdata/dcdeftag.h>
#include <dcmtk/dcmdata/dcdict.h>
#include <dcmtk/dcmdata/dcfilefo.h>
#include <dcmtk/dcmdata/dcpixel.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dcrledrg.h>
#include <dcmtk/dcmdata/dcxfer.h>
#include <dcmtk/dcmjpeg/djdecode.h>
#include <dcmtk/dcmjpls/djdecode.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// What a file may ask for before it is refused.
struct DicomLimits {
  std::uint64_t max_bytes = std::uint64_t{1} << 32;     ///< all pixels of a volume as float
  std::uint64_t max_inflated = std::uint64_t{1} << 30;  ///< contents of a deflated file
  index_t max_frame_pixels = index_t{1} << 26;          ///< rows x columns
  index_t max_frames = index_t{1} << 16;
};

/// How a window of a frame is meant: VOILUTFunction. Source: DICOM PS3.3, C.11.2.1.2 and 3.
enum class DicomWindowing { linear, linear_exact, sigmoid };

/// The place and scale of one frame; what the file does not say is absent.
struct DicomFrame {
  std::optional<std::array<double, 3>> position;  ///< ImagePositionPatient
  /// ImageOrientationPatient: along a row, along a column
  std::optional<std::array<double, 6>> orientation;
  /// PixelSpacing: between rows, between columns
  std::optional<std::array<double, 2>> spacing;
  std::optional<double> thickness, slope, intercept;
  /// ImagerPixelSpacing: the same as `spacing`, on the detector; absent as well if it is no size
  std::optional<std::array<double, 2>> imager_spacing;
  /// WindowCenter and WindowWidth, the first of several; absent as well if they are no window
  std::optional<std::array<double, 2>> window;
  DicomWindowing windowing = DicomWindowing::linear;
};

/// What the header says.
struct DicomHeader {
  std::string path, syntax, syntax_name, modality, series, series_description, instance,
      photometric, rescale_type;
  index_t rows = 0, columns = 0;
  int bits_allocated = 0, bits_stored = 0, high_bit = 0;
  bool is_signed = false;
  std::optional<std::array<std::int32_t, 2>> padding;  ///< stored values around the picture
  std::vector<DicomFrame> frames;                      ///< one at least
};

namespace detail {

/// Starts DCMTK once per program: its decoders, and silence (its complaints go to stderr otherwise;
/// ours name the file).
HLIP_LAZY void start_dcmtk() {
  static const bool started = [] {
    OFLog::configure(OFLogger::OFF_LOG_LEVEL);
    DJDecoderRegistration::registerCodecs();
    DJLSDecoderRegistration::registerCodecs();
    DcmRLEDecoderRegistration::registerCodecs();
    // Standard elements written as "unknown" get their type back
    dcmEnableUnknownVRConversion.set(OFTrue);
    return dcmDataDict.isDictionaryLoaded() == OFTrue;
  }();
  if (!started)
    fail("dicom",
         "DCMTK finds its data dictionary nowhere; hint: set DCMDICTPATH to the file dicom.dic");
}

/// Unzips without keeping anything, to learn how much there is. @return at most `most` + 1
HLIP_LAZY std::uint64_t inflated_bytes(std::span<const std::byte> deflated, std::uint64_t most) {
  z_stream z{};
  if (inflateInit2(&z, -15) != Z_OK) fail("dicom", "cannot start zlib");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> ended(&z, inflateEnd);
  std::array<Bytef, 1 << 15> dump;
  z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(deflated.data()));
  z.avail_in = static_cast<uInt>(std::min<std::size_t>(deflated.size(), std::size_t{1} << 30));
  int status = Z_OK;
  for (std::uint64_t total = 0;; total += dump.size() - z.avail_out) {
    if (status != Z_OK || total > most) return std::min(total, most + 1);
    z.next_out = dump.data(), z.avail_out = static_cast<uInt>(dump.size());
    status = inflate(&z, Z_NO_FLUSH);
  }
}

/// N decimal numbers of an element, or nothing when it is absent or empty. @throws hlip::error when
/// they are not N finite numbers
template <std::size_t N>
std::optional<std::array<double, N>> dicom_numbers(DcmItem& item, const DcmTagKey& tag,
                                                   const char* name, const std::string& path) {
  if (!item.tagExistsWithValue(tag)) return {};
  std::array<double, N> out{};
  for (std::size_t i = 0; i < N; ++i)
    if (Float64 v = 0;
        item.findAndGetFloat64(tag, v, static_cast<unsigned long>(i)).good() && std::isfinite(v))
      out[i] = v;
    else fail_file(path, name, "does not hold {} finite number{}", N, N == 1 ? "" : "s");
  return out;
}
inline std::optional<double> dicom_number(DcmItem& item, const DcmTagKey& tag, const char* name,
                                          const std::string& path) {
  const auto v = dicom_numbers<1>(item, tag, name, path);
  return v ? std::optional(v->front()) : std::nullopt;
}
/// The same for what can be done without: nothing as well when they are no finite numbers.
template <std::size_t N>
std::optional<std::array<double, N>> sound_dicom_numbers(DcmItem& item, const DcmTagKey& tag) {
  std::array<double, N> out{};
  for (std::size_t i = 0; i < N; ++i)
    if (item.findAndGetFloat64(tag, out[i], static_cast<unsigned long>(i)).bad() ||
        !std::isfinite(out[i]))
      return {};
  return out;
}
/// A text that may stand in a message: other characters than those of ASCII become '?'.
inline std::string dicom_text(DcmItem& item, const DcmTagKey& tag) {
  OFString text;
  if (item.findAndGetOFString(tag, text).bad()) return {};
  std::string out(text.c_str(), std::min<std::size_t>(text.size(), 80));
  for (char& c : out)
    if (c < ' ' || c > '~') c = '?';
  return out;
}

/// Adds the window that an item names.
HLIP_LAZY void read_dicom_window(DcmItem& item, DicomFrame& frame) {
  const auto centre = sound_dicom_numbers<1>(item, DCM_WindowCenter),
             width = sound_dicom_numbers<1>(item, DCM_WindowWidth);
  if (!centre || !width) return;
  const std::string function = dicom_text(item, DCM_VOILUTFunction);
  frame.windowing = function == "SIGMOID"        ? DicomWindowing::sigmoid
                    : function == "LINEAR_EXACT" ? DicomWindowing::linear_exact
                                                 : DicomWindowing::linear;
  const double least = frame.windowing == DicomWindowing::linear ? 1 : 1e-9;
  if (width->front() >= least && width->front() <= 1e9 && std::abs(centre->front()) <= 1e9)
    frame.window = {centre->front(), width->front()};
}

/// Adds what an item says about a frame: a plain data set, or the functional groups of an enhanced
/// one.
HLIP_LAZY void read_dicom_frame(DcmItem& item, bool groups, const std::string& path,
                                DicomFrame& frame) {
  const auto look = [&](const DcmTagKey& group, auto&& take) {
    DcmItem* inner = &item;
    if (!groups || item.findAndGetSequenceItem(group, inner, 0).good()) take(*inner);
  };
  const auto keep = [](auto& to, const auto& value) {
    if (value) to = value;
  };
  look(DCM_PlanePositionSequence, [&](DcmItem& i) {
    keep(frame.position,
         dicom_numbers<3>(i, DCM_ImagePositionPatient, "ImagePositionPatient", path));
  });
  look(DCM_PlaneOrientationSequence, [&](DcmItem& i) {
    keep(frame.orientation,
         dicom_numbers<6>(i, DCM_ImageOrientationPatient, "ImageOrientationPatient", path));
  });
  look(DCM_PixelMeasuresSequence, [&](DcmItem& i) {
    keep(frame.spacing, dicom_numbers<2>(i, DCM_PixelSpacing, "PixelSpacing", path));
    keep(frame.thickness, dicom_number(i, DCM_SliceThickness, "SliceThickness", path));
  });
  look(DCM_PixelValueTransformationSequence, [&](DcmItem& i) {
    keep(frame.slope, dicom_number(i, DCM_RescaleSlope, "RescaleSlope", path));
    keep(frame.intercept, dicom_number(i, DCM_RescaleIntercept, "RescaleIntercept", path));
  });
  look(DCM_FrameVOILUTSequence, [&](DcmItem& i) { read_dicom_window(i, frame); });
  if (const auto mm = sound_dicom_numbers<2>(item, DCM_ImagerPixelSpacing); mm && !groups)
    frame.imager_spacing = mm;
}

// Rows and columns of the first frame header of a JPEG or JPEG-LS stream must be those the data set
// declares: decoders set memory aside for it.
HLIP_LAZY void check_jpeg_size(std::span<const std::byte> code, index_t rows, index_t columns,
                               const std::string& path, const std::string& place) {
  if (code.size() < 4 || big_endian(code, 0, 2) != 0xFFD8u)
    fail_file(path, place, "is not a JPEG stream");
  for (std::size_t at = 2; at + 10 <= code.size();) {
    const auto marker = big_endian(code, at, 2);
    if (marker == 0xFFFFu) {
      ++at;
      continue;
    }
    if (marker < 0xFF01u) break;
    const bool frame = (marker >= 0xFFC0u && marker <= 0xFFCFu && marker != 0xFFC4u &&
                        marker != 0xFFC8u && marker != 0xFFCCu) ||
                       marker == 0xFFF7u;
    if (!frame) {
      at += 2 + big_endian(code, at + 2, 2);
      continue;
    }
    const auto height = big_endian(code, at + 5, 2), width = big_endian(code, at + 7, 2),
               components = big_endian(code, at + 9, 1);
    if (height == rows && width == columns && components == 1) return;
    fail_file(path, place,
              "the JPEG stream holds {} x {} pixels of {} components, the header says {} x {} of 1",
              height, width, components, rows, columns);
  }
  fail_file(path, place, "the JPEG stream has no frame header");
}

/// An opened DICOM file of grey images. The header is checked; pixels are decoded when they are
/// asked for, frame by frame.
class DicomParser {
 public:
  /// @throws hlip::error naming the file and the fault, also for a sound file without grey pixels
  HLIP_LAZY explicit DicomParser(const std::string& path, const DicomLimits& limits)
      : limits_(limits), file_(std::make_unique<DcmFileFormat>()) {
    h_.path = path;
    check_before_parsing();
    if (const auto status = file_->loadFile(path.c_str()); status.bad())
      fail_file(path, "", "is not a sound DICOM file: {}", status.text());
    DcmDataset& data = *file_->getDataset();
    const DcmXfer syntax(data.getOriginalXfer());
    h_.syntax = syntax.getXferID();
    h_.syntax_name = syntax.getXferName();
    read_pixel_format(data);
    read_frames(data);
    h_.modality = dicom_text(data, DCM_Modality);
    h_.series = dicom_text(data, DCM_SeriesInstanceUID);
    h_.series_description = dicom_text(data, DCM_SeriesDescription);
    h_.instance = dicom_text(data, DCM_SOPInstanceUID);
    h_.rescale_type = dicom_text(data, DCM_RescaleType);
  }

  const DicomHeader& header() const { return h_; }

  /// The samples of all frames as stored, (frames, rows, columns): the bits in use, sign extended
  /// where they are signed; not rescaled.
  /// @throws hlip::error for cut or damaged pixels and for compressions that are not decoded
  HLIP_LAZY std::vector<std::int32_t> samples() const {
    DcmDataset& data = *file_->getDataset();
    DcmElement* element = nullptr;
    if (data.findAndGetElement(DCM_PixelData, element).bad() || !element)
      fail_file(h_.path, "PixelData", "is absent");
    auto* pixels = dynamic_cast<DcmPixelData*>(element);
    if (!pixels)
      fail_file(h_.path, "PixelData", "has a value representation that is none of pixels");
    const DcmXfer syntax(data.getOriginalXfer());
    std::vector<std::int32_t> out;
    if (syntax.isEncapsulated()) decode(*pixels, syntax.getXfer(), out);
    else copy_native(*pixels, out);
    // Bits above the high bit belong to something else (overlays, once), those below the stored
    // ones too.
    const int shift = h_.high_bit + 1 - h_.bits_stored;
    const std::uint32_t mask = (std::uint32_t{1} << h_.bits_stored) - 1,
                        sign = h_.is_signed ? std::uint32_t{1} << (h_.bits_stored - 1) : 0;
    for (auto& v : out) {
      const std::uint32_t bits = static_cast<std::uint32_t>(v) >> shift & mask;
      v = static_cast<std::int32_t>((bits ^ sign) - sign);
    }
    return out;
  }

 private:
  std::size_t frame_pixels() const { return static_cast<std::size_t>(h_.rows * h_.columns); }

  void check_before_parsing() const {
    const LoadedFile raw(h_.path);
    const auto bytes = raw.bytes();
    if (bytes.empty()) fail_file(h_.path, "", "is empty, expected a DICOM file");
    constexpr std::string_view deflated = "1.2.840.10008.1.2.1.99";
    if (bytes.size() < 144 || raw.text().substr(128, 4) != "DICM" ||
        raw.text().substr(132, 6) != std::string_view("\2\0\0\0UL", 6))
      return;
    std::uint32_t length = 0;
    std::memcpy(&length, bytes.data() + 140, 4);
    if (length > bytes.size() - 144)
      fail_file(h_.path, "byte 140", "the file ends inside its meta header of {} bytes", length);
    if (raw.text().substr(144, length).find(deflated) == std::string_view::npos) return;
    if (inflated_bytes(bytes.subspan(144 + length), limits_.max_inflated) > limits_.max_inflated)
      fail_file(h_.path, fmt::format("byte {}", 144 + length),
                "the deflated contents are more than the {} bytes allowed", limits_.max_inflated);
  }

  void read_pixel_format(DcmDataset& data) {
    const auto number = [&](const DcmTagKey& tag, const char* name) {
      Uint16 v = 0;
      if (data.findAndGetUint16(tag, v).bad())
        fail_file(h_.path, name, "is absent or no number{}",
                  data.tagExists(DCM_PixelData) ? "" : "; the file holds no pixels");
      return static_cast<int>(v);
    };
    h_.rows = number(DCM_Rows, "Rows");
    h_.columns = number(DCM_Columns, "Columns");
    if (h_.rows < 1 || h_.columns < 1 || h_.rows * h_.columns > limits_.max_frame_pixels)
      fail_file(h_.path, "Rows", "{} x {} pixels, expected 1 to {} in all", h_.rows, h_.columns,
                limits_.max_frame_pixels);
    Sint32 frames = 1;
    if (data.tagExistsWithValue(DCM_NumberOfFrames) &&
        data.findAndGetSint32(DCM_NumberOfFrames, frames).bad())
      fail_file(h_.path, "NumberOfFrames", "is no number");
    if (frames < 1 || frames > limits_.max_frames)
      fail_file(h_.path, "NumberOfFrames", "is {}, expected {}{}", frames,
                limits_.max_frames == 1 ? "" : "1 to ", limits_.max_frames);
    if (static_cast<std::uint64_t>(h_.rows * h_.columns * frames) * sizeof(float) >
        limits_.max_bytes)
      fail_file(h_.path, "NumberOfFrames",
                "{} frames of {} x {} pixels need more than the {} bytes allowed", frames, h_.rows,
                h_.columns, limits_.max_bytes);
    h_.frames.resize(static_cast<std::size_t>(frames));
    if (const int samples = number(DCM_SamplesPerPixel, "SamplesPerPixel"); samples != 1)
      fail_file(h_.path, "SamplesPerPixel", "is {}: hlip reads grey images, with 1", samples);
    h_.photometric = dicom_text(data, DCM_PhotometricInterpretation);
    if (!h_.photometric.starts_with("MONOCHROME"))
      fail_file(h_.path, "PhotometricInterpretation", "is {}, expected MONOCHROME1 or MONOCHROME2",
                h_.photometric.empty() ? "absent" : h_.photometric);
    h_.bits_allocated = number(DCM_BitsAllocated, "BitsAllocated");
    h_.bits_stored = number(DCM_BitsStored, "BitsStored");
    h_.high_bit = data.tagExists(DCM_HighBit) ? number(DCM_HighBit, "HighBit") : h_.bits_stored - 1;
    const int representation = number(DCM_PixelRepresentation, "PixelRepresentation");
    if (h_.bits_allocated != 8 && h_.bits_allocated != 16)
      fail_file(h_.path, "BitsAllocated", "is {}: hlip reads pixels of 8 and 16 bits",
                h_.bits_allocated);
    if (h_.bits_stored < 1 || h_.bits_stored > h_.bits_allocated ||
        h_.high_bit >= h_.bits_allocated || h_.high_bit + 1 < h_.bits_stored)
      fail_file(h_.path, "BitsStored", "{} bits below bit {} of {} are impossible", h_.bits_stored,
                h_.high_bit, h_.bits_allocated);
    if (representation > 1)
      fail_file(h_.path, "PixelRepresentation", "is {}, expected 0 (unsigned) or 1",
                representation);
    h_.is_signed = representation == 1;
    if (long first = 0; data.findAndGetLongInt(DCM_PixelPaddingValue, first).good()) {
      long last = first;
      if (data.findAndGetLongInt(DCM_PixelPaddingRangeLimit, last).bad()) last = first;
      h_.padding = {static_cast<std::int32_t>(std::min(first, last)),
                    static_cast<std::int32_t>(std::max(first, last))};
    }
  }

  void read_frames(DcmDataset& data) {
    DicomFrame common;
    read_dicom_frame(data, false, h_.path, common);
    DcmItem* shared = nullptr;
    if (data.findAndGetSequenceItem(DCM_SharedFunctionalGroupsSequence, shared, 0).good())
      read_dicom_frame(*shared, true, h_.path, common);
    for (auto& f : h_.frames) f = common;
    DcmSequenceOfItems* each = nullptr;
    if (data.findAndGetSequence(DCM_PerFrameFunctionalGroupsSequence, each).bad() || !each) return;
    if (each->card() != h_.frames.size())
      fail_file(h_.path, "PerFrameFunctionalGroupsSequence",
                "describes {} frames, NumberOfFrames is {}", each->card(), h_.frames.size());
    DcmObject* item = nullptr;
    for (auto& f : h_.frames) {
      item = each->nextInContainer(item);
      if (auto* groups = dynamic_cast<DcmItem*>(item)) read_dicom_frame(*groups, true, h_.path, f);
    }
  }

  void copy_native(DcmPixelData& pixels, std::vector<std::int32_t>& out) const {
    const std::size_t n = frame_pixels() * h_.frames.size(),
                      width = h_.bits_allocated == 16 ? 2 : 1;
    if (pixels.getLength() < n * width)
      fail_file(h_.path, "PixelData", "has {} bytes, {} x {} pixels of {} frames need {}",
                pixels.getLength(), h_.rows, h_.columns, h_.frames.size(), n * width);
    Uint16* words = nullptr;
    Uint8* bytes = nullptr;
    const auto status = width == 2 ? pixels.getUint16Array(words) : pixels.getUint8Array(bytes);
    if (status.bad() || (!words && !bytes))
      fail_file(h_.path, "PixelData", "cannot be read: {}",
                status.bad() ? status.text() : "no values");
    if (words) out.assign(words, words + n);
    else out.assign(bytes, bytes + n);
  }

  /// The code of each frame: its fragments, joined. Streams begin with a marker of their own, which
  /// tells frames of several fragments apart.
  std::vector<std::vector<std::byte>> frame_codes(DcmPixelData& pixels,
                                                  E_TransferSyntax syntax) const {
    DcmPixelSequence* sequence = nullptr;
    if (pixels.getEncapsulatedRepresentation(syntax, nullptr, sequence).bad() || !sequence ||
        sequence->card() < 2)
      fail_file(h_.path, "PixelData", "holds no compressed frame");
    const std::size_t frames = h_.frames.size(), fragments = sequence->card() - 1;
    std::vector<std::vector<std::byte>> codes;
    DcmObject* at = sequence->nextInContainer(nullptr);  // the offset table
    for (std::size_t k = 0; k < fragments; ++k) {
      at = sequence->nextInContainer(at);
      auto* item = dynamic_cast<DcmPixelItem*>(at);
      Uint8* bytes = nullptr;
      if (!item || item->getLength() == 0 || item->getUint8Array(bytes).bad() || !bytes)
        fail_file(h_.path, "PixelData", "fragment {} of {} cannot be read", k + 1, fragments);
      const auto* first = reinterpret_cast<const std::byte*>(bytes);
      const std::span<const std::byte> code(first, item->getLength());
      const auto marker = code.size() < 4 ? 0 : big_endian(code, 0, 4);
      const bool begins = fragments == frames || k == 0 ||
                          (frames > 1 && (marker == 0xFF4FFF51u || marker >> 8 == 0xFFD8FFu));
      if (begins) codes.emplace_back(code.begin(), code.end());
      else codes.back().insert(codes.back().end(), code.begin(), code.end());
    }
    if (codes.size() != frames)
      fail_file(h_.path, "PixelData", "{} compressed frames in {} fragments, NumberOfFrames is {}",
                codes.size(), fragments, frames);
    return codes;
  }

  void decode(DcmPixelData& pixels, E_TransferSyntax syntax, std::vector<std::int32_t>& out) const {
    const auto codes = frame_codes(pixels, syntax);
    const bool jpeg2000 = syntax == EXS_JPEG2000 || syntax == EXS_JPEG2000LosslessOnly,
               rle = syntax == EXS_RLELossless;
    Uint32 fragment = 0;
    for (std::size_t f = 0; f < codes.size(); ++f) {
      const std::string place = codes.size() == 1 ? "PixelData"
                                                  : fmt::format("PixelData, frame {}", f + 1);
      if (jpeg2000) {
        auto frame = decode_jpeg2000(codes[f], static_cast<std::uint32_t>(h_.rows),
                                     static_cast<std::uint32_t>(h_.columns), h_.path, place);
        // Coded without a sign where the header has one: the bits are those of a signed number of
        // that precision.
        if (h_.is_signed && !frame.is_signed && frame.precision >= 1 && frame.precision <= 16)
          for (auto& v : frame.values)
            v = (v ^ 1 << (frame.precision - 1)) - (1 << (frame.precision - 1));
        for (auto& v : frame.values) v <<= h_.high_bit + 1 - h_.bits_stored;
        out.insert(out.end(), frame.values.begin(), frame.values.end());
        continue;
      }
      if (!rle) check_jpeg_size(codes[f], h_.rows, h_.columns, h_.path, place);
      std::vector<Uint16> frame(frame_pixels() + 1);
      OFString colours;
      const auto status = pixels.getUncompressedFrame(
          file_->getDataset(), static_cast<Uint32>(f), fragment, frame.data(),
          static_cast<Uint32>(frame.size() * sizeof(Uint16)), colours);
      if (status.bad())
        fail_file(h_.path, place, "cannot be decoded ({}, {}): {}", h_.syntax_name, h_.syntax,
                  status.text());
      if (h_.bits_allocated == 16) {
        out.insert(out.end(), frame.begin(), frame.end() - 1);
      } else {
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(frame.data());
        out.insert(out.end(), bytes, bytes + frame_pixels());
      }
    }
  }

  DicomLimits limits_;
  DicomHeader h_;
  // Reads itself while pixels are decoded, which changes no value
  std::unique_ptr<DcmFileFormat> file_;
};

/// Headers and samples as bytes and back: they come from another process.
struct DicomMessage {
  std::string bytes;
  std::size_t at = 0;
  void put(const void* from, std::size_t n) { bytes.append(static_cast<const char*>(from), n); }
  void get(void* to, std::size_t n) {
    if (n > bytes.size() - at) fail("dicom", "the decoding process said too little");
    std::memcpy(to, bytes.data() + at, n);
    at += n;
  }
  template <class F> static void each_field(DicomHeader& h, F&& f) {
    for (std::string* text : {&h.syntax, &h.syntax_name, &h.modality, &h.series,
                              &h.series_description, &h.instance, &h.photometric, &h.rescale_type})
      f(*text);
    f(h.rows), f(h.columns), f(h.bits_allocated), f(h.bits_stored), f(h.high_bit), f(h.is_signed),
        f(h.padding), f(h.frames);
  }
  template <class T> void put_field(T& field) {
    if constexpr (requires { field.size(); }) {
      const std::uint64_t n = field.size();
      put(&n, sizeof(n));
      put(field.data(), n * sizeof(field[0]));
    } else {
      put(&field, sizeof(field));
    }
  }
  template <class T> void get_field(T& field) {
    if constexpr (requires { field.size(); }) {
      std::uint64_t n = 0;
      get(&n, sizeof(n));
      if (n > bytes.size() / sizeof(field[0])) fail("dicom", "the decoding process said nonsense");
      field.resize(n);
      get(field.data(), n * sizeof(field[0]));
    } else {
      get(&field, sizeof(field));
    }
  }
};

}  // namespace detail

/// What is in a file.
struct DicomImage {
  DicomHeader header;
  /// As stored, (frames, rows, columns): the bits in use, sign extended where they are signed; not
  /// rescaled. Empty if they were not asked for.
  std::vector<std::int32_t> samples;
};

/// Reads a DICOM file of grey images. DCMTK and the decoders run in a process of their own, with
/// limits of memory and time: files exist that crash them.
/// @throws hlip::error naming the file and the fault, also for a sound file without grey pixels and
/// for compressions that are not decoded
HLIP_LAZY DicomImage read_dicom_file(const std::string& path, const DicomLimits& limits = {},
                                     bool samples = true) {
  detail::start_dcmtk();
  const auto size = MappedFile(path).size();
  detail::DicomMessage message;
  message.bytes = run_isolated(
      path,
      {.memory_bytes = 4 * (std::uint64_t{size} + limits.max_inflated) + 2 * limits.max_bytes,
       .seconds = static_cast<unsigned>(60 + (size >> 18))},
      [&] {
        const detail::DicomParser parser(path, limits);
        detail::DicomMessage out;
        DicomHeader header = parser.header();
        detail::DicomMessage::each_field(header, [&](auto& field) { out.put_field(field); });
        if (samples) {
          auto values = parser.samples();
          out.put_field(values);
        }
        return std::move(out.bytes);
      });
  DicomImage image;
  image.header.path = path;
  detail::DicomMessage::each_field(image.header, [&](auto& field) { message.get_field(field); });
  if (samples) message.get_field(image.samples);
  return image;
}

HLIP_END
