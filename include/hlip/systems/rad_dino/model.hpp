// What self-distillation trains: an encoder and the heads above it. Parameters are named as
// DINOv2's. Source: reference document RAD-DINO §1–§3.
#pragma once

#include <hlip/models/dino_head.hpp>
#include <hlip/models/vit.hpp>

HLIP_BEGIN

struct SelfDistillationConfig {
  VitConfig backbone;
  DinoHeadConfig dino_head;
  bool separate_heads = false;  ///< patches have a head of their own
  DinoHeadConfig ibot_head;     ///< that one
};

template <class T = float, class B = Cpu> struct SelfDistillationModel {
  using value_type = T;
  using backend = B;
  Vit<T, B> backbone;
  DinoHead<T, B> dino_head, ibot_head;
  bool separate_heads = false;

  SelfDistillationModel() = default;
  SelfDistillationModel(const SelfDistillationConfig& c, Initializer& init)
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

HLIP_END
