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
#include "zero_shot_ct_rate/options.hpp"
#include "zero_shot_ct_rate/study.hpp"

#include <hlip/hlip.hpp>

#include <hlip/cli/command_line.hpp>
#include <hlip/cli/compute_threads.hpp>
#include <hlip/cli/device.hpp>
#include <hlip/cli/process_time.hpp>
#include <hlip/io/gzip_libdeflate.hpp>
#include <hlip/io/png.hpp>
#include <hlip/systems/hlip/interpret_ct.hpp>
#include <hlip/systems/hlip/published_model.hpp>
#include <hlip/systems/hlip/trained_model.hpp>
#include <hlip/systems/hlip/zero_shot_ct.hpp>
#include <hlip/text/wordpiece_learn.hpp>

#include <fmt/format.h>

#include <filesystem>

using namespace zero_shot_ct_rate;

namespace {

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
  use_compute_threads(o.threads);
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
  hlip::let_waiting_threads_sleep(argv);
  CLI::App app("Name findings in one chest CT by comparing it with sentences (zero-shot).",
               "zero_shot_ct_rate");
  Options o;
  add_options(app, o);
  return run_program(app, argc, argv, [&] {
    if (const std::string fault = usage_fault(o); !fault.empty()) {
      fmt::print(stderr, "zero_shot_ct_rate: {}\n", fault);
      return 2;
    }
    apply_precision(o.device, o.precision);
    return on_device(o.device, [&](auto device) { return classify(device, o); });
  });
}
