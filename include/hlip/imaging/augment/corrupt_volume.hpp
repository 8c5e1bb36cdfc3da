// Which corruptions a sub-volume suffers before a network restores it: drawn anew for every view.
// Source: Zhou et al. 2019, "Models Genesis" (their chances and sizes); reference document T3D §4.
#pragma once

#include <hlip/imaging/augment/corruptions.hpp>

HLIP_BEGIN

/// What may happen, in the order in which it does. All chances are of one view by itself.
struct CorruptionOptions {
  double shuffle = 0.5;  ///< probability that voxels are shuffled in small blocks
  /// Blocks in 96 x 96 x 96 voxels and larger volumes. Smaller ones have as many for each voxel,
  /// but 25 at least.
  index_t shuffle_blocks = 10000;

  double nonlinear = 0.9;   ///< probability that intensities are bent
  double descending = 0.5;  ///< of these, that bright becomes dark

  double painting = 0.9;  ///< probability of noise, inside of boxes or outside
  double inside = 0.2;    ///< of these, that it is inside
  index_t painted_boxes = 5;
  std::array<double, 2> painted_share = {1.0 / 6, 1.0 / 3};  ///< of the volume's sides
  index_t kept_boxes = 5;
  std::array<double, 2> kept_share = {3.0 / 7, 4.0 / 7};

  double cut_out = 0;  ///< probability of boxes of zeros
  index_t cut_boxes = 5;
  std::array<double, 2> cut_share = {1.0 / 8, 1.0 / 4};

  double patch_drop = 0;     ///< probability that patches are set to 0
  index_t patch = 16;        ///< voxels on a side of one
  double patch_share = 0.3;  ///< of all patches

  /// There is one box; each further one, up to the numbers above, has this probability.
  double another_box = 0.95;
};

/// Throws unless the options can be carried out.
HLIP_LAZY void check_corruption_options(const CorruptionOptions& o) {
  constexpr const char* where = "corrupt_volume";
  const std::pair<const char*, double> chances[] = {
      {"shuffle", o.shuffle},       {"nonlinear", o.nonlinear},     {"descending", o.descending},
      {"painting", o.painting},     {"inside", o.inside},           {"cut_out", o.cut_out},
      {"patch_drop", o.patch_drop}, {"patch_share", o.patch_share}, {"another_box", o.another_box}};
  for (const auto& [name, p] : chances)
    expect(p >= 0 && p <= 1, where, "{} is {}, expected a probability or share of 0 to 1{}", name,
           p, p > 1 && p <= 100 ? " (hint: 0.5 is 50 %)" : "");
  const std::pair<const char*, index_t> counts[] = {{"shuffle_blocks", o.shuffle_blocks},
                                                    {"painted_boxes", o.painted_boxes},
                                                    {"kept_boxes", o.kept_boxes},
                                                    {"cut_boxes", o.cut_boxes},
                                                    {"patch", o.patch}};
  for (const auto& [name, n] : counts)
    expect(n >= 1 && n <= 1000000, where,
           "{} is {}, expected 1 to 1000000 (hint: a probability of 0 turns an operator off)", name,
           n);
  const std::pair<const char*, const std::array<double, 2>*> shares[] = {
      {"painted_share", &o.painted_share},
      {"kept_share", &o.kept_share},
      {"cut_share", &o.cut_share}};
  for (const auto& [name, s] : shares)
    expect((*s)[0] > 0 && (*s)[0] <= (*s)[1] && (*s)[1] <= 1, where,
           "{} is {} to {}, expected it within 0 to 1 (and above 0)", name, (*s)[0], (*s)[1]);
}

/// A view, and what happened to it.
struct CorruptedVolume {
  Tensor<float, Cpu> volume;  ///< (D, H, W), in [0, 1] where the clean one is
  /// (D, H, W), 1 where an operator was: in boxes, patches and shuffled blocks; everywhere once
  /// intensities are bent.
  Tensor<std::uint8_t, Cpu> changed;
  bool shuffled = false, bent = false, painted_inside = false, painted_outside = false, cut = false,
       patches_dropped = false;
};

namespace detail {

/// Uniforms of 32 bits, four from each Philox block, many blocks at once. RandomStream spends a
/// block on one number; to shuffle takes six million of them for 96 x 96 x 96 voxels.
class QuickUniforms {
 public:
  QuickUniforms(const RandomKey& key, std::uint64_t first) : key_(key), next_(first) {}
  double operator()() {
    if (at_ == words_.size()) refill();
    return static_cast<double>(words_[at_++]) * 0x1.0p-32;
  }

 private:
  void refill() {
    for (std::size_t i = 0; i < words_.size(); i += 4) {
      const auto block = philox(key_, next_++);
      for (std::size_t k = 0; k < 4; ++k) words_[i + k] = block[k];
    }
    at_ = 0;
  }

  RandomKey key_;
  std::uint64_t next_;
  std::array<std::uint32_t, 64> words_;
  std::size_t at_ = 64;
};

/// Blocks to shuffle: in proportion to the voxels, but no more than in 96 x 96 x 96; from there on
/// the blocks themselves grow.
HLIP_LAZY index_t shuffle_blocks_of(const Shape& volume, index_t at_96) {
  const double share = static_cast<double>(volume.numel()) / (96.0 * 96 * 96);
  return std::max<index_t>(25, std::llround(std::min(share, 1.0) * static_cast<double>(at_96)));
}

}  // namespace detail

/// Corrupts a sub-volume: shuffled, bent, then noise, cut-out and dropped patches on top. A pure
/// function of its arguments, on one thread (96 x 96 x 96 voxels: tens of milliseconds).
/// @param volume (D, H, W) in [0, 1]
/// @param key names the draw: seed, epoch and number of the study
/// @param view of the study, each of which has random numbers of its own; so has each operator
/// @throws hlip::error for options that cannot be carried out, and for what is no volume
HLIP_LAZY CorruptedVolume corrupt_volume(const Tensor<float, Cpu>& volume,
                                         const CorruptionOptions& o, const RandomKey& key,
                                         std::uint32_t view = 0) {
  check_corruption_options(o);
  detail::check_clean_volume("corrupt_volume", volume);
  CorruptedVolume out;
  out.volume = volume.clone();
  out.changed = Tensor<std::uint8_t, Cpu>::zeros(volume.shape());
  // Not the numbers that cut the view out of its scan, should these have the same key.
  const RandomKey own = key.with_stream(key.stream + 0x636f7272u);
  const auto numbers = [&](std::uint64_t use) {
    return detail::QuickUniforms(own, (std::uint64_t{view} * 8 + use) << 28);
  };
  const auto take = [&](const Corrupted& c) {
    out.volume = c.volume;
    for (index_t i = 0; i < c.changed.numel(); ++i) out.changed.data()[i] |= c.changed.data()[i];
    return true;
  };
  const auto boxes = [&](index_t most, detail::QuickUniforms& uniform) {
    index_t n = 1;
    while (n < most && uniform() < o.another_box) ++n;
    return n;
  };
  if (auto uniform = numbers(0); uniform() < o.shuffle)
    out.shuffled = take(shuffle_voxels(
        out.volume, detail::shuffle_blocks_of(volume.shape(), o.shuffle_blocks), uniform));
  if (auto uniform = numbers(1); uniform() < o.nonlinear) {
    out.volume = bend_intensity(out.volume, o.descending, uniform);
    out.changed.fill(1);
    out.bent = true;
  }
  if (auto uniform = numbers(2); uniform() < o.painting) {
    if (uniform() < o.inside)
      out.painted_inside = take(
          paint_inside(out.volume, boxes(o.painted_boxes, uniform), o.painted_share, uniform));
    else
      out.painted_outside = take(
          paint_outside(out.volume, boxes(o.kept_boxes, uniform), o.kept_share, uniform));
  }
  if (auto uniform = numbers(3); uniform() < o.cut_out)
    out.cut = take(cut_out(out.volume, boxes(o.cut_boxes, uniform), o.cut_share, uniform));
  if (auto uniform = numbers(4); uniform() < o.patch_drop) {
    const index_t patches = patch_grid(volume.shape(), o.patch).numel();
    out.patches_dropped = take(
        drop_patches(out.volume, o.patch, sample_patches(patches, o.patch_share, uniform)));
  }
  return out;
}

HLIP_END
