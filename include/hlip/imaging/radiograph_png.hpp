// A PNG file to a Radiograph. Needs libpng.
#pragma once

#include <hlip/imaging/radiograph.hpp>

#include <png.h>

#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <vector>

HLIP_BEGIN

namespace detail {

// What libpng's callbacks see. They leave by longjmp: nothing between them and `guarded` may have a
// destructor.
struct PngInput {
  const std::byte* data = nullptr;
  std::size_t size = 0, at = 0;
  char fault[160] = "";
  // the first row with a pixel that is not grey
  png_uint_32 coloured_row = 0;
  bool coloured = false;
};

class PngDecoder {
 public:
  explicit PngDecoder(std::span<const std::byte> bytes) {
    in_.data = bytes.data(), in_.size = bytes.size();
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &in_, on_error, on_warning);
    if (png_) info_ = png_create_info_struct(png_);
  }
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;
  ~PngDecoder() {
    png_destroy_read_struct(png_ ? &png_ : nullptr, info_ ? &info_ : nullptr, nullptr);
  }

  /// Everything before the pixels. @return false when libpng refused; see fault()
  HLIP_LAZY bool read_header() {
    if (!png_ || !info_) return false;
    return guarded([this] {
      png_set_read_fn(png_, &in_, take);
      png_set_user_limits(png_, 0x7FFFFFFF, 0x7FFFFFFF);  // the caller has limits and messages
      // texts, profiles and dates are neither unpacked nor kept
      png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
      png_read_info(png_, info_);
      int interlace = 0;
      png_get_IHDR(png_, info_, &width, &height, &bits, &colour_type, &interlace, nullptr, nullptr);
      packed_row_bytes = png_get_rowbytes(png_, info_);
      interlaced = interlace != PNG_INTERLACE_NONE;
    });
  }

  /// What rows become: grey, or three colours, of 8 or 16 bits. Sets memory aside for them.
  HLIP_LAZY bool start_rows() {
    return guarded([this] {
      if (colour_type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png_);
      if (colour_type == PNG_COLOR_TYPE_GRAY && bits < 8) png_set_expand_gray_1_2_4_to_8(png_);
      png_set_strip_alpha(png_);
      png_set_interlace_handling(png_);
      png_read_update_info(png_, info_);
      row_bytes = png_get_rowbytes(png_, info_);
      channels = png_get_channels(png_, info_);
      bits = png_get_bit_depth(png_, info_);
    });
  }

  /// All pixels. @param rows room for one row of row_bytes, for all of them if interlaced
  HLIP_LAZY bool read_rows(std::uint8_t* rows, std::uint16_t* levels) {
    return guarded([this, rows, levels] {
      if (interlaced) {  // passes go over all rows, each adds to them
        for (int pass = 0; pass < 7; ++pass)
          for (png_uint_32 y = 0; y < height; ++y)
            png_read_row(png_, rows + y * row_bytes, nullptr);
        for (png_uint_32 y = 0; y < height; ++y) keep_row(rows + y * row_bytes, y, levels);
      } else {
        for (png_uint_32 y = 0; y < height; ++y) {
          png_read_row(png_, rows, nullptr);
          keep_row(rows, y, levels);
        }
      }
      png_read_end(png_, nullptr);
    });
  }

  const char* fault() const { return in_.fault[0] ? in_.fault : "it cannot be started"; }
  std::size_t at() const { return in_.at; }
  bool coloured() const { return in_.coloured; }
  std::size_t coloured_row() const { return in_.coloured_row; }

  png_uint_32 width = 0, height = 0;
  int bits = 0, colour_type = 0, channels = 0;
  std::size_t packed_row_bytes = 0, row_bytes = 0;
  bool interlaced = false;

 private:
  template <class Fn> bool guarded(Fn fn) {
    static_assert(std::is_trivially_destructible_v<Fn>);
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    fn();
    return true;
  }
  static void on_error(png_structp png, png_const_charp message) {
    auto* in = static_cast<PngInput*>(png_get_error_ptr(png));
    std::snprintf(in->fault, sizeof(in->fault), "%s", message);
    png_longjmp(png, 1);
  }
  static void on_warning(png_structp, png_const_charp) {}
  static void take(png_structp png, png_bytep to, std::size_t n) {
    auto* in = static_cast<PngInput*>(png_get_io_ptr(png));
    if (n > in->size - in->at) png_error(png, "the file is cut");
    std::memcpy(to, in->data + in->at, n);
    in->at += n;
  }
  void keep_row(const std::uint8_t* row, png_uint_32 y, std::uint16_t* levels) {
    std::uint16_t* to = levels + std::size_t{y} * width;
    const int step = channels * (bits / 8);
    bool grey = true;
    for (png_uint_32 x = 0; x < width; ++x, row += step) {
      if (bits == 16) {
        to[x] = static_cast<std::uint16_t>(row[0] << 8 | row[1]);
        if (channels == 3)
          grey = grey && row[0] == row[2] && row[0] == row[4] && row[1] == row[3] &&
                 row[1] == row[5];
      } else {
        to[x] = row[0];
        if (channels == 3) grey = grey && row[0] == row[1] && row[0] == row[2];
      }
    }
    if (grey || in_.coloured) return;
    in_.coloured = true;
    in_.coloured_row = y;
  }

  PngInput in_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

}  // namespace detail

/// Decodes a PNG: grey of 1 to 16 bits, or colours and palettes whose pixels are all grey; alpha is
/// left out. The window of up to 8 bits is {0, 255}; that of 16 bits reaches from the smallest to
/// the largest level, because few files use all of them and none says which.
/// @param path named in errors
/// @throws hlip::error for coloured pictures, for what is too large and for damaged files
HLIP_LAZY Radiograph decode_png_radiograph(std::span<const std::byte> bytes,
                                           const std::string& path,
                                           const RadiographLimits& limits = {}) {
  detail::PngDecoder png(bytes);
  const auto damaged = [&] {
    fail_file(path, fmt::format("byte {}", png.at()), "is not a sound PNG: {}", png.fault());
  };
  if (!png.read_header()) damaged();
  expect_radiograph_size(path, "IHDR", png.height, png.width, limits);
  // Deflate packs at most 1032 bytes into one.
  const std::size_t unpacked = (png.packed_row_bytes + 1) * png.height;
  if (unpacked / 1032 > bytes.size())
    fail_file(path, "IHDR", "{} x {} pixels of {} bytes do not fit into a file of {} bytes",
              png.height, png.width, unpacked, bytes.size());
  if (!png.start_rows()) damaged();
  Radiograph out;
  out.height = png.height, out.width = png.width, out.bits = png.bits, out.source = path;
  out.levels.resize(std::size_t{png.height} * png.width);
  std::vector<std::uint8_t> rows(png.row_bytes * (png.interlaced ? png.height : 1));
  if (!png.read_rows(rows.data(), out.levels.data())) damaged();
  if (png.coloured())
    fail_file(path, fmt::format("row {}", png.coloured_row()),
              "is a coloured picture, expected a grey one (equal red, green and blue)");
  if (out.bits == 16) out.window = whole_range(out.levels);
  return out;
}

HLIP_END
