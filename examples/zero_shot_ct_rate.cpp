// Names findings in one chest CT with a trained model.
//
//   zero_shot_ct_rate --checkpoint runs/x --volume study.nii.gz
//   zero_shot_ct_rate --checkpoint runs/x --volume folder_of_a_dicom_series
//   zero_shot_ct_rate --checkpoint runs/x --volume cache/…/study.safetensors
//   zero_shot_ct_rate --checkpoint runs/x --volume study.nii.gz --interpret looked_at
//       (and where the model looked)
//   zero_shot_ct_rate --checkpoint epoch_20.pt --model vit_base_singlescan_h2_token2744
//       --vocab vocab.txt --volume study.nii.gz
//   zero_shot_ct_rate --model vit_base_singlescan_h2_token2744 --volume study.nii.gz
//       (random weights: a check of size and speed)
#include <hlip/hlip.hpp>

#include <hlip/cli/command_line.hpp>
#include <hlip/cli/device.hpp>
#include <hlip/cli/process_time.hpp>
#include <hlip/datasets/ct_rate/cache.hpp>
#include <hlip/imaging/ct_scan.hpp>
#include <hlip/imaging/dicom/recognise.hpp>
#include <hlip/imaging/plausible_ct.hpp>
#include <hlip/io/gzip_libdeflate.hpp>
#include <hlip/io/png.hpp>
#include <hlip/systems/hlip/interpret_ct.hpp>
#include <hlip/systems/hlip/model_option.hpp>
#include <hlip/systems/hlip/published_model.hpp>
#include <hlip/systems/hlip/trained_model.hpp>
#include <hlip/systems/hlip/zero_shot_ct.hpp>
#include <hlip/text/wordpiece_learn.hpp>

#ifdef HLIP_WITH_DICOM
#include <hlip/imaging/dicom.hpp>
#endif
#include <fmt/format.h>
#include <omp.h>

#include <array>
#include <filesystem>
#include <variant>

using namespace hlip;

namespace {

struct Options {
  std::string checkpoint, model, volume, series, vocab, prompts = "volume", interpret, finding,
                                                        device = "cpu", precision = "fp32";
  double slope = 1, intercept = 0;
  std::vector<double> spacing;
  bool rescale = false, already_hu = false, timing = false;
  int threads = 0;
  bool cached() const { return volume.ends_with(".safetensors"); }
  bool published() const { return is_file(checkpoint); }
};

void print_volume(const Options& o, const Shape& shape, const std::array<double, 3>& spacing) {
  fmt::print("{}: {} voxels of {:.3g} × {:.3g} × {:.3g} mm (D, H, W)", visible_text(o.volume),
             to_string(shape), spacing[0], spacing[1], spacing[2]);
}

/// Says what is odd about a scan: what the reader assumed, and what makes it implausible as a chest
/// CT in HU.
void warn(const Options& o, const HuRange& range, const Shape& shape, const Volume& frame) {
  for (const auto& w : frame.warnings)
    if (w != range.warning) fmt::print(stderr, "{}: warning: {}\n", visible_text(o.volume), w);
  for (const auto& odd : ct_oddities(range, shape, frame))
    fmt::print(stderr, "{}: warning: {}{}\n", visible_text(o.volume), odd.what,
               odd.fault ? "; the probabilities mean nothing if this is so" : "");
}

/// The voxel size that was asked for, instead of the file's.
void set_asked_spacing(const Options& o, Volume& frame) {
  if (!o.spacing.empty()) set_spacing(frame, {o.spacing[0], o.spacing[1], o.spacing[2]});
}

// Air is −1000 HU and every chest CT has some, so a file without negative values holds HU + 1024.
constexpr const char* taken_as_shifted =
    "no value is below 0, so the file is taken to hold HU + 1024 (hint: --rescale SLOPE INTERCEPT "
    "or --already-hu decide otherwise)";

/// The volume, ready to be turned into HU. What the options say counts, otherwise the values are
/// looked at; what was done is printed.
CtScan read_ct(const Options& o) {
  const StoredVolume stored(o.volume);
  CtScan scan(stored, o.slope, o.intercept);
  HuRange range = survey(scan);
  if (o.rescale) {
    fmt::print("intensity: stored values × {} + {} gives HU, as asked\n", o.slope, o.intercept);
  } else if (!o.already_hu && range.min >= 0) {
    fmt::print("intensity: {}\n", taken_as_shifted);
    scan = CtScan(stored, 1, -1024);
    range = survey(scan);
  }
  set_asked_spacing(o, scan.frame);
  print_volume(o, scan.shape(), scan.frame.spacing);
  fmt::print(", {} to {} HU\n", range.min, range.max);
  warn(o, range, scan.shape(), scan.frame);
  return scan;
}

/// A DICOM series in HU, by its own rescaling; what it does not say is settled as for other files.
Volume read_dicom_ct([[maybe_unused]] const Options& o) {
#ifdef HLIP_WITH_DICOM
  Volume volume = read_dicom(o.volume, {.series = o.series, .modality = "CT"});
  if (volume.unit != Unit::hounsfield || o.rescale) {
    const bool guess = !o.rescale && !o.already_hu && hu_range(volume.voxels).min >= 0;
    if (guess) fmt::print("intensity: {}\n", taken_as_shifted);
    volume = to_hounsfield(volume, o.slope, guess ? -1024 : o.intercept);
  }
  const HuRange range = hu_range(volume.voxels);
  set_asked_spacing(o, volume);
  print_volume(o, volume.voxels.shape(), volume.spacing);
  fmt::print(", {} to {} HU\n", range.min, range.max);
  warn(o, range, volume.voxels.shape(), volume);
  return volume;
#else
  fail_without_dicom(o.volume);
#endif
}

/// A scan as stored, a DICOM series, or a volume that preprocess_ct_rate brought to HU and the
/// spacing of a model before.
using Study = std::variant<CtScan, Volume, CtCacheFile>;

Study read_study(const Options& o) {
  if (!o.cached()) return is_dicom(o.volume) ? Study(read_dicom_ct(o)) : Study(read_ct(o));
  Study study(std::in_place_type<CtCacheFile>, o.volume);
  const auto& cached = std::get<CtCacheFile>(study);
  print_volume(o, cached.shape(), cached.frame().spacing);
  fmt::print(", cached from {}\n", cached.frame().source);
  warn(o, survey(cached), cached.shape(), cached.frame());
  return study;
}

const Volume& frame_of(const CtScan& scan) { return scan.frame; }
const Volume& frame_of(const Volume& series) { return series; }
const Volume& frame_of(const CtCacheFile& cached) { return cached.frame(); }

CtInputGrid grid_of(const CtScan& scan, const CtPreset& preset) {
  return ct_input_grid(scan.shape(), scan.frame.spacing, preset);
}
CtInputGrid grid_of(const Volume& series, const CtPreset& preset) {
  return ct_input_grid(series.voxels.shape(), series.spacing, preset);
}
CtInputGrid grid_of(const CtCacheFile& cached, const CtPreset& preset) {
  const Shape s = cached.shape();
  if (!cached.resampled_for(preset)) return ct_input_grid(s, cached.frame().spacing, preset);
  return ct_input_grid(s, std::array<index_t, 3>{s[0], s[1], s[2]}, preset);
}

/// Random weights of a named configuration; its words are those of the prompts.
template <class B> TrainedModel<3, B> random_model(const Options& o) {
  TrainedModel<3, B> t;
  ClipConfig config = clip_config_named(o.model);
  std::vector<std::string> prompts;
  for (const auto& c : ct_rate_prompts(prompt_template(o.prompts))) {
    prompts.push_back(c.negative);
    prompts.push_back(c.positive);
  }
  Vocabulary vocabulary = o.vocab.empty() ? learn_wordpiece(prompts, {.min_count = 1})
                                          : Vocabulary::load(o.vocab);
  t.tokenizer = std::make_shared<const WordPieceTokenizer>(std::move(vocabulary));
  config.text.vocab_size = std::max<index_t>(config.text.vocab_size, t.tokenizer->vocab_size());
  t.model = Clip<3, float, B>(config, 0);
  if (config.name == "phantom") t.preset.spacing = {9, 5, 5};
  for (int d = 0; d < 3; ++d)
    t.preset.size[static_cast<std::size_t>(d)] = config.vision.img_size[d];
  return t;
}

/// Draws where the model looked and writes the maps over the scan's own voxels.
/// @param frame geometry of the scan  @param finding the one --finding names, or the most probable
/// one
template <class B>
void explain(const Options& o, const TrainedModel<3, B>& trained,
             const ZeroShotClassifier& classifier, const std::vector<double>& p,
             std::size_t finding, const Tensor<float>& input, const CtInputGrid& grid,
             const Volume& frame) {
  std::error_code code;
  std::filesystem::create_directories(o.interpret, code);
  if (code) fail_file(o.interpret, "", "cannot make the folder: {}", code.message());
  const auto maps = relevance_by_level(trained.model, classifier, input, finding);
  for (const auto& map : maps) {
    const auto path = fmt::format("{}/relevance_{}.nii.gz", o.interpret, map.title);
    write_relevance(path, map.relevance, trained.model.config.vision.patch_size, grid, frame);
    fmt::print("relevance for {} at the {} level: {}\n", classifier.classes()[finding].name,
               map.title, path);
  }
  const auto view = montage_view(input_affine(frame.affine, grid), frame.orientation_known);
  const Picture picture = draw_montage(
      ct_montage(classifier, p, finding, input, trained.preset, maps, view, scan_slices(grid)));
  const auto path = o.interpret + "/montage.png";
  atomic_write(path, encode_png(picture.pixels(), static_cast<std::size_t>(picture.width()),
                                static_cast<std::size_t>(picture.height())));
  fmt::print("montage: {}\n", path);
}

/// A run or checkpoint of ours, or weights in a file, which are what the options say.
template <class B> TrainedModel<3, B> read_model(const Options& o) {
  if (o.checkpoint.empty()) return random_model<B>(o);
  if (!o.published()) return load_trained_model<3, B>(o.checkpoint);
  TrainedModel<3, B> t = load_published_model<3, B>(
      o.checkpoint,
      clip_config_named(o.model.empty() ? "vit_base_singlescan_h2_token2744" : o.model), o.vocab);
  if (t.model.config.name == "phantom") t.preset.spacing = {9, 5, 5};
  return t;
}

template <class B> int classify(B, const Options& o) {
  if (o.threads > 0) omp_set_num_threads(o.threads);
  StartUpTimes times;
  times.lap("start");
  const Study study = read_study(o);
  times.lap("volume");
  const TrainedModel<3, B> trained = read_model<B>(o);
  if (trained.mri) fail_file(trained.path, "", "is a model for MRI, this program is for CT");
  if (o.checkpoint.empty())
    fmt::print("model: {} with RANDOM weights: the probabilities below mean nothing\n", o.model);
  else
    fmt::print("model: {}, {}\n{}", visible_text(trained.path),
               visible_text(trained.model.config.name), trained.table);
  if (trained.model.config.name == "phantom")
    fmt::print(
        "note: this is the configuration of the synthetic demo; a model trained on synthetic data "
        "says nothing about patients\n");
  fmt::print("preprocessing: {}\n", to_string(trained.preset));

  times.lap("model");
  const ZeroShotClassifier classifier = zero_shot_classifier(
      trained.model, *trained.tokenizer, ct_rate_prompts(prompt_template(o.prompts)));
  times.lap("prompts (forward pass)", true);
  const auto& classes = classifier.classes();
  const auto asked = std::find_if(classes.begin(), classes.end(),
                                  [&](const ZeroShotClass& c) { return c.name == o.finding; });
  if (!o.finding.empty() && asked == classes.end()) {
    std::string known;
    for (const auto& c : classes) known += (known.empty() ? "" : ", ") + c.name;
    fail("--finding", "{} is not known, expected one of {}", quote_text(o.finding), known);
  }
  const auto input = std::visit(
      [&](const auto& from) { return Tensor<float>(preprocess_ct(from, trained.preset)); }, study);
  times.lap("preprocessing");
  const auto p = [&] {
    NoGrad guard;
    return classifier.probabilities(
        trained.model.encode_image(Var<float, B>(on_backend<B>(stack_volumes({input}))))
            .value()
            .to_vector());
  }();
  times.lap("image (forward pass)", true);
  for (std::size_t i = 0; i < p.size(); ++i) fmt::print("{:<36} {:.4f}\n", classes[i].name, p[i]);
  if (!o.interpret.empty()) {
    const auto finding = o.finding.empty() ? std::max_element(p.begin(), p.end()) - p.begin()
                                           : asked - classes.begin();
    std::visit(
        [&](const auto& from) {
          explain(o, trained, classifier, p, static_cast<std::size_t>(finding), input,
                  grid_of(from, trained.preset), frame_of(from));
        },
        study);
    times.lap("interpretation", true);
  }
  fmt::print("For research only: not a medical device.\n");
  if (o.timing) fmt::print(stderr, "timing: {}\n", times.to_text());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  // One function: its options, and then what they ask for.
  hlip::let_waiting_threads_sleep(argv);
  CLI::App app("Name findings in one chest CT by comparing it with sentences (zero-shot).",
               "zero_shot_ct_rate");
  Options o;
  std::vector<double> rescale;
  app.add_option("--checkpoint", o.checkpoint,
                 "run or checkpoint folder of train_ct_rate, or a file of weights (.pt, .pth, "
                 ".bin, .safetensors)");
  add_model_option(app, o.model,
                   "what a file of weights holds (default: vit_base_singlescan_h2_token2744); "
                   "without --checkpoint, a model with random weights");
  app.add_option("--volume", o.volume,
                 "NIfTI file, DICOM folder or file, or a .safetensors file of preprocess_ct_rate")
      ->required();
  app.add_option("--series", o.series,
                 "SeriesInstanceUID to take from a DICOM folder that holds several");
  app.add_option("--template", o.prompts, "prompt template")
      ->check(CLI::IsMember({"volume", "organ"}))
      ->capture_default_str();
  app.add_option("--vocab", o.vocab,
                 "WordPiece vocabulary of a file of weights, or for random weights (default: one "
                 "learned from the prompts)")
      ->check(CLI::ExistingFile);
  auto* scale = app.add_option("--rescale", rescale,
                               "slope and intercept that turn stored values into HU")
                    ->expected(2);
  app.add_flag("--already-hu", o.already_hu, "the file is in HU")->excludes(scale);
  app.add_option("--spacing", o.spacing,
                 "mm between voxels along D,H,W, instead of the header's (evaluate ct-rate takes "
                 "those of CT-RATE's table, whose decimals are others)")
      ->expected(3)
      ->delimiter(',')
      ->check(CLI::Range(0.01, 1000.0));
  app.add_option("--threads", o.threads, "compute threads (default: all cores)")
      ->check(CLI::Range(0, 4096));
  add_device_option(app, o.device);
  add_precision_option(app, o.precision);
  auto* interpret = app.add_option("--interpret", o.interpret,
                                   "folder for where the model looked: montage.png, and "
                                   "relevance_LEVEL.nii.gz on the voxels of --volume");
  app.add_option("--finding", o.finding,
                 "what --interpret explains (default: the most probable finding)")
      ->needs(interpret);
  app.add_flag("--timing", o.timing,
               "say on stderr how long each stage took since the process began");
  return run_program(app, argc, argv, [&] {
    if (o.checkpoint.empty() && o.model.empty()) {
      fmt::print(stderr, "zero_shot_ct_rate: give --checkpoint PATH or --model NAME (one of {})\n",
                 clip_config_list());
      return 2;
    }
    if (!o.checkpoint.empty() && !o.published() && (!o.model.empty() || !o.vocab.empty())) {
      fmt::print(stderr,
                 "zero_shot_ct_rate: a checkpoint folder says what its weights are: {} means "
                 "nothing with it\n",
                 o.model.empty() ? "--vocab" : "--model");
      return 2;
    }
    if (o.published() && o.vocab.empty()) {
      fmt::print(stderr,
                 "zero_shot_ct_rate: a file of weights needs --vocab FILE, the vocabulary of its "
                 "text tower (or give the folder, if train_ct_rate wrote it)\n");
      return 2;
    }
    if (o.cached() && (o.already_hu || rescale.size() == 2)) {
      fmt::print(stderr, "zero_shot_ct_rate: a cached volume is in HU: {} means nothing with it\n",
                 o.already_hu ? "--already-hu" : "--rescale");
      return 2;
    }
    if (o.cached() && !o.spacing.empty()) {
      fmt::print(stderr,
                 "zero_shot_ct_rate: a cached volume has been resampled: --spacing means nothing "
                 "with it\n");
      return 2;
    }
    if (rescale.size() == 2 && rescale[0] == 0) {
      fmt::print(stderr, "zero_shot_ct_rate: --rescale: a slope of 0 gives no HU\n");
      return 2;
    }
    if (!o.series.empty() && (o.cached() || !is_dicom(o.volume))) {
      fmt::print(stderr, "zero_shot_ct_rate: --series chooses among DICOM series, {} is none\n",
                 o.volume);
      return 2;
    }
    if (rescale.size() == 2) o.rescale = true, o.slope = rescale[0], o.intercept = rescale[1];
    apply_precision(o.device, o.precision);
    return on_device(o.device, [&](auto device) { return classify(device, o); });
  });
}
