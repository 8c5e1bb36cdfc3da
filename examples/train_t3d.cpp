// Pre-trains an encoder of CT sub-volumes with the reports as a condition of what it sees: T3D's
// text-informed contrast and restoration.
//
//   train_t3d --data-root DIR --out runs/x          a CT-RATE tree, or NIfTI files and a table
//   train_t3d --phantom 400 --out runs/demo         synthetic studies, drawn first
//   train_t3d --resume latest --out runs/x          goes on where the run stopped
//
// Read it from top to bottom: options, data, model, training, what is left behind.
#include "train_t3d/options.hpp"

#include <hlip/hlip.hpp>

#include <hlip/cli/draw_phantoms.hpp>
#include <hlip/datasets/volumes/table.hpp>
#include <hlip/io/gzip_libdeflate.hpp>
#include <hlip/phantoms/chest_ct_writer.hpp>
#include <hlip/systems/hlip/report_tokenizer.hpp>
#include <hlip/systems/t3d/evaluation.hpp>
#include <hlip/train/report_problems.hpp>
#include <hlip/train/run.hpp>

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <set>

using namespace train_t3d;

namespace {

/// The studies of a split, and how many voxels they have when prepared.
struct Split {
  std::vector<CtRateStudy> studies;
  double voxels = 0;
};

/// Reads a split; faults are told by the rules of report_problems.
/// @return no studies where there is nothing to hold out, which is said
Split read_split(Options& o, RunFolder& folder, const std::string& split, bool held_out) {
  const std::string table = find_volume_table(o.data_root);  // else a CT-RATE tree
  CtRateDataset data;
  if (!table.empty()) {
    o.already_hu = true;
    VolumeTable found = read_volume_table(table, split);
    if (held_out && !found.has_split) {
      fmt::print("{} has no column split: nothing is held out\n", visible_text(table));
      return {};
    }
    data = std::move(found);
  } else {
    CtRateOptions reading;
    reading.already_hu = o.already_hu;
    data = read_ct_rate(o.data_root, split, reading);
  }
  const SubVolumeInput input = input_of(o);
  Split found;
  found.voxels = leave_out_small_volumes(data, input.preparation, input.size);
  report_problems(o, folder, data.problems, o.data_root, split);
  if (data.studies.empty())
    fail_file(o.data_root, split, "holds no usable study{}",
              held_out ? " (hint: --valid-split '' holds nothing out)" : "");
  found.studies = std::move(data.studies);
  return found;
}

/// Throws when a volume is learned from and held out.
void expect_apart(const Split& a, const Split& b) {
  std::set<std::string> paths;
  for (const auto& study : a.studies)
    for (const auto& recon : study.recons) paths.insert(recon.path);
  for (const auto& study : b.studies)
    for (const auto& recon : study.recons)
      if (paths.contains(recon.path))
        fail_file(recon.path, "", "is in the split to train on and in the one to measure on");
}

std::shared_ptr<const SubVolumes> samples_of(const Options& o, Split split, bool cache,
                                             const std::string& report,
                                             const std::shared_ptr<const WordPieceTokenizer>& t) {
  std::vector<ReportText> reports;
  for (const auto& study : split.studies) reports.push_back(report_text(study));
  const auto scans = std::make_shared<const CtVolumes>(std::move(split.studies),
                                                       input_of(o).preparation);
  return std::make_shared<const SubVolumes>(scans, std::move(reports), t,
                                            sample_options(o, cache, report));
}

/// A BERT of the options' own, or the one of --text-model, which is not trained.
template <class B>
ReportTower<float, B> text_tower(const Options& o, const WordPieceTokenizer& tokenizer,
                                 BertConfig& config, Initializer& init) {
  if (!o.text_model.empty()) {
    const HfTextModel files(o.text_model);
    config = files.config();
    if (tokenizer.vocab_size() > config.vocab_size)
      fail_file(files.vocab_path(), "", "has {} pieces, config.json says {}",
                tokenizer.vocab_size(), config.vocab_size);
    Initializer empty = Initializer::without_values();
    Bert<float, B> bert(config, empty);
    fmt::print("{}", files.load(bert));
    set_requires_grad(bert, false, [](const std::string&) { return true; });
    return ReportTower<float, B>(std::move(bert));
  }
  config.vocab_size = tokenizer.vocab_size();
  config.hidden_size = o.text_width, config.num_heads = o.text_width / 32;
  config.intermediate_size = 4 * o.text_width, config.num_layers = o.text_layers;
  config.max_positions = o.context_length;
  return ReportTower<float, B>(Bert<float, B>(config, init));
}

/// What a checkpoint holds beside weights, and what is measured between epochs.
template <class Fn> struct Hooks : StageHooks {
  TextInformedFiles files;
  const WordPieceTokenizer* tokenizer;
  Fn evaluate;
  void add_files(const std::string& checkpoint) const {
    write_text_informed_files(checkpoint, files, tokenizer->vocabulary());
  }
  void end_of_epoch(std::int64_t epochs, std::int64_t steps) const { evaluate(epochs, steps); }
};

template <class B> int train(B, Options& o, const std::string& resolved) {
  // One function: this is the program, to be read from top to bottom.
  // ---- data ---------------------------------------------------------------------------------
  RunFolder folder(o);
  if (!o.text_model.empty())
    o.context_length = std::min(o.context_length, HfTextModel(o.text_model).config().max_positions);
  if (o.phantom > 0) {
    PhantomOptions drawing;
    drawing.slices = 60, drawing.pixels = 96;
    drawing.label_maps = true;  // for transfer_t3d
    const auto drawn = draw_phantoms(o.threads, [&](int threads, auto progress) {
      return write_phantom_dataset(o.phantom_root, drawing, o.phantom_seed, o.phantom,
                                   o.phantom_valid, threads, progress);
    });
    if (!drawn) return 0;
    o.data_root = drawn->dataset;
  }
  Split training = read_split(o, folder, o.train_split, false), rest;
  if (!o.valid_split.empty()) rest = read_split(o, folder, o.valid_split, true);
  expect_apart(training, rest);
  const auto tokenizer = std::make_shared<const WordPieceTokenizer>(report_tokenizer(
      o.text_model.empty() ? o.vocab : HfTextModel(o.text_model).vocab_path(), training.studies));
  const bool cache = (training.voxels + rest.voxels) * sizeof(float16) <= o.cache_gib * 0x1p30;
  std::shared_ptr<const SubVolumes> held_out;  // with their own reports, whatever is learned from
  if (!rest.studies.empty()) held_out = samples_of(o, std::move(rest), cache, "own", tokenizer);
  const auto samples = samples_of(o, std::move(training), cache, o.report, tokenizer);

  // ---- model --------------------------------------------------------------------------------
  Initializer init(o.seed);
  TextInformedFiles files{encoder_config(o), {}, o.heads, input_of(o)};
  ReportTower<float, B> text = text_tower<B>(o, *tokenizer, files.text, init);
  using Model = TextInformedModel<ResNet3d<float, B>, float, B>;
  Model model(ResNet3d<float, B>(files.encoder, init), text, o.heads, 1, init);
  TextInformedObjective<ResNet3d<float, B>, float, B> objective(model, objective_settings(o));
  Run run(o, folder, t3d_stages());
  run.find_origin(resolved);
  run.say("{} studies, {} held out; encoder {} with {} parameters, sub-volumes of {} x {} x {}\n",
          samples->size(), held_out ? held_out->size() : 0, files.encoder.name,
          count_parameters(model.visual), o.size[0], o.size[1], o.size[2]);

  // ---- training -----------------------------------------------------------------------------
  const RunLength length = run_length(o, samples->size());
  TrainerOptions options = trainer_options(o, length);
  options.stage = t3d_stages().back().name;
  options.schedule.cosine_from_start = true;
  if (o.warmup == 0)
    options.schedule.warmup = std::max<std::int64_t>(1, run.steps_of(options) / 20);
  run.say_origin();
  const auto score = [&] {
    return objective.averages().with(
        [&] { return score_text_informed(model, held_out, o.batch_size, o.workers, o.skip_bad); });
  };
  const auto evaluate = [&](std::int64_t epoch, std::int64_t step) {
    if (!held_out || o.evaluation_frequency == 0 || epoch % o.evaluation_frequency != 0) return;
    const TextInformedScores scores = score();
    run.note(fmt::format("epoch {}: {}", epoch, scores.line()));
    for (const auto& [name, value] : scores.scalars()) run.log_scalar(name, value, step);
  };
  Hooks<decltype(evaluate)> hooks{{}, files, tokenizer.get(), evaluate};
  const StageResult result = run.stage(objective, options, samples, o.batch_size * o.accum_batch,
                                       o.seed, collate_sub_volumes<B>, hooks);
  run.tell(result);
  if (o.dry_run) run.end_dry_run(result, planned_steps(o, length));
  if (o.dry_run || result.outcome == TrainOutcome::stopped) return 0;

  // ---- what is left behind: the encoder -------------------------------------------------------
  objective.averages().take();
  const std::string encoder = o.out + "/encoder";
  write_volume_encoder(encoder, model.visual, files.input);
  fmt::print("the encoder is in {}\n", encoder);
  if (held_out) fmt::print("{}\n", score().line());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  let_waiting_threads_sleep(argv);
  CLI::App app(
      "Pre-trains an encoder of CT sub-volumes with reports: text-informed contrast and "
      "restoration (T3D).",
      "train_t3d");
  Options o;
  add_data_options(app, o);
  add_sub_volume_options(app, o);
  add_model_options(app, o);
  add_objective_options(app, o);
  add_schedule_and_run_options(app, o);
  const auto body = [](auto device, auto& given, auto& all) { return train(device, given, all); };
  return run_training_program(app, argc, argv, o, usage_fault, recipe, body);
}
