// What self-distillation trains: an encoder and the heads above it. Parameters are named as
// DINOv2's. Source: reference document RAD-DINO §1–§3.
#pragma once

#include <hlip/models/dino_head.hpp>
#include <hlip/models/vit.hpp>
#include <hlip/systems/rad_dino/masking.hpp>

HLIP_BEGIN

/// What an encoder of crops and the heads above it are. @tparam C of the encoder
template <class C> struct SelfDistillationConfigOf {
  C backbone;
  DinoHeadConfig dino_head;
  bool separate_heads = false;  ///< patches have a head of their own
  DinoHeadConfig ibot_head;     ///< that one
};
/// The same for pictures.
using SelfDistillationConfig = SelfDistillationConfigOf<VitConfig>;

/// @tparam Backbone the encoder: Vit, or whatever else has a `norm`, a `config` and tokens of crops
/// as Vit has, and a mask_grid
template <class T = float, class B = Cpu, class Backbone = Vit<T, B>> struct SelfDistillationModel {
  using value_type = T;
  using backend = B;
  using Config = SelfDistillationConfigOf<decltype(Backbone::config)>;
  Backbone backbone;
  DinoHead<T, B> dino_head, ibot_head;
  bool separate_heads = false;

  SelfDistillationModel() = default;
  SelfDistillationModel(const Config& c, Initializer& init)
      : backbone(c.backbone, init), separate_heads(c.separate_heads) {
    DinoHeadConfig head = c.dino_head;
    head.in_dim = c.backbone.embed_dim;
    dino_head = DinoHead<T, B>(head, init);
    if (!separate_heads) return;
    head = c.ibot_head;
    head.in_dim = c.backbone.embed_dim;
    ibot_head = DinoHead<T, B>(head, init);
  }
  template <class V> void visit(V&& v) {
    v("backbone", backbone);
    v("dino_head", dino_head);
    if (separate_heads) v("ibot_head", ibot_head);
  }
  /// The head of patch tokens.
  const DinoHead<T, B>& patch_head() const { return separate_heads ? ibot_head : dino_head; }
};

/// What of crops can be masked.
struct CropGrid {
  index_t crops = 0;  ///< in a batch
  index_t parts = 1;  ///< scans of a crop; each is masked as a picture is
  MaskGrid part;
  index_t patches() const { return parts * part.cells(); }
};

/// The patches of pictures. @throws hlip::error for what are none
template <class T, class B> CropGrid mask_grid(const Vit<T, B>& vit, const Shape& pictures) {
  const VitConfig& v = vit.config;
  expect_shape("self_distillation", "global", pictures,
               {{"2B"}, {"in_chans", v.in_chans}, {"H"}, {"W"}});
  return {pictures[0], 1, {1, pictures[2] / v.patch_size, pictures[3] / v.patch_size}};
}

HLIP_END
