// Trains HLIP on chest CT volumes and their reports, then names findings in volumes it has never
// seen.
//
//   train_ct_rate --data-root DIR --out runs/x        a CT-RATE tree
//   train_ct_rate --phantom 6000 --out runs/demo      synthetic volumes, drawn first
//   train_ct_rate --resume latest --out runs/x        goes on where the run stopped
//
// Read it from top to bottom: options, data, model, text stage, image stage, evaluation.
#include "train_ct_rate/options.hpp"

#include <hlip/hlip.hpp>

#include <hlip/cli/draw_phantoms.hpp>
#include <hlip/datasets/ct_rate/samples.hpp>
#include <hlip/io/gzip_libdeflate.hpp>
#include <hlip/phantoms/chest_ct_writer.hpp>
#include <hlip/systems/hlip/report_examples.hpp>
#include <hlip/systems/hlip/retrieval_ct.hpp>
#include <hlip/systems/hlip/training.hpp>
#include <hlip/systems/hlip/zero_shot_ct.hpp>

#include <fmt/format.h>

#include <filesystem>
#include <optional>

using namespace train_ct_rate;

namespace {

/// Reads a split, by the rules of usable_studies.
/// @param annotation JSON with the reports, or empty for the table  @param reports whether reports
/// are needed; otherwise labels are
CtRateDataset read_split(const Options& o, RunFolder& folder, const std::string& split,
                         const std::string& annotation, bool reports) {
  CtRateOptions reading;
  reading.already_hu = o.already_hu;
  reading.need_reports = reports;
  reading.need_labels = !reports;
  reading.annotation = annotation;
  reading.check = volume_check_named(o.check_volumes);
  return usable_studies(o, folder, read_ct_rate(o.data_root, split, reading), o.data_root, split);
}

template <class B> int train(B, Options& o, const std::string& resolved) {
  // One function: this is the program, to be read from top to bottom.
  ClipConfig config = model_config(o);
  const CtPreset preset = preprocessing(o, config);

  // ---- data ---------------------------------------------------------------------------------
  RunFolder folder(o);
  if (o.phantom > 0) {
    const auto drawn = draw_phantoms(o.threads, [&](int threads, auto progress) {
      return write_phantom_dataset(o.phantom_root, {}, o.phantom_seed, o.phantom, o.phantom_valid,
                                   threads, progress);
    });
    if (!drawn) return 0;
    o.data_root = drawn->dataset;
    if (o.train_data.empty()) o.train_split = "train";
  }
  const CtRateDataset train_set = read_split(o, folder, o.train_split, o.train_data, true);
  const auto tokenizer = make_tokenizer(o, train_set.studies, config);
  const auto has_split = [&](const std::string& split) {
    return std::filesystem::exists(o.data_root + "/" + split) ||
           std::filesystem::exists(o.data_root + "/" + split + "_fixed");
  };
  if (!has_split(o.valid_split) && o.valid_split != "valid")
    fail_file(o.data_root, o.valid_split, "there is no such split to evaluate on");
  std::shared_ptr<CtRateVolumes> valid;
  std::vector<ZeroShotClass> findings;
  std::vector<std::string> left_out;
  if (has_split(o.valid_split) &&
      std::filesystem::exists(o.data_root + "/multi_abnormality_labels")) {
    const auto studies = read_split(o, folder, o.valid_split, "", false).studies;
    valid = std::make_shared<CtRateVolumes>(
        studies, cached_files(o.cache, o.valid_split, preset, studies), preset);
    findings = evaluable_findings(*valid, prompt_template(o.zeroshot_template), left_out);
  }

  std::size_t volumes = 0;
  for (const auto& s : train_set.studies) volumes += s.recons.size();
  const std::size_t stored = volumes * sizeof(float16) *
                             static_cast<std::size_t>(preset.size[0] * preset.size[1] *
                                                      preset.size[2]);
  const CtRateSamples::Options sampling{
      sample_options(o, config, stored), preset,
      o.text_sampling == "whole" ? ReportSampling::whole : ReportSampling::sentences};
  const auto cached = cached_files(o.cache, o.train_split, preset, train_set.studies);
  if (!o.cache.empty())
    fmt::print("cache {}: {} of {} training volumes are there and current\n", o.cache,
               volumes - static_cast<std::size_t>(std::count(cached.begin(), cached.end(), "")),
               volumes);
  const auto samples = std::make_shared<const CtRateSamples>(train_set.studies, cached, tokenizer,
                                                             sampling);
  const ReportLengths lengths = report_lengths(*samples, *tokenizer);
  fmt::print("{}\n", to_string(lengths));
  // volumes and whole reports that should find each other
  std::shared_ptr<const CtRateSamples> pairs;
  if (o.val_frequency > 0) {
    const auto studies = read_split(o, folder, o.valid_split, o.val_data, true).studies;
    pairs = std::make_shared<const CtRateSamples>(
        studies, cached_files(o.cache, o.valid_split, preset, studies), tokenizer,
        CtRateSamples::Options{{.context_length = config.context_length}, preset});
  }

  // ---- model --------------------------------------------------------------------------------
  HlipTraining<B> run(o, folder, config, to_string(preset), tokenizer, samples->size());
  run.begin(fmt::format("{} training studies ({} volumes{}), {} for evaluation", samples->size(),
                        volumes, sampling.cache ? ", cached" : "", valid ? valid->size() : 0),
            resolved);

  // ---- text stage: the text tower learns to match the sections of one report -----------------
  if (run.text_stage(samples) == TrainOutcome::stopped) return 0;

  // ---- image stage --------------------------------------------------------------------------
  const auto score = [&] {
    return score_zero_shot(run.model, *tokenizer, *valid, findings, {16, o.workers});
  };
  const auto retrieve = [&] {
    return "retrieval on " + std::to_string(pairs->size()) +
           " pairs: " + to_string(evaluate_retrieval(run.model, pairs, 16, o.workers));
  };
  const auto evaluate = [&](std::int64_t epoch) {
    std::vector<Evaluation> found;
    if (!findings.empty() && evaluation_due(o.zeroshot_frequency, epoch))
      found.push_back(zero_shot_evaluation(score().table()));
    if (pairs && evaluation_due(o.val_frequency, epoch)) found.push_back({retrieve(), {}});
    return found;
  };
  if (run.image_stage(samples, 1, sampling.cache ? stored : 0, evaluate) == TrainOutcome::stopped)
    return 0;
  if (o.dry_run) {
    run.finish_dry_run();
    return 0;
  }

  // ---- evaluation ---------------------------------------------------------------------------
  if (pairs) fmt::print("{}\n", retrieve());
  std::optional<ZeroShotScores> scores;
  if (!valid) {
    fmt::print("no zero-shot evaluation: {} has no labelled split '{}'\n", o.data_root,
               o.valid_split);
  } else if (findings.empty()) {
    fmt::print(
        "no zero-shot evaluation: no finding has both a positive and a negative among the {} "
        "volumes of '{}'\n",
        valid->size(), o.valid_split);
  } else {
    scores = run.evaluate_zero_shot(score, left_out, "volumes",
                                    fmt::format("template '{}'", o.zeroshot_template));
  }

  // ---- report -------------------------------------------------------------------------------
  run.write_report(
      fmt::format("{} on {}, {} training studies", config.name,
                  o.phantom > 0 ? "synthetic chest CTs" : o.train_split, samples->size()),
      left_out, [&](Json& summary, auto fact) {
        if (lengths.cut > 0) summary["notes"].push_back(to_string(lengths));
        fact("training", fmt::format("{} studies, {} volumes", samples->size(), volumes));
        fact("evaluation", fmt::format("{} volumes", valid ? valid->size() : 0));
        fact("texts", to_string(lengths));
        if (!scores) return;
        write_embeddings(o.out + "/report/embeddings.safetensors", run.model, *tokenizer, *valid,
                         *scores);
        summary["examples"] = write_examples(o.out + "/report", run.model,
                                             zero_shot_classifier(run.model, *tokenizer, findings),
                                             *valid, *scores, preset, o.report_examples);
      });
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  hlip::let_waiting_threads_sleep(argv);
  CLI::App app(
      "Train HLIP on chest CT volumes and reports (CT-RATE layout, or synthetic phantoms).",
      "train_ct_rate");
  Options o;
  add_options(app, o);
  return run_training_program(app, argc, argv, o, usage_fault, apply_recipe,
                              [](auto device, Options& options, const std::string& resolved) {
                                return train(device, options, resolved);
                              });
}
