// An ablation as programs to run: for each seed and encoder a pre-training and its features, for
// each variant heads on these.
#pragma once

#include <hlip/cli/program_steps.hpp>
#include <hlip/systems/rad_dino/ablations.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Where an ablation is carried out, and how often.
struct AblationRun {
  std::string out;       ///< its folder
  std::string programs;  ///< the folder of the programs
  std::string drawn;     ///< the folder of the synthetic radiographs; smaller sets lie beside it
  int seeds = 3, threads = 0;
  std::uint64_t seed = 0;  ///< the first

  /// Of a variant or an encoder, whose names may have blanks.
  std::string folder_of(std::uint64_t of_seed, std::string name) const {
    std::replace(name.begin(), name.end(), ' ', '_');
    return fmt::format("{}/seed_{}/{}", out, of_seed, name);
  }
  std::string table() const { return drawn + "/radiographs.csv"; }
};

namespace detail {

/// Writes the steps of an ablation down.
class AblationPlan {
 public:
  AblationPlan(const Ablation& ablation, const AblationRecipe& recipe, const AblationRun& run)
      : ablation_(ablation), recipe_(recipe), run_(run) {}

  HLIP_LAZY std::vector<ProgramStep> steps() {
    draw();
    for (int s = 0; s < run_.seeds; ++s) {
      seed_ = run_.seed + static_cast<std::uint64_t>(s);
      for (const auto& encoder : ablation_.encoders) {
        pretrain(encoder);
        encode(encoder);
      }
      for (const auto& variant : ablation_.variants) {
        probe(variant);
        if (!ablation_.masks.empty()) segment(variant);
      }
    }
    return std::move(steps_);
  }

 private:
  using Words = std::vector<std::string>;

  std::string folder(const std::string& name) const { return run_.folder_of(seed_, name); }
  std::string model(const std::string& encoder) const { return folder(encoder) + "/run"; }
  /// A step. @param words behind the program; @param more see ProgramStep
  HLIP_LAZY void add(const std::string& step, const std::string& program, Words words,
                     const std::string& makes, Words more = {}) {
    words.insert(words.begin(), run_.programs + "/" + program);
    if (run_.threads > 0) {
      more.push_back("--threads");
      more.push_back(std::to_string(run_.threads));
    }
    steps_.push_back({step, std::move(words), std::move(more), makes});
  }
  /// What the steps in such a folder are called in front.
  std::string in(const std::string& name) const {
    return folder(name).substr(run_.out.size() + 1) + "/";
  }
  /// Drawn pictures, so many of them, and the recipe that goes with them.
  Words pictures(std::int64_t count, const std::string& root) const {
    return {"--phantom",      std::to_string(count),
            "--phantom-size", std::to_string(recipe_.size),
            "--phantom-root", root};
  }

  HLIP_LAZY void draw() {
    Words words = pictures(recipe_.pictures, run_.drawn);
    const std::string out = run_.out + "/draw";
    words.insert(words.end(), {"--steps", "2", "--batch-size", "2", "--dry-run", "--out", out});
    add("draw", "train_rad_dino", std::move(words), run_.table());
  }

  HLIP_LAZY void pretrain(const AblationEncoder& encoder) {
    const std::string run = model(encoder.name);
    const std::int64_t steps = encoder.steps > 0 ? encoder.steps : recipe_.steps;
    const bool fewer = encoder.pictures > 0 && encoder.pictures < recipe_.pictures;
    Words words = fewer ? pictures(encoder.pictures,
                                   fmt::format("{}_{}", run_.drawn, encoder.pictures))
                        : pictures(recipe_.pictures, run_.drawn);
    words.insert(words.end(), {"--steps", std::to_string(steps), "--batch-size",
                               std::to_string(recipe_.batch), "--seed", std::to_string(seed_)});
    words.insert(words.end(), encoder.options.begin(), encoder.options.end());
    if (!encoder.pretrained.empty())
      words.insert(words.end(), {"--pretrained", model(encoder.pretrained)});
    words.insert(words.end(), {"--save-frequency-steps", std::to_string(steps / 5 + 1),
                               "--keep-checkpoints", "1", "--out", run});
    add(in(encoder.name) + "pretrain", "train_rad_dino", std::move(words),
        run + "/encoder/model.safetensors", {"--resume", "latest"});
  }

  HLIP_LAZY void encode(const AblationEncoder& encoder) {
    const std::string out = folder(encoder.name) + "/features.safetensors";
    add(in(encoder.name) + "encode", "encode_radiographs",
        {run_.table(), "--no-patches", "--batch-size", "64", "--name", encoder.name, "--model",
         model(encoder.name), "--out", out},
        out);
  }

  HLIP_LAZY void probe(const AblationVariant& variant) {
    const std::string out = folder(variant.name) + "/probe";
    Words words = {"--features",   folder(variant.encoder) + "/features.safetensors",
                   "--labels",     run_.table(),
                   "--lr",         "0.01",
                   "--epochs",     std::to_string(recipe_.probe_epochs),
                   "--seeds",      "1",
                   "--seed",       std::to_string(seed_),
                   "--resamples",  "100",
                   "--standardise"};
    add_share(words, variant);
    words.insert(words.end(), {"--out", out});
    add(in(variant.name) + "probe", "probe_radiographs", std::move(words), out + "/probe.csv");
  }

  /// A linear head on patches. As many steps whatever the share of the labels, so that few labels
  /// are not few steps too.
  HLIP_LAZY void segment(const AblationVariant& variant) {
    const std::string out = folder(variant.name) + "/masks";
    Words words = pictures(recipe_.marked(), run_.drawn + "_masks");
    words.insert(words.begin(), "train");
    words.insert(words.end(),
                 {"--encoder", model(variant.encoder), "--head", "linear", "--size", "64",
                  "--steps", std::to_string(recipe_.head_steps), "--batch-size",
                  std::to_string(recipe_.head_batch()), "--val-frequency-steps",
                  std::to_string(recipe_.head_steps / 10 + 1), "--seed", std::to_string(seed_)});
    add_share(words, variant);
    words.insert(words.end(), {"--out", out});
    add(in(variant.name) + "masks", "segment_radiographs", std::move(words),
        out + "/dice_summary.csv", {"--resume", "latest"});
  }
  static void add_share(Words& words, const AblationVariant& variant) {
    if (variant.labels < 1)
      words.insert(words.end(), {"--train-fraction", fmt::format("{:g}", variant.labels)});
  }

  const Ablation& ablation_;
  const AblationRecipe& recipe_;
  const AblationRun& run_;
  std::uint64_t seed_ = 0;
  std::vector<ProgramStep> steps_;
};

}  // namespace detail

/// The steps of an ablation, each after those whose files it reads.
HLIP_LAZY std::vector<ProgramStep> ablation_steps(const Ablation& ablation,
                                                  const AblationRecipe& recipe,
                                                  const AblationRun& run) {
  return detail::AblationPlan(ablation, recipe, run).steps();
}

HLIP_END
