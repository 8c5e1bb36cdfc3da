// The NIfTI-1/2 header: every field that decides how much is read or allocated is checked here, on
// bytes alone.
#pragma once

#include <hlip/imaging/nifti_geometry.hpp>
#include <hlip/imaging/volume.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// Voxel types hlip reads, by their NIfTI codes.
enum class NiftiType : int {
  u8 = 2,
  i16 = 4,
  i32 = 8,
  f32 = 16,
  f64 = 64,
  i8 = 256,
  u16 = 512,
  u32 = 768,
  i64 = 1024,
  u64 = 1280
};

/// What a checked header says.
struct NiftiHeader {
  int version = 1;
  bool swapped = false;                                ///< byte order differs from this machine's
  bool pair = false;                                   ///< voxels lie in a separate .img file
  int rank = 3;                                        ///< dim[0]
  std::array<index_t, 7> dim = {1, 1, 1, 1, 1, 1, 1};  ///< x, y, z, t, ...; all at least 1
  NiftiType type = NiftiType::i16;
  std::size_t voxel_bytes = 2;
  std::uint64_t vox_offset = 0;
  std::uint64_t data_bytes = 0;  ///< all voxels as stored
  double slope = 1, inter = 0;   ///< value = slope * stored + inter
  NiftiGeometry geometry;
  std::vector<std::string> warnings;

  Shape shape() const { return {dim[2], dim[1], dim[0]}; }  ///< (D, H, W) of one volume
  index_t volumes() const { return dim[3] * dim[4] * dim[5] * dim[6]; }
  std::size_t header_bytes() const { return version == 1 ? 348 : 540; }
};

namespace detail {

/// Fields of a header at fixed offsets, in the file's byte order.
class HeaderBytes {
 public:
  HeaderBytes(std::span<const std::byte> bytes, bool swapped) : bytes_(bytes), swapped_(swapped) {}
  template <class T> T at(std::size_t offset) const {
    std::array<std::byte, sizeof(T)> raw{};
    std::memcpy(raw.data(), bytes_.data() + offset, sizeof(T));
    if (swapped_) std::reverse(raw.begin(), raw.end());
    return std::bit_cast<T>(raw);
  }
  template <class T> double number(std::size_t offset) const {
    return static_cast<double>(at<T>(offset));
  }

 private:
  std::span<const std::byte> bytes_;
  bool swapped_;
};

HLIP_LAZY std::size_t nifti_voxel_bytes(std::string_view path, int datatype) {
  switch (datatype) {
    case 2:
    case 256: return 1;
    case 4:
    case 512: return 2;
    case 8:
    case 16:
    case 768: return 4;
    case 64:
    case 1024:
    case 1280: return 8;
    case 128:
    case 2304:
      fail_file(path, "datatype", "{} is colour (RGB), hlip reads one number per voxel", datatype);
    case 32:
    case 1792:
    case 2048:
      fail_file(path, "datatype", "{} is complex, hlip reads one real number per voxel", datatype);
    case 1:
    case 1536:
      fail_file(path, "datatype", "{} ({}) is not supported", datatype,
                datatype == 1 ? "binary" : "float128");
    default: fail_file(path, "datatype", "{} is not a NIfTI voxel type", datatype);
  }
}

// Says what a file that is no NIfTI probably is: the wrong files people have are few.
[[noreturn]] inline void fail_not_nifti(std::string_view path, std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                              std::min<std::size_t>(bytes.size(), 60));
  if (text.starts_with("version https://git-lfs"))
    fail_file(path, "byte 0", "is a Git LFS pointer, not the volume itself; run git lfs pull");
  if (text.starts_with("<"))
    fail_file(path, "byte 0", "is a web page ({}), not a NIfTI volume; the download failed",
              quote_text(text, 24));
  if (bytes.size() < 348)
    fail_file(path, fmt::format("byte {}", bytes.size()),
              "ends inside the header: a NIfTI header has 348 or 540 bytes");
  fail_file(path, "byte 0",
            "is not a NIfTI file: sizeof_hdr is {}, expected 348 or 540 in either byte order",
            HeaderBytes(bytes, false).at<std::int32_t>(0));
}

HLIP_LAZY void read_dims(NiftiHeader& h, std::string_view path,
                         const std::array<std::int64_t, 8>& dim, std::uint64_t max_bytes) {
  if (dim[0] < 1 || dim[0] > 7) fail_file(path, "dim[0]", "{} dimensions, expected 1 to 7", dim[0]);
  h.rank = static_cast<int>(dim[0]);
  std::uint64_t voxels = 1;
  bool overflow = false;
  std::string sizes;
  for (std::size_t d = 0; d < dim.size() - 1 && d < static_cast<std::size_t>(h.rank); ++d) {
    if (dim[d + 1] < 1)
      fail_file(path, fmt::format("dim[{}]", d + 1), "is {}, expected at least 1", dim[d + 1]);
    h.dim[d] = dim[d + 1];
    sizes += fmt::format("{}{}", d == 0 ? "" : " x ", h.dim[d]);
    overflow = overflow ||
               __builtin_mul_overflow(voxels, static_cast<std::uint64_t>(h.dim[d]), &voxels);
  }
  if (overflow || __builtin_mul_overflow(voxels, std::uint64_t{h.voxel_bytes}, &h.data_bytes) ||
      voxels > max_bytes / std::max<std::uint64_t>(4, h.voxel_bytes))
    fail_file(path, "dim", "{} voxels are beyond the limit of {} bytes", sizes, max_bytes);
}

}  // namespace detail

/// Reads and checks a header.
/// @param bytes the first 540 bytes of the file, or all of a shorter one; @param path named in
/// errors
/// @param max_bytes limit for all voxels, counted as stored and as float
/// @throws hlip::error naming the field. Broken geometry that another field can stand in for is a
/// warning; see NiftiGeometry. Source: nifti1.h and nifti2.h of the NIfTI Data Format Working
/// Group.
HLIP_LAZY NiftiHeader parse_nifti_header(std::span<const std::byte> bytes, std::string_view path,
                                         std::uint64_t max_bytes) {
  // One function: the fields of a header in the order of their places.
  if (bytes.empty()) fail_file(path, "", "is empty, expected a NIfTI header");
  if (bytes.size() < 4) detail::fail_not_nifti(path, bytes);
  NiftiHeader h;
  const auto size_here = detail::HeaderBytes(bytes, false).at<std::int32_t>(0),
             size_there = detail::HeaderBytes(bytes, true).at<std::int32_t>(0);
  if (size_here == 348 || size_there == 348) h.version = 1;
  else if (size_here == 540 || size_there == 540) h.version = 2;
  else detail::fail_not_nifti(path, bytes);
  h.swapped = size_here != 348 && size_here != 540;
  if (bytes.size() < h.header_bytes())
    fail_file(path, fmt::format("byte {}", bytes.size()), "ends inside the header of {} bytes",
              h.header_bytes());

  const detail::HeaderBytes field(bytes, h.swapped);
  const std::string_view magic(
      reinterpret_cast<const char*>(bytes.data()) + (h.version == 1 ? 344 : 4),
      h.version == 1 ? 4 : 8);
  const std::string_view single = h.version == 1 ? std::string_view("n+1\0", 4)
                                                 : std::string_view("n+2\0\r\n\x1A\n", 8);
  const std::string_view paired = h.version == 1 ? std::string_view("ni1\0", 4)
                                                 : std::string_view("ni2\0\r\n\x1A\n", 8);
  if (h.version == 1 && magic == std::string_view("\0\0\0\0", 4))
    fail_file(
        path, "magic",
        "is absent: an Analyze 7.5 header, which does not define orientation; convert it to NIfTI");
  if (magic != single && magic != paired)
    fail_file(path, "magic", "is {}, expected {} or {}", quote_text(magic),
              quote_text(single.substr(0, 3)), quote_text(paired.substr(0, 3)));
  h.pair = magic == paired;

  const bool one = h.version == 1;
  std::array<std::int64_t, 8> dim{};
  std::array<double, 8> pixdim{};
  for (std::size_t d = 0; d < 8; ++d) {
    dim[d] = one ? field.at<std::int16_t>(40 + 2 * d) : field.at<std::int64_t>(16 + 8 * d);
    pixdim[d] = one ? field.number<float>(76 + 4 * d) : field.at<double>(104 + 8 * d);
  }
  const int datatype = field.at<std::int16_t>(one ? 70 : 12),
            bitpix = field.at<std::int16_t>(one ? 72 : 14);
  h.voxel_bytes = detail::nifti_voxel_bytes(path, datatype);
  h.type = static_cast<NiftiType>(datatype);
  if (bitpix != static_cast<int>(8 * h.voxel_bytes))
    fail_file(path, "bitpix", "is {}, datatype {} has {} bits per voxel", bitpix, datatype,
              8 * h.voxel_bytes);
  detail::read_dims(h, path, dim, max_bytes);

  const double offset = one ? field.number<float>(108) : field.number<std::int64_t>(168);
  // header and extension flag, "at least 352" in nifti1.h
  const std::uint64_t least = h.pair ? 0 : h.header_bytes() + 4;
  if (!(offset >= 0 && offset <= 0x1p53) || offset != std::floor(offset))
    fail_file(path, "vox_offset", "is {}, expected a byte position", offset);
  if (offset > static_cast<double>(max_bytes) + 0x1p20)
    fail_file(path, "vox_offset", "is {}, beyond the limit of {} bytes", offset, max_bytes);
  h.vox_offset = static_cast<std::uint64_t>(offset);
  if (!h.pair && offset == 0) h.vox_offset = least;  // some writers leave it 0
  else if (h.vox_offset < least)
    fail_file(path, "vox_offset", "is {}, inside the {} bytes of the header and its extension flag",
              h.vox_offset, least);

  const double slope = one ? field.number<float>(112) : field.at<double>(176),
               inter = one ? field.number<float>(116) : field.at<double>(184);
  // 0, NaN and infinity mean that values are as stored; the intercept counts only with a slope
  if (std::isfinite(slope) && slope != 0) {
    if (!std::isfinite(inter))
      fail_file(path, "scl_inter", "is {} although scl_slope is {}", inter, slope);
    h.slope = slope;
    h.inter = inter;
  }

  detail::GeometryFields g;
  g.pixdim = pixdim;
  g.qform_code = one ? field.at<std::int16_t>(252) : field.at<std::int32_t>(344);
  g.sform_code = one ? field.at<std::int16_t>(254) : field.at<std::int32_t>(348);
  for (std::size_t i = 0; i < 3; ++i) {
    g.quatern[i] = one ? field.number<float>(256 + 4 * i) : field.at<double>(352 + 8 * i);
    g.qoffset[i] = one ? field.number<float>(268 + 4 * i) : field.at<double>(376 + 8 * i);
    for (std::size_t c = 0; c < 4; ++c)
      g.srow[i][c] = one ? field.number<float>(280 + 16 * i + 4 * c)
                         : field.at<double>(400 + 32 * i + 8 * c);
  }
  const int units = (one ? std::to_integer<int>(bytes[123]) : field.at<std::int32_t>(500)) & 7;
  // Metre, micrometre; anything else is taken as mm
  g.unit_mm = units == 1 ? 1000 : units == 3 ? 0.001 : 1;
  h.geometry = detail::read_geometry(g, {h.dim[0], h.dim[1], h.dim[2]}, path, h.warnings);
  if (h.rank < 3)
    h.warnings.push_back(fmt::format("is {}-dimensional, read as a single slice", h.rank));
  return h;
}

HLIP_END
