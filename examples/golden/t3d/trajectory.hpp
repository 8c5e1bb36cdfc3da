// Kind trajectory: text-informed pre-training for some steps, by the trainer and the objective that
// the program trains with.
#pragma once

#include "encoder3d.hpp"

#include <hlip/systems/t3d/text_informed.hpp>
#include <hlip/train/trainer.hpp>

namespace golden {

/// Our name for a parameter of the fixture's model.
inline std::string name_in_text_informed(std::string theirs) {
  const std::string visual = "visual.";
  if (theirs.starts_with(visual)) return visual + name_in_resnet3d(theirs.substr(visual.size()));
  if (theirs.starts_with("words") || theirs == "places") return "text." + theirs;
  if (theirs.starts_with("up") || theirs.starts_with("last")) return "decoder." + theirs;
  return theirs;
}

template <class B> SubVolumePairs<float, B> pairs_of_step(const Fixture& f, index_t step) {
  const std::string at = fmt::format("input.step{}.", step);
  SubVolumePairs<float, B> pairs;
  pairs.view_a = f.tensor<B>(at + "view_a"), pairs.view_b = f.tensor<B>(at + "view_b");
  pairs.corrupt_a = f.tensor<B>(at + "corrupt_a"), pairs.corrupt_b = f.tensor<B>(at + "corrupt_b");
  pairs.ids = f.indices<B>(at + "ids");
  pairs.studies = Tensor<std::int64_t, B>::arange(pairs.ids.dim(0));
  return pairs;
}

template <class B> void check_text_informed(Fixture& f) {
  const Json& j = f.config();
  const index_t dt = size_at(j, "dt");
  TextInformedConfig config;
  config.fusion_heads = size_at(j, "heads"), config.embed_dim = size_at(j, "proj");
  config.decoder_widths = {axis_of(f, "param.up1.weight", 5, 1),
                           axis_of(f, "param.up2.weight", 5, 1)};
  f.require("param.words.weight", {size_at(j, "vocab"), dt});
  f.require("param.places", {size_at(j, "len"), dt});
  Initializer init(0);
  ResNet3d<float, B> visual(encoder3d_config(size_at(j, "w")), init);
  ReportTower<float, B> text(size_at(j, "vocab"), size_at(j, "len"), dt, init);
  using Model = TextInformedModel<ResNet3d<float, B>, float, B>;
  Model model(visual, text, config, 1, init);
  const Group parameters(f, "param.", name_in_text_informed);
  load_state_dict(model, parameters);

  const index_t steps = axis_of(f, "output.losses", 2, 0);
  TrainerOptions options;
  options.steps = steps;
  options.schedule = {.lr = 1e-3, .warmup = 3, .cosine_from_start = true};
  options.adamw = {0.9, 0.999, 1e-8};
  options.grad_clip_norm = 1;
  TextInformedSettings settings;
  settings.text_dropout = 0;
  TextInformedObjective<ResNet3d<float, B>, float, B> objective(model, settings);
  Trainer trainer(objective, options, CheckpointStore("", {"step"}));

  std::vector<double> losses, norms;
  for (index_t s = 0; s < steps; ++s) {
    const StepResult r = trainer.train_step(std::vector{pairs_of_step<B>(f, s)});
    const std::map<std::string, double> named(r.others.begin(), r.others.end());
    losses.insert(losses.end(), {named.at("contrast"), named.at("restoration"), r.loss});
    norms.push_back(r.grad_norm);
    if (s > 0) continue;
    for (const auto& p : trainer.optimizer().parameters()) {
      const double scale = clip_scale(r.grad_norm, options.grad_clip_norm);
      f.compare(
          "grad.step0_clipped." + parameters.in_file(p.name),
          Tensor<float, B>(p.var.grad() * scale),
          p.name == "fusion.k.bias" ? Limit{Limit::Scale::absolute, 2e-5} : gradient_of_a_network);
    }
  }
  f.compare("output.losses", losses, {steps, 3}, of_a_trajectory);
  f.compare("output.grad_norms", norms, of_a_trajectory);
  for (const auto& [name, p] : named_parameters(model)) {
    const std::string theirs = "output.final." + parameters.in_file(name);
    // no gradient but rounding, of which Adam makes steps of the size of the learning rate
    if (name != "fusion.k.bias") f.compare(theirs, p->value(), of_a_trajectory);
    else
      f.compare(theirs, p->value(),
                Limit{Limit::Scale::absolute, 1e-3 * static_cast<double>(steps)});
  }
  for (const auto& name : f.file().names())  // batches seen, which ours do not count: one a pass
    if (name.starts_with("output.final.") && name.ends_with("num_batches_tracked"))
      f.compare(name, 4.0 * static_cast<double>(steps), exact);
}

}  // namespace golden
