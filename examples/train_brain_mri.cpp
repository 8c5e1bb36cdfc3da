// Trains HLIP on brain MRI studies of several scans and their reports, then names findings in
// studies it has never seen.
//
//   train_brain_mri --data-root DIR --train-json DIR/train_studies.json --out runs/x
//       studies in HLIP's JSON layout
//   train_brain_mri --phantom 3000 --out runs/brain
//       synthetic studies, drawn first
//   train_brain_mri --resume latest --out runs/x
//       goes on where the run stopped
//
// Read it from top to bottom: options, data, model, text stage, image stage, evaluation.
#include "train_brain_mri/options.hpp"

#include <hlip/hlip.hpp>

#include <hlip/cli/draw_phantoms.hpp>
#include <hlip/datasets/brain_mri/samples.hpp>
#include <hlip/io/gzip_libdeflate.hpp>
#include <hlip/phantoms/brain_mri_writer.hpp>
#include <hlip/systems/hlip/training.hpp>
#include <hlip/systems/hlip/zero_shot.hpp>

#include <fmt/format.h>

using namespace train_brain_mri;

namespace {

/// Reads the studies of a JSON file, by the rules of usable_studies.
BrainDataset read_studies(const Options& o, RunFolder& folder, const std::string& json,
                          const std::string& split, const std::string& labels, bool training) {
  return usable_studies(
      o, folder,
      read_brain_mri(o.data_root, json,
                     {split, labels, training, volume_check_named(o.check_volumes)}),
      json);
}

template <class B> int train(B, Options& o, const std::string& resolved) {
  // One function: this is the program, to be read from top to bottom.
  ClipConfig config = brain_config(o);
  const MriPreset preset = mri_preset(config.vision.img_size[0], config.vision.img_size[1]);

  // ---- data ---------------------------------------------------------------------------------
  RunFolder folder(o);
  if (o.phantom > 0) {
    const auto drawn = draw_phantoms(o.threads, [&](int threads, auto progress) {
      return write_brain_phantom_dataset(o.phantom_root, {}, o.phantom_seed, o.phantom,
                                         o.phantom_valid, threads, progress);
    });
    if (!drawn) return 0;
    o.data_root = drawn->root;
    o.train_json = drawn->train_json;
    o.valid_json = drawn->valid_json;
    o.valid_labels = drawn->valid_labels;
  }
  const BrainDataset train_set = read_studies(o, folder, o.train_json, o.train_split, "", true);
  const auto tokenizer = make_tokenizer(o, train_set.studies, config);
  BrainDataset valid_set;
  if (!o.valid_json.empty())
    valid_set = read_studies(o, folder, o.valid_json, o.valid_split, o.valid_labels, false);
  const BrainVolumes valid(valid_set.studies, preset);
  const auto label = [&](index_t i, const ZeroShotClass& c) {
    const auto at = std::find(valid_set.findings.begin(), valid_set.findings.end(),
                              c.label_column) -
                    valid_set.findings.begin();
    return valid.labels(i)[static_cast<std::size_t>(at)];
  };
  std::vector<std::string> left_out;
  const auto findings = evaluable_classes(brain_prompts(valid_set.findings), valid.size(), label,
                                          left_out);

  std::size_t scans = 0;
  for (const auto& s : train_set.studies) scans += s.scans.size();
  const std::size_t stored =
      scans * static_cast<std::size_t>(preset.num_slices * preset.crop * preset.crop) *
      sizeof(float16);
  const BrainSamples::Options sampling{sample_options(o, config, stored), preset, o.num_scans};
  const auto samples = std::make_shared<const BrainSamples>(train_set.studies, tokenizer, sampling);

  // ---- model --------------------------------------------------------------------------------
  HlipTraining<B> run(o, folder, config, to_string(preset), tokenizer, samples->size());
  run.begin(fmt::format("{} {}training studies ({} scans{}, {} a step), {} for evaluation",
                        samples->size(), o.phantom > 0 ? "synthetic " : "", scans,
                        sampling.cache ? ", cached" : "", o.num_scans, valid.size()),
            resolved);
  if (o.highest_level != "study")
    fmt::print("attention is limited to the {} level\n", o.highest_level);

  // ---- text stage: the text tower learns to match the halves of one report -------------------
  if (run.text_stage(samples) == TrainOutcome::stopped) return 0;

  // ---- image stage --------------------------------------------------------------------------
  const auto score = [&] {
    return score_zero_shot(run.model, *tokenizer, valid, findings, label,
                           ZeroShotOptions{1, o.workers});
  };
  const auto evaluate = [&](std::int64_t epoch) {
    std::vector<Evaluation> found;
    if (!findings.empty() && evaluation_due(o.zeroshot_frequency, epoch))
      found.push_back(zero_shot_evaluation(score().table()));
    return found;
  };
  if (run.image_stage(samples, o.num_scans, sampling.cache ? stored : 0, evaluate) ==
      TrainOutcome::stopped)
    return 0;
  if (o.dry_run) {
    run.finish_dry_run();
    return 0;
  }

  // ---- evaluation ---------------------------------------------------------------------------
  if (findings.empty()) {
    fmt::print(
        "no zero-shot evaluation: {}\n",
        valid.size() == 0
            ? "there is no --valid-json with --valid-labels"
            : fmt::format("no finding has both a positive and a negative among the {} studies",
                          valid.size()));
  } else {
    run.evaluate_zero_shot(
        score, left_out, "studies",
        "each finding against 'No significant abnormalities', all scans of a study");
  }
  run.write_report(
      fmt::format("{} on {}, {} training studies", config.name,
                  o.phantom > 0 ? "synthetic brain studies" : o.train_json, samples->size()),
      left_out, [&](Json&, auto fact) {
        fact("training", fmt::format("{} studies, {} scans, {} of them a step", samples->size(),
                                     scans, o.num_scans));
        fact("evaluation", fmt::format("{} studies", valid.size()));
      });
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  hlip::let_waiting_threads_sleep(argv);
  CLI::App app(
      "Train HLIP on brain MRI studies of several scans and their reports (HLIP's JSON layout, or "
      "synthetic phantoms).",
      "train_brain_mri");
  Options o;
  add_options(app, o);
  return run_training_program(app, argc, argv, o, usage_fault, apply_recipe,
                              [](auto device, Options& options, const std::string& resolved) {
                                return train(device, options, resolved);
                              });
}
