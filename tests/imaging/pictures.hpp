// Pictures as files, written by libpng and libjpeg for the tests of the readers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>

#include <jpeglib.h>

#include <png.h>
#include <zlib.h>

#include <cstdlib>
#include <string>
#include <vector>

namespace test {

/// A PNG. @param rows all rows, as libpng packs them; 16 bits in big endian
inline std::string png_file(png_uint_32 width, png_uint_32 height, int bits, int colour_type,
                            std::vector<std::uint8_t> rows, bool interlaced = false,
                            const std::vector<png_color>& palette = {}) {
  std::string out;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &out,
      [](png_structp p, png_bytep bytes, std::size_t n) {
        static_cast<std::string*>(png_get_io_ptr(p))->append(reinterpret_cast<char*>(bytes), n);
      },
      nullptr);
  png_set_IHDR(png, info, width, height, bits, colour_type,
               interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  if (!palette.empty()) png_set_PLTE(png, info, palette.data(), static_cast<int>(palette.size()));
  png_write_info(png, info);
  std::vector<png_bytep> pointers;
  for (png_uint_32 y = 0; y < height; ++y)
    pointers.push_back(rows.data() + y * png_get_rowbytes(png, info));
  png_write_image(png, pointers.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return out;
}

/// Writes the checksum of a PNG's first chunk, IHDR, anew.
inline void mend_png_header(std::string& png) {
  const auto crc = ::crc32(0, reinterpret_cast<const Bytef*>(png.data() + 12), 17);
  for (std::size_t i = 0; i < 4; ++i) png[29 + i] = static_cast<char>(crc >> (24 - 8 * i) & 255);
}

/// The same PNG, of which the header says another size.
inline std::string png_that_claims(std::string png, std::uint32_t width, std::uint32_t height) {
  for (std::size_t i = 0; i < 4; ++i) {
    png[16 + i] = static_cast<char>(width >> (24 - 8 * i) & 255);
    png[20 + i] = static_cast<char>(height >> (24 - 8 * i) & 255);
  }
  mend_png_header(png);
  return png;
}

/// A JPEG. @param colours JCS_GRAYSCALE (1 byte a pixel), JCS_RGB (3) or JCS_CMYK (4)
inline std::string jpeg_file(unsigned width, unsigned height, J_COLOR_SPACE colours,
                             std::vector<std::uint8_t> rows, int quality = 95,
                             bool progressive = false) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = width;
  info.image_height = height;
  info.in_color_space = colours;
  info.input_components = colours == JCS_GRAYSCALE ? 1 : colours == JCS_RGB ? 3 : 4;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  if (progressive) jpeg_simple_progression(&info);
  jpeg_start_compress(&info, TRUE);
  const auto stride = static_cast<std::size_t>(info.input_components) * width;
  while (info.next_scanline < height) {
    JSAMPROW row = rows.data() + info.next_scanline * stride;
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  std::string out(reinterpret_cast<char*>(bytes), size);
  jpeg_destroy_compress(&info);
  std::free(bytes);
  return out;
}

/// The same JPEG, of which the frame header says another size.
inline std::string jpeg_that_claims(std::string jpeg, unsigned width, unsigned height) {
  for (std::size_t at = 2; at + 9 < jpeg.size();) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(jpeg[at + i]); };
    if (byte(1) >= 0xC0 && byte(1) <= 0xC2) {
      jpeg[at + 5] = static_cast<char>(height >> 8), jpeg[at + 6] = static_cast<char>(height & 255);
      jpeg[at + 7] = static_cast<char>(width >> 8), jpeg[at + 8] = static_cast<char>(width & 255);
      return jpeg;
    }
    at += 2 + static_cast<std::size_t>(byte(2) << 8 | byte(3));
  }
  return jpeg;
}

}  // namespace test
