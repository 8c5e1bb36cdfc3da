// Trains HLIP on chest CT volumes and their reports, then names findings in volumes it has never
// seen.
//
//   train_ct_rate --data-root DIR --out runs/x        a CT-RATE tree
//   train_ct_rate --phantom 6000 --out runs/demo      synthetic volumes, drawn first
//   train_ct_rate --resume latest --out runs/x        goes on where the run stopped
//
// Read it from top to bottom: options, data, model, text stage, image stage, evaluation.
#include <hlip/hlip.hpp>

#include <hlip/cli/draw_phantoms.hpp>
#include <hlip/datasets/ct_rate/samples.hpp>
#include <hlip/io/gzip_libdeflate.hpp>
#include <hlip/phantoms/chest_ct_writer.hpp>
#include <hlip/systems/hlip/report_examples.hpp>
#include <hlip/systems/hlip/retrieval_ct.hpp>
#include <hlip/systems/hlip/training.hpp>
#include <hlip/systems/hlip/zero_shot_ct.hpp>
#include <hlip/train/report_problems.hpp>

#include <fmt/format.h>
#include <omp.h>

#include <filesystem>
#include <optional>

using namespace hlip;

namespace {

struct Options : HlipOptions {
  std::string data_root, train_split = "train", valid_split = "valid", train_data, val_data, cache,
                         text_sampling = "whole", zeroshot_template = "volume";
  std::vector<std::string> input_info = {"-1150", "350", "crop"};
  bool already_hu = false;
  std::int64_t val_frequency = 0;
  std::size_t report_examples = 3;
  Options() { model = "vit_base_singlescan_h2_token2744"; }
};

void add_options(CLI::App& app, Options& o) {
  const auto data = "Data", text = "Text stage (before the images, on reports alone)",
             loop = "Loop";
  app.add_option("--data-root", o.data_root,
                 "folder of a CT-RATE tree: <split>/, radiology_text_reports/, "
                 "multi_abnormality_labels/, metadata/")
      ->group(data);
  add_phantom_options(app, o, data);
  app.add_option("--train-split", o.train_split, "split to train on")
      ->capture_default_str()
      ->group(data);
  app.add_option("--valid-split", o.valid_split, "split to evaluate on")
      ->capture_default_str()
      ->group(data);
  app.add_option("--train-data", o.train_data,
                 "training annotation JSON (default: the table of reports)")
      ->group(data);
  app.add_option("--val-data", o.val_data,
                 "annotation JSON of the split to evaluate on, for --val-frequency (default: the "
                 "table of reports)")
      ->group(data);
  app.add_option("--input-info", o.input_info,
                 "window in HU and how volumes are fitted: LOW HIGH crop|resize")
      ->expected(3)
      ->capture_default_str()
      ->group(data);
  app.add_flag("--already-hu", o.already_hu,
               "volumes are in HU: do not apply the table's slope and intercept")
      ->group(data);
  app.add_option("--cache", o.cache,
                 "folder preprocess_ct_rate wrote: use its volumes where they are current")
      ->check(CLI::ExistingDirectory)
      ->group(data);
  add_study_options(app, o, data);
  add_model_options(app, o, "Model");
  add_schedule_options(app, o, "Schedule");
  add_text_stage_options(app, o, text);
  app.add_option("--text-sampling", o.text_sampling,
                 "texts of the image stage: the whole report, or drawn sentences")
      ->check(CLI::IsMember({"whole", "sentences"}))
      ->capture_default_str()
      ->group(text);
  add_loop_options(app, o, loop);
  add_contrast_options(app, o, "Schedule", loop);
  app.add_option("--zeroshot-template", o.zeroshot_template, "prompt template")
      ->check(CLI::IsMember({"volume", "organ"}))
      ->capture_default_str()
      ->group(loop);
  app.add_option("--val-frequency", o.val_frequency,
                 "epochs between retrieval metrics on volumes and reports of the split to evaluate "
                 "on, 0: none; also at the end")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(loop);
  app.add_option("--report-examples", o.report_examples,
                 "volumes in OUT/report.html that show where the model looked")
      ->check(CLI::Range(0, 100))
      ->capture_default_str()
      ->group(loop);
}

/// The recipe measured on phantoms, for every option that was not given.
void apply_phantom_recipe(CLI::App& app, Options& o) {
  const auto set = [&](const char* name, auto& option, auto value) {
    recipe_default(app, name, option, value);
  };
  set("--model", o.model, "phantom");
  set("--text-sampling", o.text_sampling, "sentences");
  set("--batch-size", o.batch_size, std::min<std::int64_t>(32, o.phantom / 2));
  if (app.count("--epochs") == 0)
    set("--steps", o.steps,
        std::min<std::int64_t>(2600, std::max<std::int64_t>(1, o.phantom * 14 / o.batch_size)));
  // First the text tower, on reports alone, then the images with the text tower locked. Measured on
  // 400 held-out studies, text and image steps: 562 + 1687 macro AUC 0.854, 580 + 2800 0.876, 1000
  // + 2600 0.889.
  const std::int64_t steps = o.steps > 0 ? o.steps : o.epochs * (o.phantom / o.batch_size);
  // one from a folder can read
  set("--text-steps", o.text_steps, o.text_model.empty() ? steps * 5 / 13 : 0);
  if (o.text_steps > 0)
    set("--text-batch-size", o.text_batch_size, std::min<std::int64_t>(48, o.phantom));
  set("--lock-text", o.lock_text, !o.lora_text && (o.text_steps > 0 || !o.text_model.empty()));
  set("--lr", o.lr, 2e-3);
  set("--wd", o.wd, 0.05);
  set("--warmup", o.warmup, steps * 6 / 100);
  set("--grad-clip-norm", o.grad_clip_norm, 1.0);
  set("--zeroshot-frequency", o.zeroshot_frequency, std::int64_t{0});
  set("--check-volumes", o.check_volumes, "header");  // just written, with checksums
  set("--phantom-valid", o.phantom_valid, std::clamp<std::int64_t>(o.phantom / 4, 16, 400));
  set("--phantom-root", o.phantom_root, o.out + "/phantom");
}

/// The recipes of data and model, for every option that was not given.
void apply_recipe(CLI::App& app, Options& o) {
  if (o.phantom > 0) apply_phantom_recipe(app, o);
  apply_published_recipe(app, o);
}

/// What is wrong with the options taken together, or nothing.
std::string usage_fault(const CLI::App& app, const Options& o) {
  if ((o.phantom > 0) == !o.data_root.empty()) return "give either --data-root DIR or --phantom N";
  if (const std::string fault = hlip_options_fault(app, o); !fault.empty()) return fault;
  try {
    parse_ct_preset(
        fmt::format("window_hu={},{} mode={}", o.input_info[0], o.input_info[1], o.input_info[2]));
  } catch (const error& e) {
    return fmt::format("--input-info: {}", e.what());
  }
  return o.resume.empty()
             ? means_nothing_without(app, o.val_frequency > 0, {"--val-data"}, "--val-frequency")
             : "";
}

CtPreset preprocessing(const Options& o, const ClipConfig& config) {
  CtPreset preset = parse_ct_preset(
      fmt::format("window_hu={},{} mode={}", o.input_info[0], o.input_info[1], o.input_info[2]));
  if (o.phantom > 0) preset.spacing = {9, 5, 5};
  for (int d = 0; d < 3; ++d) preset.size[static_cast<std::size_t>(d)] = config.vision.img_size[d];
  preset.already_hu = o.already_hu;
  return preset;
}

/// Reads a split; with --skip-bad faulty studies are listed in a file, without it they end the run
/// before it begins.
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
  CtRateDataset data = read_ct_rate(o.data_root, split, reading);
  report_problems(o, folder, data.problems, data.root, data.split);
  if (data.studies.empty()) fail_file(o.data_root, split, "holds no usable study");
  return data;
}

template <class B> int train(B, Options& o, const std::string& resolved) {
  // One function: this is the program, to be read from top to bottom.
  ClipConfig config = model_config(o);
  const CtPreset preset = preprocessing(o, config);

  // ---- data ---------------------------------------------------------------------------------
  RunFolder folder(o);
  if (o.phantom > 0) {
    const int cores = o.threads > 0 ? o.threads : omp_get_num_procs();
    PhantomDataset written;
    if (!draw_phantoms([&](auto progress) {
          written = write_phantom_dataset(o.phantom_root, {}, o.phantom_seed, o.phantom,
                                          o.phantom_valid, cores, progress);
        }))
      return 0;
    o.data_root = written.dataset;
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

  CtRateSamples::Options sampling{
      preset,
      o.text_sampling == "whole" ? ReportSampling::whole : ReportSampling::sentences,
      config.context_length,
      false,
      o.shuffle_reports,
      o.seed,
      config.dual_text};
  std::size_t volumes = 0;
  for (const auto& s : train_set.studies) volumes += s.recons.size();
  sampling.cache = static_cast<double>(volumes) *
                       static_cast<double>(preset.size[0] * preset.size[1] * preset.size[2]) * 2 <=
                   o.cache_gib * 0x1p30;
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
        CtRateSamples::Options{.preset = preset, .context_length = config.context_length});
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
  const auto due = [](std::int64_t frequency, std::int64_t epoch) {
    return frequency > 0 && epoch % frequency == 0;
  };
  const auto retrieve = [&] {
    return "retrieval on " + std::to_string(pairs->size()) +
           " pairs: " + to_string(evaluate_retrieval(run.model, pairs, 16, o.workers));
  };
  const auto evaluate = [&](std::int64_t epoch) {
    std::vector<Evaluation> found;
    if (!findings.empty() && due(o.zeroshot_frequency, epoch))
      found.push_back(zero_shot_evaluation(score().table()));
    if (pairs && due(o.val_frequency, epoch)) found.push_back({retrieve(), {}});
    return found;
  };
  const std::size_t voxels = volumes * static_cast<std::size_t>(preset.size[0] * preset.size[1] *
                                                                preset.size[2]);
  if (run.image_stage(samples, 1, sampling.cache ? voxels * sizeof(float16) : 0, evaluate) ==
      TrainOutcome::stopped)
    return 0;
  if (o.dry_run) {
    run.finish_dry_run();
    return 0;
  }

  // ---- evaluation ---------------------------------------------------------------------------
  if (pairs) fmt::print("{}\n", retrieve());
  std::optional<ZeroShotScores> scores;
  std::string last_line;
  if (!valid) {
    fmt::print("no zero-shot evaluation: {} has no labelled split '{}'\n", o.data_root,
               o.valid_split);
  } else if (findings.empty()) {
    fmt::print(
        "no zero-shot evaluation: no finding has both a positive and a negative among the {} "
        "volumes of '{}'\n",
        valid->size(), o.valid_split);
  } else {
    scores = score();
    const ZeroShotTable table = scores->table();
    last_line = table.last_line();
    run.log_scalars(zero_shot_evaluation(table).scalars);
    report_zero_shot(o, *scores, table, left_out, "volumes",
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
  if (scores) fmt::print("{}\n", last_line);
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
