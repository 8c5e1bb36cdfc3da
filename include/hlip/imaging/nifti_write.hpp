// Writes NIfTI-1 files (.nii, .nii.gz). Needs zlib.
#pragma once

#include <hlip/imaging/volume.hpp>
#include <hlip/io/gzip.hpp>

#include <array>
#include <bit>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>

HLIP_BEGIN

namespace detail {

template <class T> constexpr std::int16_t nifti_code() {
  if constexpr (std::is_same_v<T, float>) return 16;
  else if constexpr (std::is_same_v<T, double>) return 64;
  else {
    static_assert(std::is_integral_v<T> && !std::is_same_v<T, bool>,
                  "write_nifti takes integers, float and double");
    constexpr std::int16_t signed_codes[] = {256, 4, 0, 8, 0, 0, 0, 1024},
                           unsigned_codes[] = {2, 512, 0, 768, 0, 0, 0, 1280};
    return std::is_signed_v<T> ? signed_codes[sizeof(T) - 1] : unsigned_codes[sizeof(T) - 1];
  }
}

}  // namespace detail

/// Writes a NIfTI-1 file with the affine as sform, wholly or not at all. Equal input gives equal
/// bytes.
/// @param path zipped when it ends in .gz
/// @param voxels (D, H, W) row-major, as stored; @param dhw their shape
/// @param slope @param inter value = slope * stored + inter
/// @throws hlip::error when the number of voxels is not the shape's, an axis is longer than 32767
/// or the disk is full
template <class T>
void write_nifti(const std::string& path, std::span<const T> voxels, const Shape& dhw,
                 const Affine& affine, double slope = 1, double inter = 0) {
  static_assert(std::endian::native == std::endian::little,
                "files are written in the machine's byte order, declared little endian");
  if (dhw.rank() != 3)
    fail("write_nifti", "{}: shape {}, expected (D, H, W)", path, to_string(dhw));
  if (static_cast<index_t>(voxels.size()) != dhw.numel())
    fail("write_nifti", "{}: {} voxels for shape {}", path, voxels.size(), to_string(dhw));
  std::array<std::byte, 352> header{};
  const auto put = [&](std::size_t offset, auto value) {
    std::memcpy(header.data() + offset, &value, sizeof(value));
  };
  put(0, std::int32_t{348});
  put(38, 'r');
  const auto spacing = spacing_of(affine);
  put(40, std::int16_t{3});
  for (std::size_t d = 0; d < 7; ++d) put(42 + 2 * d, std::int16_t{1});
  for (std::size_t d = 0; d < 3; ++d) {
    const index_t size = dhw[static_cast<int>(2 - d)];
    if (size < 1 || size > 32767)
      fail("write_nifti", "{}: shape {} has an axis outside 1 to 32767", path, to_string(dhw));
    put(42 + 2 * d, static_cast<std::int16_t>(size));
    put(80 + 4 * d, static_cast<float>(spacing[2 - d]));
  }
  put(70, detail::nifti_code<T>());
  put(72, static_cast<std::int16_t>(8 * sizeof(T)));
  put(76, 1.f);
  put(108, 352.f);
  put(112, static_cast<float>(slope));
  put(116, static_cast<float>(inter));
  put(123, std::uint8_t{2});  // mm
  put(254, std::int16_t{1});  // sform: scanner coordinates
  for (std::size_t r = 0; r < 3; ++r)
    for (std::size_t c = 0; c < 4; ++c) put(280 + 16 * r + 4 * c, static_cast<float>(affine[r][c]));
  std::memcpy(header.data() + 344, "n+1", 4);
  atomic_write(path, [&](AtomicFile& file) {
    if (!path.ends_with(".gz")) {
      file.write(header);
      file.write(std::as_bytes(voxels));
      return;
    }
    GzipWriter gzip(file);
    gzip.write(header);
    gzip.write(std::as_bytes(voxels));
    gzip.finish();
  });
}

HLIP_END
