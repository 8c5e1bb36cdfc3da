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
#include <hlip/hlip.hpp>

#include <hlip/cli/draw_phantoms.hpp>
#include <hlip/datasets/brain_mri/samples.hpp>
#include <hlip/io/gzip_libdeflate.hpp>
#include <hlip/phantoms/brain_mri_writer.hpp>
#include <hlip/systems/hlip/training.hpp>
#include <hlip/systems/hlip/zero_shot.hpp>
#include <hlip/train/report_problems.hpp>

#include <fmt/format.h>
#include <omp.h>

#include <optional>

using namespace hlip;

namespace {

struct Options : HlipOptions {
  std::string data_root, train_json, train_split, valid_json, valid_split, valid_labels,
      scan_positions = "training", highest_level = "study";
  index_t num_scans = 10;
  Options() {
    model = "vit_base_multiscan_h3_token1176";
    phantom_seed = 5221;
  }
};

void add_options(CLI::App& app, Options& o) {
  const auto data = "Data", model = "Model";
  app.add_option(
         "--data-root", o.data_root,
         "folder of the voxels: <split>/<study>/<scan>/img.safetensors (or img.nii.gz, img.nii)")
      ->group(data);
  add_phantom_options(app, o, data);
  app.add_option("--train-json", o.train_json,
                 "training studies: {study: {\"series\": {scan: …}, \"report\": [sentence, …]}}")
      ->group(data);
  app.add_option("--train-split", o.train_split,
                 "folder of their voxels (default: the JSON's name up to its first underscore)")
      ->group(data);
  app.add_option("--valid-json", o.valid_json, "studies to evaluate on")->group(data);
  app.add_option("--valid-split", o.valid_split,
                 "folder of their voxels (default as for --train-split)")
      ->group(data);
  app.add_option("--valid-labels", o.valid_labels,
                 "CSV with a column study and one column of 0 and 1 for each finding, named as its "
                 "prompt says it")
      ->group(data);
  app.add_option("--num-scans", o.num_scans,
                 "scans of a study in training: drawn at random, repeated where there are fewer")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str()
      ->group(data);
  add_study_options(app, o, data);
  add_model_options(app, o, model);
  app.add_option("--scan-positions", o.scan_positions,
                 "when scans get random positions: 'training', or 'published' for batches of more "
                 "than one study, training or not")
      ->check(CLI::IsMember({"training", "published"}))
      ->capture_default_str()
      ->group(model);
  app.add_option(
         "--highest-level", o.highest_level,
         "blocks above this level attend at it instead: what study-level attention is worth")
      ->check(CLI::IsMember({"slice", "scan", "study"}))
      ->capture_default_str()
      ->group(model);
  add_schedule_options(app, o, "Schedule");
  add_text_stage_options(app, o, "Text stage (before the images, on reports alone)");
  add_loop_options(app, o, "Loop");
  add_contrast_options(app, o, "Schedule", "Loop");
}

/// The recipe measured on phantoms, for every option that was not given.
void apply_phantom_recipe(CLI::App& app, Options& o) {
  const auto set = [&](const char* name, auto& option, auto value) {
    recipe_default(app, name, option, value);
  };
  set("--model", o.model, "brain_phantom");
  set("--num-scans", o.num_scans, index_t{brain_sequence_count});
  set("--batch-size", o.batch_size, std::min<std::int64_t>(32, o.phantom / 2));
  if (app.count("--epochs") == 0)
    set("--steps", o.steps,
        std::min<std::int64_t>(600, std::max<std::int64_t>(1, o.phantom * 8 / o.batch_size)));
  const std::int64_t steps = o.steps > 0 ? o.steps : o.epochs * (o.phantom / o.batch_size);
  // one from a folder can read
  set("--text-steps", o.text_steps, o.text_model.empty() ? std::min<std::int64_t>(steps, 500) : 0);
  if (o.text_steps > 0)
    set("--text-batch-size", o.text_batch_size, std::min<std::int64_t>(48, o.phantom));
  set("--lock-text", o.lock_text, !o.lora_text);
  set("--lr", o.lr, 2e-3);
  set("--wd", o.wd, 0.05);
  set("--warmup", o.warmup, steps * 6 / 100);
  set("--grad-clip-norm", o.grad_clip_norm, 1.0);
  set("--zeroshot-frequency", o.zeroshot_frequency, std::int64_t{0});
  set("--check-volumes", o.check_volumes, "exists");  // just written
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
  if (!o.data_root.empty() && o.train_json.empty()) return "--data-root needs --train-json FILE";
  if (const std::string fault = hlip_options_fault(app, o); !fault.empty() || !o.resume.empty())
    return fault;
  for (const auto& fault :
       {means_nothing_without(
            app, !o.data_root.empty(),
            {"--train-json", "--train-split", "--valid-json", "--valid-split", "--valid-labels"},
            "--data-root"),
        means_nothing_without(app, !o.valid_json.empty(), {"--valid-split", "--valid-labels"},
                              "--valid-json"),
        means_nothing_without(app, !o.valid_labels.empty(), {"--valid-json"}, "--valid-labels")})
    if (!fault.empty()) return fault;
  return "";
}

ClipConfig brain_config(const Options& o) {
  ClipConfig config = model_config(o);
  HlipVitConfig& v = config.vision;
  if (v.img_size[1] != v.img_size[2])
    fail("model", "{} wants slices of {} x {} voxels, expected squares", config.name, v.img_size[1],
         v.img_size[2]);
  if (o.num_scans > v.max_num_scans && v.max_num_scans > 1)
    fail("model", "{} knows {} scan positions, --num-scans is {}", config.name, v.max_num_scans,
         o.num_scans);
  v.scan_positions_by_batch = o.scan_positions == "published";
  limit_levels(v, o.highest_level == "slice" ? 1 : o.highest_level == "scan" ? 2 : 3);
  return config;
}

/// Reads the studies of a JSON file; with --skip-bad faulty studies are listed in a file, without
/// it they end the run before it begins.
BrainDataset read_studies(const Options& o, RunFolder& folder, const std::string& json,
                          const std::string& split, const std::string& labels, bool training) {
  BrainDataset data = read_brain_mri(
      o.data_root, json, {split, labels, training, volume_check_named(o.check_volumes)});
  report_problems(o, folder, data.problems, data.root, data.split);
  if (data.studies.empty()) fail_file(json, "", "holds no usable study");
  return data;
}

template <class B> int train(B, Options& o, const std::string& resolved) {
  // One function: this is the program, to be read from top to bottom.
  ClipConfig config = brain_config(o);
  const MriPreset preset = mri_preset(config.vision.img_size[0], config.vision.img_size[1]);

  // ---- data ---------------------------------------------------------------------------------
  RunFolder folder(o);
  if (o.phantom > 0) {
    const int cores = o.threads > 0 ? o.threads : omp_get_num_procs();
    BrainPhantomDataset written;
    if (!draw_phantoms([&](auto progress) {
          written = write_brain_phantom_dataset(o.phantom_root, {}, o.phantom_seed, o.phantom,
                                                o.phantom_valid, cores, progress);
        }))
      return 0;
    o.data_root = written.root, o.train_json = written.train_json,
    o.valid_json = written.valid_json, o.valid_labels = written.valid_labels;
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

  BrainSamples::Options sampling{preset,          o.num_scans,       config.context_length,
                                 false,           o.shuffle_reports, o.seed,
                                 config.dual_text};
  std::size_t scans = 0;
  for (const auto& s : train_set.studies) scans += s.scans.size();
  const std::size_t stored =
      scans * static_cast<std::size_t>(preset.num_slices * preset.crop * preset.crop) *
      sizeof(float16);
  sampling.cache = static_cast<double>(stored) <= o.cache_gib * 0x1p30;
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
    if (!findings.empty() && o.zeroshot_frequency > 0 && epoch % o.zeroshot_frequency == 0)
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
  std::optional<ZeroShotScores> scores;
  std::string last_line;
  if (findings.empty()) {
    fmt::print(
        "no zero-shot evaluation: {}\n",
        valid.size() == 0
            ? "there is no --valid-json with --valid-labels"
            : fmt::format("no finding has both a positive and a negative among the {} studies",
                          valid.size()));
  } else {
    scores = score();
    const ZeroShotTable table = scores->table();
    last_line = table.last_line();
    run.log_scalars(zero_shot_evaluation(table).scalars);
    report_zero_shot(o, *scores, table, left_out, "studies",
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
  if (scores) fmt::print("{}\n", last_line);
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
