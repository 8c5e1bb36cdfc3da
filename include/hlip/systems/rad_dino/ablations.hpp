// The ablations of RAD-DINO on synthetic radiographs: what each compares, and what the paper found.
// Source: Pérez-García et al., "RAD-DINO: Exploring Scalable Medical Image Encoders Beyond Text
// Supervision", arXiv 2401.10815.
#pragma once

#include <hlip/eval/ablation_claim.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// How long and on what everything is trained; the same for all variants.
struct AblationRecipe {
  std::int64_t pictures = 12000, size = 64;  ///< synthetic radiographs
  std::int64_t steps = 1300, batch = 64;     ///< of each pre-training
  int probe_epochs = 100;                    ///< of the probe on class tokens
  std::int64_t head_steps = 1500;            ///< of the linear head on patches
  /// Pictures with masks, drawn apart, and how many of them are a step of that head: at most what a
  /// hundredth of those to train on are.
  std::int64_t marked() const { return pictures / 6; }
  std::int64_t head_batch() const { return std::clamp<std::int64_t>(marked() * 6 / 1000, 2, 8); }
};

/// An encoder that variants are made of.
struct AblationEncoder {
  std::string name;                  ///< also of its folder
  std::vector<std::string> options;  ///< of its pre-training, beside the recipe
  std::string pretrained = {};       ///< the encoder it goes on from
  std::int64_t pictures = 0;         ///< that it learns from, 0: all
  std::int64_t steps = 0;            ///< 0: the recipe's
};

/// What a column of the results is: an encoder, and the share of the labels that heads on it get.
struct AblationVariant {
  std::string name, encoder;
  double labels = 1;
};

/// A number made of others, by their titles: the mean of some, less the mean of some. The first
/// may be "AUPRC *", every finding that has one in all variants and seeds.
struct AblationNumber {
  AblationMetric metric;
  std::vector<std::string> of, less = {};
};

struct Ablation {
  std::string name, title;
  std::string what;   ///< is compared
  std::string claim;  ///< of the paper, with its numbers where it has some
  std::vector<AblationEncoder> encoders;
  std::vector<AblationVariant> variants;
  std::string reference;
  std::vector<std::string> masks = {};  ///< that a linear head finds on the patches; none: no head
  std::vector<AblationNumber> numbers = {};  ///< before those of each finding and mask
  std::vector<AblationExpectation> expectations = {};
};

inline std::vector<std::string> ablation_names() {
  return {"resolution", "initialisation", "data-size", "no-mim", "few-labels"};
}

namespace detail {

/// Masks want more patches than a name does: 8 x 8 of them.
inline std::vector<std::string> at_64() { return {"--global-size", "64", "--local-size", "32"}; }

inline AblationNumber macro_auprc() { return {{"AUPRC", "macro"}, {"AUPRC *"}}; }

HLIP_LAZY Ablation resolution_ablation() {
  Ablation a{"resolution",
             "Size of the pictures",
             "Encoders with patches of 8 pixels, pre-trained and probed on pictures of 32, 48 and "
             "64 pixels. Small findings are lung nodule, tube and air rim; large ones emphysema, "
             "pleural effusion and cardiomegaly.",
             "Small findings (pneumothorax, chest tubes) need large pictures; for large ones the "
             "size matters little. The paper shows curves, without numbers in its text.",
             {},
             {},
             "32px"};
  for (const int size : {32, 48, 64}) {
    const std::string name = fmt::format("{}px", size);
    a.encoders.push_back(
        {name, {"--global-size", std::to_string(size), "--local-size", std::to_string(size / 2)}});
    a.variants.push_back({name, name});
  }
  const std::vector<std::string> small = {"AUPRC Lung nodule", "AUPRC Tube", "AUPRC Air rim"},
                                 large = {"AUPRC Emphysema", "AUPRC Pleural effusion",
                                          "AUPRC Cardiomegaly"};
  a.numbers = {macro_auprc(),
               {{"AUPRC", "small findings"}, small},
               {{"AUPRC", "large findings"}, large},
               {{"AUPRC", "small less large"}, small, large}};
  a.expectations = {
      {"small findings gain from larger pictures", "64px", "32px", "AUPRC small findings"},
      {"they gain more than large findings", "64px", "32px", "AUPRC small less large"},
      {"large findings change little", "64px", "32px", "AUPRC large findings", {-0.05, 0.05}}};
  return a;
}

HLIP_LAZY Ablation initialisation_ablation() {
  Ablation a{"initialisation",
             "Where the training begins",
             "From noise, or from an encoder that has learned something else before; both then "
             "learn as many steps from the same pictures. What was learned before are pictures "
             "whose patches are shuffled: their textures, not their anatomy. It stands for the "
             "photographs of DINOv2, and is far poorer. stage-1 is that encoder as it is.",
             "Going on from DINOv2 is better than beginning with random weights, most of all for "
             "rare findings: on VinDr-CXR macro AUPRC 66.6 against 59.8, tuberculosis 70.4 "
             "against 52.8, lung opacity 47.6 against 43.9; cardiomegaly is worse, 82.5 against "
             "86.9.",
             {{"noise", {}}, {"stage-1", {"--shuffle-patches"}}, {"continued", {}, "stage-1"}},
             {{"noise", "noise"}, {"stage-1", "stage-1"}, {"continued", "continued"}},
             "noise"};
  a.numbers = {macro_auprc(), {{"AUPRC", "rare less macro"}, {"AUPRC Hiatal hernia"}, {"AUPRC *"}}};
  a.expectations = {
      {"going on is better than beginning at random", "continued", "noise", "AUPRC macro"},
      {"the rare finding gains more than the mean", "continued", "noise", "AUPRC rare less macro"}};
  return a;
}

HLIP_LAZY Ablation data_size_ablation(const AblationRecipe& recipe) {
  Ablation a{"data-size",
             "How many pictures",
             "Encoders pre-trained for as many steps each on a sixteenth of the pictures, a "
             "quarter, and all of them (the number is of those drawn, 7 of 10 are trained on). "
             "Probes always learn from all training pictures. That more varied data help is not "
             "tested: all pictures come from one generator.",
             "More and more varied pictures help: on VinDr-CXR macro AUPRC 66.6 with 838,000 "
             "pictures of six collections against 60.8 with 197,000 of one. Between them the "
             "paper shows curves.",
             {},
             {},
             ""};
  for (const int part : {16, 4, 1}) {
    const std::int64_t pictures = recipe.pictures / part;
    const std::string name = fmt::format("{}-pictures", pictures);
    a.encoders.push_back({name, {}, "", pictures});
    a.variants.push_back({name, name});
  }
  a.reference = a.variants[0].name;
  a.numbers = {macro_auprc()};
  const auto better = [&](const char* says, int more, int fewer) {
    a.expectations.push_back({says, a.variants[static_cast<std::size_t>(more)].name,
                              a.variants[static_cast<std::size_t>(fewer)].name, "AUPRC macro"});
  };
  better("four times as many pictures are better", 1, 0);
  better("and again", 2, 1);
  better("sixteen times as many are better", 2, 0);
  return a;
}

HLIP_LAZY Ablation no_mim_ablation() {
  Ablation a{"no-mim",
             "Without the loss of masked patches",
             "The same pre-training with a weight of 0 for the loss of masked patches (iBOT). A "
             "linear head then finds masks on the frozen patches.",
             "Without masked patches every segmentation is worse. Dice of a linear head with and "
             "without: lungs 95.9 and 91.3, zones 85.7 and 78.8, ribs 73.4 and 67.3, tubes 90.4 "
             "and 78.5, pneumothorax 47.4 and 37.5.",
             {{"mim", at_64()}, {"no-mim", at_64()}},
             {{"no-mim", "no-mim"}, {"mim", "mim"}},
             "no-mim",
             {"lungs", "zones", "ribs", "tube"}};
  a.encoders[1].options.insert(a.encoders[1].options.end(), {"--ibot-weight", "0"});
  a.numbers = {macro_auprc()};
  for (const auto& mask : a.masks)
    a.expectations.push_back(
        {fmt::format("masked patches help to find {}", mask), "mim", "no-mim", "Dice " + mask});
  return a;
}

HLIP_LAZY Ablation few_labels_ablation() {
  Ablation a{"few-labels",
             "Few labels",
             "Heads on the frozen encoder, pre-trained or untrained, that learn from 1, 10 and "
             "100 % of the labelled subjects: a linear probe on the class token, and a linear "
             "head that finds lungs on the patches.",
             "Lungs found with a small share of the labels are close to those found with all of "
             "them. The paper shows a curve, without numbers in its text.",
             {{"pre-trained", at_64()}, {"untrained", at_64(), "", 0, 2}},
             {},
             "pre-trained 100 %",
             {"lungs"}};
  a.encoders[1].options.insert(a.encoders[1].options.end(), {"--lr", "1e-12"});  // changes nothing
  for (const auto& encoder : a.encoders)
    for (const int share : {1, 10, 100})
      a.variants.push_back(
          {fmt::format("{} {} %", encoder.name, share), encoder.name, share / 100.0});
  a.numbers = {macro_auprc()};
  const auto close = [&](const char* says, const char* few) {
    a.expectations.push_back({says, few, "pre-trained 100 %", "Dice lungs", {-0.05, 0.05}});
  };
  close("lungs with a tenth of the labels are close to those with all", "pre-trained 10 %");
  close("and so are lungs with a hundredth", "pre-trained 1 %");
  a.expectations.push_back(
      {"with a hundredth of the labels a pre-trained encoder finds lungs "
       "better than an untrained one",
       "pre-trained 1 %", "untrained 1 %", "Dice lungs"});
  a.expectations.push_back(
      {"and names findings better", "pre-trained 1 %", "untrained 1 %", "AUPRC macro"});
  return a;
}

}  // namespace detail

/// One of ablation_names(). @throws hlip::error for another name
HLIP_LAZY Ablation rad_dino_ablation(std::string_view name, const AblationRecipe& recipe) {
  if (name == "resolution") return detail::resolution_ablation();
  if (name == "initialisation") return detail::initialisation_ablation();
  if (name == "data-size") return detail::data_size_ablation(recipe);
  if (name == "no-mim") return detail::no_mim_ablation();
  if (name == "few-labels") return detail::few_labels_ablation();
  fail("ablation", "{} is none of resolution, initialisation, data-size, no-mim, few-labels",
       quote_text(name));
}

HLIP_END
