// A JPEG file to a Radiograph. Needs libjpeg (libjpeg-turbo).
#pragma once

#include <hlip/imaging/radiograph.hpp>

// jpeglib.h uses FILE and size_t and includes neither.
#include <cstddef>
#include <cstdio>

#include <jpeglib.h>

#include <jerror.h>

#include <csetjmp>
#include <cstdlib>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

HLIP_BEGIN

namespace detail {

// libjpeg leaves by longjmp: nothing between its callbacks and `guarded` may have a destructor.
class JpegDecoder {
 public:
  HLIP_LAZY explicit JpegDecoder(std::span<const std::byte> bytes) : bytes_(bytes) {
    info_.err = jpeg_std_error(&errors_);
    errors_.error_exit = leave;
    errors_.emit_message = on_message;
    errors_.output_message = [](j_common_ptr) {};
    info_.client_data = this;
  }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;
  ~JpegDecoder() { jpeg_destroy_decompress(&info_); }

  /// Everything before the pixels. @return false when libjpeg refused; see fault()
  HLIP_LAZY bool read_header() {
    return guarded([this] {
      jpeg_create_decompress(&info_);
      jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(bytes_.data()),
                   static_cast<unsigned long>(bytes_.size()));
      jpeg_read_header(&info_, TRUE);
      progress_.progress_monitor = count_scans;
      info_.progress = &progress_;
      const auto coded = info_.jpeg_color_space;
      known_colours = coded == JCS_GRAYSCALE || coded == JCS_YCbCr || coded == JCS_RGB;
      info_.out_color_space = coded;  // not converted: see keep_row
      info_.do_fancy_upsampling = FALSE;
    });
  }
  /// All pixels. @param row room for one, 3 bytes a pixel
  HLIP_LAZY bool read_rows(std::uint8_t* row, std::uint16_t* levels) {
    return guarded([this, row, levels] {
      jpeg_start_decompress(&info_);
      while (info_.output_scanline < info_.output_height) {
        JSAMPROW rows[1] = {row};
        const JDIMENSION y = info_.output_scanline;
        if (jpeg_read_scanlines(&info_, rows, 1) == 1) keep_row(row, y, levels);
      }
      jpeg_finish_decompress(&info_);
    });
  }

  JDIMENSION width() const { return info_.image_width; }
  JDIMENSION height() const { return info_.image_height; }
  int components() const { return info_.num_components; }
  const char* fault() const { return fault_; }

  bool known_colours = false, coloured = false;
  JDIMENSION coloured_row = 0;

 private:
  template <class Fn> bool guarded(Fn fn) {
    static_assert(std::is_trivially_destructible_v<Fn>);
    if (setjmp(back_) != 0) return false;
    fn();
    return true;
  }
  [[noreturn]] static void leave(j_common_ptr info) {
    auto* self = static_cast<JpegDecoder*>(info->client_data);
    info->err->format_message(info, self->fault_);
    std::longjmp(self->back_, 1);
  }
  // A warning says that pixels are lost and grey ones stand in, except this one.
  static void on_message(j_common_ptr info, int level) {
    if (level < 0 && info->err->msg_code != JWRN_EXTRANEOUS_DATA) leave(info);
  }
  // A small file can ask for a large picture to be gone over thousands of times.
  static void count_scans(j_common_ptr info) {
    auto* self = static_cast<JpegDecoder*>(info->client_data);
    if (self->info_.input_scan_number <= 256) return;
    std::snprintf(self->fault_, sizeof(self->fault_), "more than 256 scans");
    std::longjmp(self->back_, 1);
  }
  void keep_row(const std::uint8_t* row, JDIMENSION y, std::uint16_t* levels) {
    const JDIMENSION n = info_.output_width;
    std::uint16_t* to = levels + std::size_t{y} * n;
    bool grey = true;
    if (info_.out_color_space == JCS_GRAYSCALE) {
      for (JDIMENSION x = 0; x < n; ++x) to[x] = row[x];
    } else if (info_.out_color_space == JCS_YCbCr) {  // the grey value and two of colour, 128: none
      for (JDIMENSION x = 0; x < n; ++x, row += 3) {
        to[x] = row[0];
        grey = grey && std::abs(row[1] - 128) <= 1 && std::abs(row[2] - 128) <= 1;
      }
    } else {
      for (JDIMENSION x = 0; x < n; ++x, row += 3) {
        to[x] = row[0];
        grey = grey && row[0] == row[1] && row[0] == row[2];
      }
    }
    if (grey || coloured) return;
    coloured = true;
    coloured_row = y;
  }

  std::span<const std::byte> bytes_;
  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf back_{};
  char fault_[JMSG_LENGTH_MAX] = "";
};

}  // namespace detail

/// Decodes a JPEG of 8 bits: grey, or colours that are grey everywhere, but for the one step by
/// which compression may miss. CMYK is refused, and so is whatever libjpeg would mend: pixels lost
/// in a damaged file. The picture lies as it is stored, whatever EXIF says.
/// @param path named in errors
/// @throws hlip::error for coloured pictures, for what is too large and for damaged files
HLIP_LAZY Radiograph decode_jpeg_radiograph(std::span<const std::byte> bytes,
                                            const std::string& path,
                                            const RadiographLimits& limits = {}) {
  detail::JpegDecoder jpeg(bytes);
  if (!jpeg.read_header()) fail_file(path, "", "is not a sound JPEG: {}", jpeg.fault());
  expect_radiograph_size(path, "frame header", jpeg.height(), jpeg.width(), limits);
  if (!jpeg.known_colours)
    fail_file(path, "frame header",
              "has {} components of a colour space that is neither grey, YCbCr nor RGB, expected a "
              "grey picture",
              jpeg.components());
  // A block of 64 pixels takes one bit at least.
  const std::size_t pixels = std::size_t{jpeg.height()} * jpeg.width();
  if (pixels / 512 > bytes.size())
    fail_file(path, "frame header", "{} x {} pixels do not fit into a file of {} bytes",
              jpeg.height(), jpeg.width(), bytes.size());
  Radiograph out;
  out.height = jpeg.height(), out.width = jpeg.width(), out.source = path;
  out.levels.resize(pixels);
  std::vector<std::uint8_t> row(std::size_t{jpeg.width()} * 3);
  if (!jpeg.read_rows(row.data(), out.levels.data()))
    fail_file(path, "", "is not a sound JPEG: {}", jpeg.fault());
  if (jpeg.coloured)
    fail_file(path, fmt::format("row {}", jpeg.coloured_row),
              "is a coloured picture, expected a grey one");
  return out;
}

HLIP_END
