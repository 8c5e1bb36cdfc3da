// Kinds contrastive and restoration_losses: the two losses of text-informed pre-training.
#pragma once

#include "../tolerances.hpp"

#include <hlip/autograd/functions/norm.hpp>
#include <hlip/losses/restoration.hpp>
#include <hlip/losses/view_contrast.hpp>

namespace golden {

template <class B> void check_contrastive(Fixture& f) {
  const auto studies = f.indices<B>("input.study_id");
  // "masked" is "both" with the rows of one study left out of the denominators
  const auto none = Tensor<std::int64_t, B>::arange(studies.numel());
  for (const std::string mode : {"cross", "both", "ntxent", "masked"}) {
    const auto leaf = [&](const std::string& name) {
      return Var<float, B>(f.tensor<B>("input." + name), true);
    };
    const Var<float, B> visual_a = leaf("visual_a"), visual_b = leaf("visual_b"),
                        informed_a = leaf("informed_a"), informed_b = leaf("informed_b");
    const ViewEmbeddings<float, B> e{l2_normalize(visual_a), l2_normalize(visual_b),
                                     l2_normalize(informed_a), l2_normalize(informed_b)};
    const Var<float, B> log_scale = leaf("log_scale"), scale = exp(log_scale);
    const ViewContrast form = view_contrast_named(mode == "masked" ? "both" : mode);
    const auto loss = view_contrast_loss(e, form, scale, mode == "masked" ? studies : none);
    f.compare("output." + mode + ".loss", loss.value(), of_an_operator);
    if (mode == "both")
      f.compare("output.both.logits",
                view_logits(e.informed_a.value(), e.informed_b.value(), scale.value()),
                of_an_operator);
    loss.backward();
    const std::pair<const char*, const Var<float, B>*> leaves[] = {{"visual_a", &visual_a},
                                                                   {"visual_b", &visual_b},
                                                                   {"informed_a", &informed_a},
                                                                   {"informed_b", &informed_b},
                                                                   {"log_scale", &log_scale}};
    for (const auto& [name, var] : leaves)
      if (const std::string grad = "grad." + mode + "." + name; f.contains(grad))
        f.compare(grad, var->grad(), of_an_operator);
  }
}

template <class B> void check_restoration_losses(Fixture& f) {
  const auto target = f.tensor<B>("input.target");
  const auto changed = f.file().template tensor<std::uint8_t, B>("input.changed");
  const Tensor<std::uint8_t, B> all;
  const struct {
    const char* name;
    RestorationLoss loss;
    bool masked;
  } modes[] = {{"l1", RestorationLoss::l1, false},
               {"mse", RestorationLoss::mse, false},
               {"smooth_l1", RestorationLoss::smooth_l1, false},
               {"l1_masked", RestorationLoss::l1, true},
               {"mse_masked", RestorationLoss::mse, true}};
  for (const auto& mode : modes) {
    const Var<float, B> prediction(f.tensor<B>("input.prediction"), true);
    const auto loss = restoration_loss(prediction, target, mode.loss, mode.masked ? changed : all);
    f.compare(std::string("output.") + mode.name, loss.value(), of_an_operator);
    loss.backward();
    f.compare(fmt::format("grad.{}.prediction", mode.name), prediction.grad(), of_an_operator);
  }
  f.compare("output.psnr_range1", psnr(f.tensor<B>("input.prediction"), target), of_an_operator);
}

}  // namespace golden
