// The joint model: visual encoder, text encoder, and the learned scale between their features.
// Source: reference document HLIP §1.2, §2, §3.
#pragma once

#include <hlip/autograd/functions/norm.hpp>
#include <hlip/models/bert.hpp>
#include <hlip/models/hlip_vit.hpp>

#include <cmath>
#include <string>

HLIP_BEGIN

/// How a text's hidden states become one vector.
enum class TextPooling {
  cls,   ///< hidden state of the first token
  mean,  ///< mean over the tokens that are not padding
};

/// Everything that decides the shapes of a joint model; clip_config(name) gives the published ones.
struct ClipConfig {
  std::string name = "custom";
  index_t embed_dim = 512;  ///< width of the shared feature space
  HlipVitConfig vision;
  BertConfig text;
  TextPooling text_pooling = TextPooling::cls;
  index_t context_length = 512;  ///< tokens a text is cut to
  bool siglip = false;           ///< SigLIP starts from another scale and has a bias
  /// Two outputs: the first learns single sentences of a report, the second the whole
  bool dual_text = false;

  /// The output of the encoder that whole reports are compared with. Prompts are sentences, they
  /// are compared with output 0.
  index_t report_output() const { return dual_text ? 1 : 0; }
};

/// A transformer and its projection to the shared space: text.transformer.*, text.proj.weight. With
/// LoRA the transformer's names gain the two levels that peft puts around a model.
template <class T = float, class B = Cpu> struct TextTower {
  using value_type = T;
  using backend = B;
  Bert<T, B> transformer;
  Linear<T, B> proj;
  TextPooling pooling = TextPooling::cls;
  template <class V> void visit(V&& v) {
    v(transformer.config.lora_rank > 0 ? "transformer.base_model.model" : "transformer",
      transformer);
    v("proj", proj);
  }

  /// @param ids (N, L), 0 is padding  @return (N, E), not normalised
  template <class Observe = int>
  Var<T, B> operator()(const Tensor<std::int64_t, B>& ids, const Context& context = {},
                       Observe observe = {}) const {
    Var<T, B> hidden;
    {
      ModuleScope at("transformer");
      hidden = transformer(ids, context, observe);
    }
    ModuleScope at("proj");
    return proj(pooling == TextPooling::cls ? first_tokens(hidden, ids) : mean_tokens(hidden, ids));
  }

 private:
  static Var<T, B> first_tokens(const Var<T, B>& hidden, const Tensor<std::int64_t, B>& ids) {
    return slice(hidden, 0, 0, hidden.dim(0), ids.dim(1));
  }
  static Var<T, B> mean_tokens(const Var<T, B>& hidden, const Tensor<std::int64_t, B>& ids) {
    const index_t n = ids.dim(0), length = ids.dim(1);
    const Tensor<T, B> visible = where(ids != 0, Tensor<T, B>::ones(Shape{}), 0);
    const Tensor<T, B> weight = visible / maximum(sum(visible, {1}, true), 1);
    const Var<T, B> weighted = reshape(hidden, {n, length, hidden.dim(1)}) *
                               weight.reshape({n, length, 1});
    return sum(weighted, {1});
  }
};

/// The trunk and its projection: visual.trunk.*, visual.head.proj.weight.
template <int Levels = 3, class T = float, class B = Cpu> struct VisualTower {
  using value_type = T;
  using backend = B;
  struct Head {
    using value_type = T;
    using backend = B;
    Linear<T, B> proj;
    template <class V> void visit(V&& v) { v("proj", proj); }
  };
  HlipVit<Levels, T, B> trunk;
  Head head;
  template <class V> void visit(V&& v) {
    v("trunk", trunk);
    v("head", head);
  }
  /// @param x (B, N, C_in, D, H, W)  @return (B·outputs, E), not normalised
  Var<T, B> operator()(const Var<T, B>& x, const Context& context = {},
                       const HlipVitInput<B>& input = {}) const {
    Var<T, B> features;
    {
      ModuleScope at("trunk");
      features = trunk(x, context, input);
    }
    ModuleScope at("head.proj");
    return head.proj(features);
  }
};

/// The joint model: encode_image and encode_text give features of length 1 in one space;
/// exp(logit_scale) scales their products.
template <int Levels = 3, class T = float, class B = Cpu> struct Clip {
  using value_type = T;
  using backend = B;
  ClipConfig config;
  Var<T, B> logit_scale;  ///< log of the scale, a scalar
  Var<T, B> logit_bias;   ///< SigLIP only
  VisualTower<Levels, T, B> visual;
  TextTower<T, B> text;

  Clip() = default;
  Clip(const ClipConfig& c, std::uint64_t seed) : Clip(c, Initializer(seed)) {}
  /// @param init Initializer::without_values() for a model whose weights are loaded next
  Clip(const ClipConfig& c, Initializer init) : config(c) {
    expect(!c.dual_text || c.vision.outputs() == 2, c.name,
           "two text targets need an encoder with 2 outputs, this one has {} (hint: pooling "
           "token_and_mean, reg_tokens 1)",
           c.vision.outputs());
    logit_scale = Initializer::constant<T, B>({}, c.siglip ? std::log(10.0) : std::log(1 / 0.07));
    if (c.siglip) logit_bias = Initializer::constant<T, B>({}, -10.0);
    visual.trunk = HlipVit<Levels, T, B>(c.vision, init);
    visual.head.proj.weight = init.uniform<T, B>(
        {c.embed_dim, c.vision.output_width()},
        1 / std::sqrt(static_cast<double>(c.vision.output_width())));
    text.transformer = Bert<T, B>(c.text, init);
    text.proj.weight = init.uniform<T, B>({c.embed_dim, c.text.hidden_size},
                                          1 / std::sqrt(static_cast<double>(c.text.hidden_size)));
    text.pooling = c.text_pooling;
  }
  template <class V> void visit(V&& v) {
    v("logit_scale", logit_scale);
    v("logit_bias", logit_bias);
    v("visual", visual);
    v("text", text);
  }

  /// @param volumes (B, N, C_in, D, H, W)  @param output of an encoder with several; 0 is the one
  /// for prompts  @return (B, E) of length 1
  Var<T, B> encode_image(const Var<T, B>& volumes, const Context& context = {},
                         const HlipVitInput<B>& input = {}, index_t output = 0) const {
    const index_t outputs = config.vision.outputs();
    expect(0 <= output && output < outputs, "encode_image", "output {} of {} that {} has", output,
           outputs, config.name);
    const Var<T, B> all = encode_image_outputs(volumes, context, input);
    return outputs == 1 ? all : slice(all, 0, output, all.dim(0), outputs);
  }
  /// Every output of the encoder. @return (B·outputs, E) of length 1, those of a study one after
  /// the other
  Var<T, B> encode_image_outputs(const Var<T, B>& volumes, const Context& context = {},
                                 const HlipVitInput<B>& input = {}) const {
    ModuleScope at("visual");
    return l2_normalize(visual(volumes, context.child(11), input));
  }
  /// @param ids (B, L)  @return (B, E) of length 1
  Var<T, B> encode_text(const Tensor<std::int64_t, B>& ids, const Context& context = {}) const {
    ModuleScope at("text");
    return l2_normalize(text(ids, context.child(12)));
  }
};

/// Freezes all of the text transformer but its LoRA matrices, as --lora-text does. text.proj
/// trains.
template <int Levels, class T, class B> void lock_text_beside_lora(Clip<Levels, T, B>& model) {
  set_requires_grad(model, false, [](const std::string& name) {
    return name.rfind("text.transformer.", 0) == 0 && name.find(".lora_") == std::string::npos;
  });
}

/// Freezes the text transformer as --lock-text does: everything except LayerNorm parameters (unless
/// `freeze_layer_norm`) and the last `unlocked_layers` layers. text.proj always trains. Dropout
/// stays as it is.
template <int Levels, class T, class B>
void lock_text_tower(Clip<Levels, T, B>& model, index_t unlocked_layers = 0,
                     bool freeze_layer_norm = false) {
  const index_t layers = model.config.text.num_layers;
  set_requires_grad(model, false, [&](const std::string& name) {
    if (name.rfind("text.transformer.", 0) != 0) return false;
    if (!freeze_layer_norm && name.find("LayerNorm") != std::string::npos) return false;
    for (index_t i = layers - unlocked_layers; i < layers; ++i)
      if (name.find(fmt::format("encoder.layer.{}.", i)) != std::string::npos) return false;
    return true;
  });
}

HLIP_END
