// HLIP's encoder as self-distillation asks it: studies of volumes, whose patches a mask token can
// stand for. Source: reference documents HLIP §1 and RAD-DINO §2.
#pragma once

#include <hlip/autograd/functions/shape.hpp>
#include <hlip/models/hlip_vit.hpp>
#include <hlip/systems/rad_dino/model.hpp>

#include <utility>
#include <vector>

HLIP_BEGIN

/// What became of crops of one size: rows of the tokens. Patch number p counts scans, slices, rows
/// and columns, in this order.
struct StudyGrid {
  index_t images = 0;  ///< crops
  TokenLayout at;      ///< one sequence a crop

  index_t cls(index_t n) const { return at.prefix_begin + n * at.prefix; }
  index_t patch(index_t n, index_t p) const { return at.patch_begin + n * at.patches + p; }
};

/// All tokens of a pass, before the final norm.
template <class T, class B> struct StudyTokens {
  Var<T, B> x;                   ///< (rows, C)
  std::vector<StudyGrid> grids;  ///< one for each input, in their order
};

/// The encoder of HLIP with a mask token, with the calls that SelfDistillationObjective makes.
/// Crops of one size are one pass of it: nothing is packed.
template <class T = float, class B = Cpu> struct StudyBackbone : HlipVit<3, T, B> {
  Var<T, B> mask_token;  ///< (1, C)

  StudyBackbone() = default;
  StudyBackbone(const HlipVitConfig& c, Initializer& init) : HlipVit<3, T, B>(c, init) {
    expect(c.patch_dropout == 0, c.name,
           "patch dropout of {}: self-distillation hides patches itself", c.patch_dropout);
    mask_token = Initializer::constant<T, B>({1, c.embed_dim}, 0);
  }
  template <class V> void visit(V&& v) {
    HlipVit<3, T, B>::visit(v);
    v("mask_token", mask_token);
  }

  /// @param inputs studies, each (B, N, in_chans, D, H, W), with masks (B, N·d·h·w) or none
  /// @throws hlip::error for what are no studies, and for masks of another shape
  StudyTokens<T, B> operator()(const std::vector<VitInput<T, B>>& inputs,
                               const Context& context = {}) const {
    expect(!inputs.empty(), this->config.name, "no studies");
    StudyTokens<T, B> all;
    std::vector<Var<T, B>> parts;
    index_t begin = 0;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const Var<T, B>& studies = inputs[i].images;
      const Shape grid = this->grid_of(studies.shape());
      const auto tokens = this->run_blocks(masked(this->embed(studies), inputs[i].masks), grid,
                                           context.child(static_cast<std::uint32_t>(i)));
      TokenLayout at = tokens.layout();
      at.patch_begin += begin, at.prefix_begin += begin;
      all.grids.push_back({grid[0], at});
      parts.push_back(tokens.x);
      begin += tokens.x.dim(0);
    }
    all.x = parts.size() == 1 ? parts[0] : concat(parts, 0);
    return all;
  }

 private:
  /// Patches, with the mask token in place of those that are hidden.
  Var<T, B> masked(const Var<T, B>& patches, const Tensor<std::uint8_t, B>& masks) const {
    if (masks.numel() == 0) return patches;
    const index_t rows = patches.dim(0), c = this->config.embed_dim;
    expect(masks.numel() == rows, this->config.name, "masks are {} for {} patches",
           to_string(masks.shape()), rows);
    const Tensor<T, B> hidden = masks.template to<T>().reshape({rows, 1});  // 1 where masked
    return record("mask_token",
                  Tensor<T, B>(patches.value() * (1.0 - hidden) + mask_token.value() * hidden),
                  {patches, mask_token}, [=](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                    if (grads.wants(0)) grads.add(0, Tensor<T, B>(dy * (1.0 - hidden)));
                    if (grads.wants(1))
                      grads.add(1, sum(Tensor<T, B>(dy * hidden), {0}).reshape({1, c}));
                  });
  }
};

/// The patches of studies, scan by scan. @throws hlip::error for what are none
template <class T, class B>
CropGrid mask_grid(const StudyBackbone<T, B>& encoder, const Shape& studies) {
  const Shape grid = encoder.grid_of(studies);
  return {grid[0], grid[1], {grid[2], grid[3], grid[4]}};
}

/// What self-distillation of studies trains, and its settings.
template <class T = float, class B = Cpu>
using StudyDistillationModel = SelfDistillationModel<T, B, StudyBackbone<T, B>>;
using StudyDistillationConfig = SelfDistillationConfigOf<HlipVitConfig>;

HLIP_END
