// Writes PNG pictures. Needs libpng.
#pragma once

#include <hlip/io/file.hpp>

#include <png.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

HLIP_BEGIN

namespace detail {
/// A PNG file of 8 bits a value. @param channels 1 (grey) or 3 (red, green, blue)
inline std::string encode_png_of(std::string_view operation, std::span<const std::uint8_t> pixels,
                                 std::size_t width, std::size_t height, std::size_t channels) {
  if (width == 0 || height == 0 || width > 32767 || height > 32767)
    fail(operation, "a picture of {} x {} pixels, expected 1 to 32767", width, height);
  if (pixels.size() != channels * width * height)
    fail(operation, "{} bytes for {} x {} pixels, expected {}", pixels.size(), width, height,
         channels * width * height);
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  std::string out;
  png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
  out.resize(bytes);
  if (png_image_write_to_memory(&image, out.data(), &bytes, 0, pixels.data(), 0, nullptr) == 0)
    fail(operation, "libpng: {}", std::string_view(image.message));
  out.resize(bytes);
  return out;
}
}  // namespace detail

/// A PNG file as bytes.
/// @param pixels rows from the top, 3 bytes (red, green, blue; sRGB) a pixel
/// @throws hlip::error when the sizes do not fit or libpng refuses them
inline std::string encode_png(std::span<const std::uint8_t> pixels, std::size_t width,
                              std::size_t height) {
  return detail::encode_png_of("encode_png", pixels, width, height, 3);
}

/// A grey PNG file as bytes. @param pixels rows from the top, one byte a pixel
/// @throws hlip::error when the sizes do not fit or libpng refuses them
inline std::string encode_grey_png(std::span<const std::uint8_t> pixels, std::size_t width,
                                   std::size_t height) {
  return detail::encode_png_of("encode_grey_png", pixels, width, height, 1);
}

HLIP_END
