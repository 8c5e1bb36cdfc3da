// A radiograph from a file, whatever its format. Needs libpng and libjpeg; with HLIP_WITH_DICOM
// (the CMake target hlip::dicom) also DCMTK, OpenJPEG and zlib.
#pragma once

#include <hlip/imaging/dicom/recognise.hpp>
#include <hlip/imaging/radiograph_jpeg.hpp>
#include <hlip/imaging/radiograph_png.hpp>
#include <hlip/io/file.hpp>
#if defined(HLIP_WITH_DICOM)
#include <hlip/imaging/dicom/radiograph.hpp>
#endif

#include <span>
#include <string>
#include <string_view>

HLIP_BEGIN

namespace detail {

// Part of the name of what differs with it, so that halves of a program built with and without
// DICOM do not take each other's.
#if defined(HLIP_WITH_DICOM)
struct WithDicom;
using DicomOfBuild = WithDicom;
#else
struct WithoutDicom;
using DicomOfBuild = WithoutDicom;
#endif

// Says what a file that is no picture probably is.
[[noreturn]] inline void fail_not_radiograph(const std::string& path, std::string_view text) {
  if (text.empty()) fail_file(path, "", "is empty, expected a picture (PNG, JPEG or DICOM)");
  if (text.starts_with("version https://git-lfs"))
    fail_file(path, "byte 0", "is a Git LFS pointer, not the picture itself; run git lfs pull");
  if (text.starts_with("<"))
    fail_file(path, "byte 0", "is a web page ({}), not a picture; the download failed",
              quote_text(text, 24));
  fail_file(path, "byte 0", "is neither PNG nor JPEG nor DICOM: it begins with {}",
            quote_text(text, 8));
}

}  // namespace detail

/// Reads a PNG, JPEG or DICOM file; its first bytes decide which it is, not its name. See
/// decode_png_radiograph, decode_jpeg_radiograph and read_dicom_radiograph for what of them is
/// read.
/// @throws hlip::error naming the file and the fault, for coloured pictures too
template <class = detail::DicomOfBuild>
Radiograph read_radiograph(const std::string& path, const RadiographLimits& limits = {}) {
  const std::string start = read_start(path, 64);
  const bool png = start.starts_with("\x89PNG\r\n\x1A\n"), jpeg = start.starts_with("\xFF\xD8\xFF");
  if (png || jpeg) {
    const std::string file = read_file(path, limits.max_file_bytes);
    const auto bytes = std::as_bytes(std::span(file));
    return png ? decode_png_radiograph(bytes, path, limits)
               : decode_jpeg_radiograph(bytes, path, limits);
  }
  if (!is_dicom_file(path)) detail::fail_not_radiograph(path, start);
#if defined(HLIP_WITH_DICOM)
  return read_dicom_radiograph(path, limits);
#else
  fail_without_dicom(path);
#endif
}

HLIP_END
