// Names findings in one chest CT with a trained model.
//
//   zero_shot_ct_rate --checkpoint runs/x --volume study.nii.gz
//   zero_shot_ct_rate --checkpoint runs/x --volume cache/…/study.safetensors
//   zero_shot_ct_rate --model vit_base_singlescan_h2_token2744 --volume study.nii.gz    (random weights: a check of size and speed)
#include <hlip/hlip.hpp>

#include <hlip/data/ct_cache.hpp>
#include <hlip/data/ct_scan.hpp>
#include <hlip/data/gzip_libdeflate.hpp>
#include <hlip/text/wordpiece_learn.hpp>
#include <hlip/train/command_line.hpp>
#include <hlip/train/process_time.hpp>
#include <hlip/train/trained_model.hpp>
#include <hlip/train/zero_shot_ct.hpp>

#include <fmt/format.h>
#include <omp.h>

#include <array>
#include <optional>

using namespace hlip;

namespace {

struct Options {
  std::string checkpoint, model, volume, vocab, prompts = "volume";
  double slope = 1, intercept = 0;
  bool rescale = false, already_hu = false, timing = false;
  int threads = 0;
  bool cached() const { return volume.ends_with(".safetensors"); }
};

void print_volume(const Options& o, const Shape& shape, const std::array<double, 3>& spacing) {
  fmt::print("{}: {} voxels of {:.3g} × {:.3g} × {:.3g} mm (D, H, W)", o.volume, to_string(shape), spacing[0], spacing[1], spacing[2]);
}

/// The volume, ready to be turned into HU. What the options say counts, otherwise the values are looked at; what was done is printed.
CtScan read_ct(const Options& o) {
  const StoredVolume stored(o.volume);
  CtScan scan(stored, o.slope, o.intercept);
  HuRange range = survey(scan);
  if (o.rescale) {
    fmt::print("intensity: stored values × {} + {} gives HU, as asked\n", o.slope, o.intercept);
  } else if (!o.already_hu && range.min >= 0) {
    // Air is −1000 HU and every chest CT has some, so a file without negative values holds HU + 1024.
    fmt::print("intensity: no value is below 0, so the file is taken to hold HU + 1024 (hint: --rescale SLOPE INTERCEPT or --already-hu decide otherwise)\n");
    scan = CtScan(stored, 1, -1024);
    range = survey(scan);
  }
  print_volume(o, scan.shape(), scan.frame.spacing);
  fmt::print(", {} to {} HU\n", range.min, range.max);
  return scan;
}

/// Random weights of a named configuration; its words are those of the prompts.
TrainedModel<> random_model(const Options& o) {
  TrainedModel<> t;
  ClipConfig config = clip_config(o.model);
  std::vector<std::string> prompts;
  for (const auto& c : ct_rate_prompts(prompt_template(o.prompts))) {
    prompts.push_back(c.negative);
    prompts.push_back(c.positive);
  }
  Vocabulary vocabulary = o.vocab.empty() ? learn_wordpiece(prompts, {.min_count = 1}) : Vocabulary::load(o.vocab);
  t.tokenizer = std::make_shared<const WordPieceTokenizer>(std::move(vocabulary));
  config.text.vocab_size = std::max<index_t>(config.text.vocab_size, t.tokenizer->vocab_size());
  t.model = Clip<>(config, 0);
  if (config.name == "phantom") t.preset.spacing = {9, 5, 5};
  for (int d = 0; d < 3; ++d) t.preset.size[static_cast<std::size_t>(d)] = config.vision.img_size[d];
  return t;
}

int classify(const Options& o) {
  if (o.threads > 0) omp_set_num_threads(o.threads);
  StartUpTimes times;
  times.lap("start");
  // A scan, or a volume that preprocess_ct_rate brought to HU and the spacing of a model before.
  std::optional<CtScan> scan;
  std::optional<CtCacheFile> cached;
  if (o.cached()) {
    cached.emplace(o.volume);
    print_volume(o, cached->shape(), cached->frame().spacing);
    fmt::print(", cached from {}\n", cached->frame().source);
  } else {
    scan.emplace(read_ct(o));
  }
  times.lap("volume");
  const TrainedModel<> trained = o.checkpoint.empty() ? random_model(o) : load_trained_model(o.checkpoint);
  if (trained.mri) fail_file(trained.path, "", "is a model for MRI, this program is for CT");
  if (o.checkpoint.empty()) fmt::print("model: {} with RANDOM weights: the probabilities below mean nothing\n", o.model);
  else fmt::print("model: {}, {}\n", trained.path, trained.model.config.name);
  if (trained.model.config.name == "phantom") fmt::print("note: this is the configuration of the synthetic demo; a model trained on synthetic data says nothing about patients\n");
  fmt::print("preprocessing: {}\n", to_string(trained.preset));

  times.lap("model");
  const ZeroShotClassifier classifier = zero_shot_classifier(trained.model, *trained.tokenizer, ct_rate_prompts(prompt_template(o.prompts)));
  times.lap("prompts (forward pass)", true);
  NoGrad guard;
  const Tensor<float> input = cached ? preprocess_ct(*cached, trained.preset) : preprocess_ct(*scan, trained.preset);
  times.lap("preprocessing");
  const auto p = classifier.probabilities(trained.model.encode_image(Var<float>(stack_volumes({input}))).value().to_vector());
  times.lap("image (forward pass)", true);
  for (std::size_t i = 0; i < p.size(); ++i) fmt::print("{:<36} {:.4f}\n", classifier.classes()[i].name, p[i]);
  fmt::print("For research only: not a medical device.\n");
  if (o.timing) fmt::print(stderr, "timing: {}\n", times.to_text());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  hlip::let_waiting_threads_sleep(argv);
  CLI::App app("Name findings in one chest CT by comparing it with sentences (zero-shot).", "zero_shot_ct_rate");
  Options o;
  std::vector<double> rescale;
  auto* checkpoint = app.add_option("--checkpoint", o.checkpoint, "run or checkpoint folder of train_ct_rate");
  auto* model = app.add_option("--model", o.model, "configuration name, with random weights")->check(CLI::IsMember(clip_config_names()))->excludes(checkpoint);
  checkpoint->excludes(model);
  app.add_option("--volume", o.volume, "NIfTI file, or a .safetensors file of preprocess_ct_rate")->required();
  app.add_option("--template", o.prompts, "prompt template")->check(CLI::IsMember({"volume", "organ"}))->capture_default_str();
  app.add_option("--vocab", o.vocab, "WordPiece vocabulary for --model (default: one learned from the prompts; a checkpoint has its own)")->check(CLI::ExistingFile)->excludes(checkpoint);
  auto* scale = app.add_option("--rescale", rescale, "slope and intercept that turn stored values into HU")->expected(2);
  app.add_flag("--already-hu", o.already_hu, "the file is in HU")->excludes(scale);
  app.add_option("--threads", o.threads, "compute threads (default: all cores)")->check(CLI::Range(0, 4096));
  app.add_flag("--timing", o.timing, "say on stderr how long each stage took since the process began");
  return run_program(app, argc, argv, [&] {
    if (o.checkpoint.empty() && o.model.empty()) {
      fmt::print(stderr, "zero_shot_ct_rate: give --checkpoint DIR or --model NAME (one of {})\n", fmt::join(clip_config_names(), ", "));
      return 2;
    }
    if (o.cached() && (o.already_hu || rescale.size() == 2)) {
      fmt::print(stderr, "zero_shot_ct_rate: a cached volume is in HU: {} means nothing with it\n", o.already_hu ? "--already-hu" : "--rescale");
      return 2;
    }
    if (rescale.size() == 2) o.rescale = true, o.slope = rescale[0], o.intercept = rescale[1];
    return classify(o);
  });
}
