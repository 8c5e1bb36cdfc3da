// Kind training: the joint model trained for some steps by the trainer and the objective that the
// programs train with: CLIP or SigLIP, AdamW with the reference's groups, warm-up and cosine,
// gradient clipping, locked text tower, feature-caching accumulation.
#pragma once

#include "model_configs.hpp"

#include <hlip/systems/hlip/contrastive.hpp>
#include <hlip/train/trainer.hpp>

namespace golden {

namespace detail {

inline ClipConfig clip_config_of(const Fixture& f, const Json& j) {
  ClipConfig c;
  c.name = "golden";
  c.embed_dim = size_at(j, "out_dim");
  c.vision = vit_config(f, entry(j, "image"), "param.visual.trunk.");
  c.text = bert_config(f, entry(j, "text"), "param.text.transformer.");
  c.siglip = entry(j, "loss") == "siglip";
  if (!c.siglip && j["loss"] != "clip")
    fail("config", "loss is {}, expected clip or siglip", j["loss"].dump());
  f.require("param.visual.head.proj.weight", {c.embed_dim, c.vision.embed_dim});
  f.require("param.text.proj.weight", {c.embed_dim, c.text.hidden_size});
  return c;
}

/// Our groups against one of the file's lists of names.
inline void compare_names(Fixture& f, const char* key, std::vector<std::string> ours) {
  const Json list = parse_json(f.file().metadata(key), f.path() + ": " + key);
  std::vector<std::string> wanted;
  for (const auto& name : list_of(list, key))
    wanted.push_back(name.is_string() ? name.get<std::string>() : name.dump());
  std::sort(ours.begin(), ours.end());
  std::sort(wanted.begin(), wanted.end());
  const auto difference = [](const auto& a, const auto& b) {
    std::vector<std::string> d;
    std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(d));
    return d;
  };
  for (const auto& name : difference(wanted, ours))
    f.demand(false, "group {}: {} is missing here", key, name);
  for (const auto& name : difference(ours, wanted))
    f.demand(false, "group {}: {} is not in the file's", key, name);
}

template <class M, class P> void compare_groups(Fixture& f, M& model, const P& optimized) {
  std::vector<std::string> decay, no_decay, frozen;
  for (const auto& p : optimized)
    (decays(p.name, p.var.rank()) ? decay : no_decay).push_back(p.name);
  each_parameter(model, [&](const std::string& name, auto& p) {
    if (!p.requires_grad()) frozen.push_back(name);
  });
  compare_names(f, "decay", decay);
  compare_names(f, "no_decay", no_decay);
  compare_names(f, "frozen", frozen);
}

/// Key biases have no gradient but rounding (a constant per query cancels in softmax), which Adam
/// turns into steps of up to the learning rate: how far that can carry two runs apart, from the
/// largest gradient such a bias had. Source: reference document HLIP §11 item 17.
class KeyBiasDrift {
 public:
  /// Elements [begin, end) of a parameter that are key biases; empty for other parameters.
  static std::pair<index_t, index_t> elements(const std::string& name, index_t n) {
    if (name.ends_with("attn.qkv.bias")) return {n / 3, 2 * n / 3};
    if (name.ends_with("self.key.bias")) return {0, n};
    return {0, 0};
  }
  template <class P> void add_step(const P& optimized, double lr, double eps, double grad_scale) {
    for (const auto& p : optimized) {
      const auto [begin, end] = elements(p.name, p.var.numel());
      if (begin == end || !p.var.has_grad()) continue;
      for (const float g : p.var.grad().slice(0, begin, end).to_vector())
        largest_ = std::max(largest_, std::abs(static_cast<double>(g)) * grad_scale);
    }
    rates_ += lr, eps_ = eps;
  }
  double allowed() const { return 2 * rates_ * largest_ / (largest_ + eps_); }

 private:
  double rates_ = 0, largest_ = 0, eps_ = 1;
};

}  // namespace detail

template <class B>
void compare_final_weight(Fixture& f, const std::string& parameter, const Tensor<float, B>& value,
                          const detail::KeyBiasDrift& drift) {
  const std::string name = "output.final." + parameter;
  const auto [begin, end] = detail::KeyBiasDrift::elements(parameter, value.numel());
  if (begin == end || !(f.shape(name) == value.shape()))
    return f.compare(name, value, final_weight);
  // Key biases may be off by what rounding explains; within that they count as equal to the file's.
  auto got = value.to_vector();
  const auto want = f.reals(name);
  for (index_t i = begin; i < end; ++i) {
    const auto k = static_cast<std::size_t>(i);
    const double off = got[k] - want[k];
    got[k] = static_cast<float>(want[k] +
                                std::copysign(std::max(0.0, std::abs(off) - drift.allowed()), off));
  }
  f.compare(name, std::vector<double>(got.begin(), got.end()), value.shape(), final_weight);
}

template <class B> void check_training(Fixture& f) {
  // One function: a fixture of training, in the order in which it was made.
  const Json& j = f.config();
  const index_t steps = size_at(j, "steps"), pool = size_at(j, "pool"),
                accum = size_at_or(j, "accum_freq", 1), batch = size_at(j, "batch"),
                length = size_at(j, "length");
  const ClipConfig config = detail::clip_config_of(f, j);
  const Shape& img = config.vision.img_size;
  f.require("input.volume", {pool, accum, batch, size_at_or(j, "scans", 1), config.vision.in_chans,
                             img[0], img[1], img[2]});
  f.require("input.tokens", {pool, accum, batch, length});
  f.require("output.loss", {steps});

  Clip<3, float, B> model(config, 0);
  const Group parameters(f, "param.");
  load_state_dict(model, parameters);
  set_requires_grad(model, false,
                    [](const std::string& name) { return name.ends_with("_posemb"); });
  if (flag_at(j, "lock_text"))
    lock_text_tower(model, size_at_or(j, "lock_text_unlocked_layers", 0, 0),
                    flag_at(j, "lock_text_freeze_layer_norm"));
  const auto& betas = list_of(entry(j, "betas"), "betas", 2);
  TrainerOptions options;
  options.steps = steps, options.accum_freq = accum;
  options.schedule = {.lr = number_at(j, "lr"), .warmup = size_at_or(j, "warmup", 0, 0)};
  options.adamw = {number_of(betas[0], "betas"), number_of(betas[1], "betas"), number_at(j, "eps")};
  options.grad_clip_norm = number_at_or(j, "grad_clip", 0);
  ContrastiveSettings settings;
  settings.weight_decay = number_at(j, "wd"), settings.siglip = config.siglip;
  settings.scale_gradient = ScaleGradient::every_pass;  // as published

  const auto volumes = f.tensor<B>("input.volume");
  const auto tokens = f.indices<B>("input.tokens");
  Tensor<float, B> image_features, text_features;  // of the latest forward pass
  index_t forwards = 0;
  /// Batch number `part` of step `step`.
  struct Part {
    index_t step, part;
  };
  const auto encode = [&](const Part& at, const Context&) {
    HlipVitInput<B> input;
    input.scan_positions = scan_positions(f, forwards++);
    const auto chosen = [&](const auto& all) {
      return all.select(0, at.step % pool).select(0, at.part);
    };
    const Tensor<float, B> volume = chosen(volumes);
    const PairFeatures<float, B> features{model.encode_image(Var<float, B>(volume), {}, input),
                                          model.encode_text(chosen(tokens).contiguous())};
    image_features = features.image.value(), text_features = features.text.value();
    return features;
  };
  ContrastiveObjective objective(model, settings, encode);
  Trainer trainer(objective, options, CheckpointStore("", {"step"}));
  const auto& optimized = trainer.optimizer().parameters();
  detail::compare_groups(f, model, optimized);

  std::vector<double> losses, micro_losses, norms, rates, scales, biases;
  detail::KeyBiasDrift drift;
  for (index_t s = 0; s < steps; ++s) {
    std::vector<Part> parts;
    for (index_t part = 0; part < accum; ++part) parts.push_back({s, part});
    const StepResult step = trainer.train_step(parts);
    losses.push_back(accum > 1 ? static_cast<double>(objective.losses_of_passes().back().item())
                               : step.loss);
    norms.push_back(step.grad_norm), rates.push_back(step.lr),
        scales.push_back(model.logit_scale.item());
    if (config.siglip) biases.push_back(model.logit_bias.item());
    if (accum > 1)
      for (const Tensor<float, B>& of_pass : objective.losses_of_passes())
        micro_losses.push_back(static_cast<double>(of_pass.item()));
    const double grad_scale = clip_scale(step.grad_norm, options.grad_clip_norm);
    if (s == 0) {
      f.compare("output.step0.image_features", image_features, forward);
      f.compare("output.step0.text_features", text_features, forward);
      // gradients as the optimiser saw them: clipped
      for (const auto& p : optimized)
        f.compare("grad." + p.name,
                  p.var.has_grad() ? Tensor<float, B>(p.var.grad() * grad_scale)
                                   : Tensor<float, B>::zeros(p.var.shape()),
                  gradient);
    }
    drift.add_step(optimized, step.lr, options.adamw.eps, grad_scale);
  }

  f.compare("output.loss", losses, training);
  if (accum > 1) f.compare("output.micro_loss", micro_losses, training);
  f.compare("output.grad_norm", norms, training);
  f.compare("output.lr", rates, schedule);
  f.compare("output.logit_scale", scales, training);
  if (config.siglip) f.compare("output.logit_bias", biases, training);
  for (const auto& p : optimized) compare_final_weight(f, p.name, p.var.value(), drift);
}

}  // namespace golden
