// JPEG 2000 code streams of one grey component, which DCMTK leaves alone. Needs OpenJPEG.
#pragma once

#include <hlip/core/error.hpp>

#include <openjpeg.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

namespace detail {

/// A code stream in memory, as OpenJPEG reads it.
struct OpjSource {
  std::span<const std::byte> bytes;
  std::size_t at = 0;

  static OPJ_SIZE_T read(void* out, OPJ_SIZE_T n, void* self) {
    auto& s = *static_cast<OpjSource*>(self);
    n = std::min<std::size_t>(n, s.bytes.size() - s.at);
    if (n == 0) return static_cast<OPJ_SIZE_T>(-1);
    std::memcpy(out, s.bytes.data() + s.at, n);
    s.at += n;
    return n;
  }
  static OPJ_OFF_T skip(OPJ_OFF_T n, void* self) {
    auto& s = *static_cast<OpjSource*>(self);
    if (n < 0) return -1;
    const auto step = std::min<std::uint64_t>(static_cast<std::uint64_t>(n), s.bytes.size() - s.at);
    s.at += static_cast<std::size_t>(step);
    return step == 0 && n > 0 ? -1 : static_cast<OPJ_OFF_T>(step);
  }
  static OPJ_BOOL seek(OPJ_OFF_T to, void* self) {
    auto& s = *static_cast<OpjSource*>(self);
    if (to < 0 || static_cast<std::uint64_t>(to) > s.bytes.size()) return OPJ_FALSE;
    s.at = static_cast<std::size_t>(to);
    return OPJ_TRUE;
  }
};

inline std::uint32_t big_endian(std::span<const std::byte> bytes, std::size_t at,
                                std::size_t width) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < width; ++i)
    value = value << 8 | std::to_integer<std::uint32_t>(bytes[at + i]);
  return value;
}

// The SIZ segment, which comes first: OpenJPEG sets memory aside for every tile and component it
// declares.
HLIP_LAZY void check_jpeg2000_size(std::span<const std::byte> code, std::uint32_t rows,
                                   std::uint32_t columns, const std::string& path,
                                   const std::string& place) {
  if (code.size() < 44 || big_endian(code, 0, 4) != 0xFF4FFF51u)
    fail_file(path, place, "is not a JPEG 2000 code stream");
  const std::uint64_t right = big_endian(code, 8, 4), bottom = big_endian(code, 12, 4),
                      left = big_endian(code, 16, 4), top = big_endian(code, 20, 4);
  const std::uint64_t tile_width = big_endian(code, 24, 4), tile_height = big_endian(code, 28, 4),
                      components = big_endian(code, 40, 2);
  if (right < left || bottom < top || right - left != columns || bottom - top != rows ||
      components != 1)
    fail_file(
        path, place,
        "the JPEG 2000 stream holds {} x {} pixels of {} components, the header says {} x {} of 1",
        bottom - top, right - left, components, rows, columns);
  const auto count = [](std::uint64_t length, std::uint64_t tile) {
    return tile == 0 ? ~std::uint64_t{0} : (length + tile - 1) / tile;
  };
  constexpr std::uint64_t most = 4096;
  if (count(right, tile_width) > most || count(bottom, tile_height) > most ||
      count(right, tile_width) * count(bottom, tile_height) > most)
    fail_file(path, place, "the JPEG 2000 stream declares more than {} tiles", most);
}

}  // namespace detail

/// Pixels of a JPEG 2000 code stream and how they were coded.
struct Jpeg2000Pixels {
  std::vector<std::int32_t> values;  ///< (rows, columns)
  int precision = 0;                 ///< bits of each
  bool is_signed = false;
};

/// Decodes one frame.
/// @param code a bare code stream; its size is compared with `rows` and `columns` before anything
/// is decoded
/// @param path, place named in errors
/// @throws hlip::error for anything but one sound component of that size
HLIP_LAZY Jpeg2000Pixels decode_jpeg2000(std::span<const std::byte> code, std::uint32_t rows,
                                         std::uint32_t columns, const std::string& path,
                                         const std::string& place) {
  detail::check_jpeg2000_size(code, rows, columns, path, place);
  detail::OpjSource source{code};
  const std::unique_ptr<opj_stream_t, void (*)(opj_stream_t*)> stream(
      opj_stream_default_create(OPJ_TRUE), opj_stream_destroy);
  const std::unique_ptr<opj_codec_t, void (*)(opj_codec_t*)> codec(
      opj_create_decompress(OPJ_CODEC_J2K), opj_destroy_codec);
  if (!stream || !codec) fail_file(path, place, "cannot start OpenJPEG");
  opj_stream_set_user_data(stream.get(), &source, nullptr);
  opj_stream_set_user_data_length(stream.get(), code.size());
  opj_stream_set_read_function(stream.get(), detail::OpjSource::read);
  opj_stream_set_skip_function(stream.get(), detail::OpjSource::skip);
  opj_stream_set_seek_function(stream.get(), detail::OpjSource::seek);
  std::string said;  // the first complaint
  const auto listen = [](const char* message, void* to) {
    auto& text = *static_cast<std::string*>(to);
    if (text.empty())
      text = std::string_view(message).substr(
          0, std::string_view(message).find_last_not_of("\r\n ") + 1);
  };
  opj_set_error_handler(codec.get(), listen, &said);
  opj_set_warning_handler(
      codec.get(), [](const char*, void*) {}, nullptr);
  opj_set_info_handler(
      codec.get(), [](const char*, void*) {}, nullptr);
  opj_dparameters_t parameters;
  opj_set_default_decoder_parameters(&parameters);
  opj_image_t* read = nullptr;
  const bool begun = opj_setup_decoder(codec.get(), &parameters) &&
                     opj_decoder_set_strict_mode(codec.get(), OPJ_TRUE) &&
                     opj_read_header(stream.get(), codec.get(), &read);
  const std::unique_ptr<opj_image_t, void (*)(opj_image_t*)> image(read, opj_image_destroy);
  const bool sound = begun && image && image->numcomps == 1 && image->comps[0].w == columns &&
                     image->comps[0].h == rows &&
                     opj_decode(codec.get(), stream.get(), image.get()) &&
                     opj_end_decompress(codec.get(), stream.get()) && image->comps[0].data &&
                     image->comps[0].w == columns && image->comps[0].h == rows;
  if (!sound)
    fail_file(path, place, "the JPEG 2000 stream is damaged: {}",
              said.empty() ? "it does not decode to one image of the declared size" : said);
  Jpeg2000Pixels out;
  out.precision = static_cast<int>(image->comps[0].prec);
  out.is_signed = image->comps[0].sgnd != 0;
  out.values.assign(image->comps[0].data,
                    image->comps[0].data + static_cast<std::size_t>(rows) * columns);
  return out;
}

HLIP_END
