// What a pre-trained encoder of CT is worth elsewhere: a decoder of masks is trained on it with few
// labels, or on one from scratch, and measured on volumes it has not seen.
//
//   transfer_t3d segment train --data-root DIR --classes liver,lesion --encoder runs/t/encoder
//     --train-fraction 0.1 --out runs/s
//   transfer_t3d segment apply scan.nii.gz --model runs/s/model --out masks
//
// Read it from top to bottom: data, model, training, what it is worth; then its use.
#include "transfer_t3d/options.hpp"

#include <hlip/io/gzip_libdeflate.hpp>
#include <hlip/losses/dice_cross_entropy.hpp>
#include <hlip/train/report_problems.hpp>
#include <hlip/train/run.hpp>
#include <hlip/train/supervised.hpp>

#include <fmt/format.h>

#include <filesystem>
#include <memory>

using namespace transfer_t3d;

namespace {

/// The volumes of a split with their label maps.
LabelledFiles read_split(const SegmentOptions& o, RunFolder& folder, const std::string& split) {
  const std::string path = find_volume_table(o.data_root);
  if (path.empty()) fail_file(o.data_root, "", "is no table of volumes, and holds no volumes.csv");
  const VolumeTable table = read_volume_table(path, split,
                                              {.need_reports = false, .need_masks = true});
  report_problems(o, folder, table.problems, table.root, split);
  LabelledFiles files(table);
  if (files.size() == 0) fail_file(table.root, split, "holds no usable volume");
  return files;
}

/// The first of an order that --seed draws.
LabelledFiles share_of(const LabelledFiles& all, const SegmentOptions& o) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < all.volumes.size(); ++i) order.push_back(i);
  RandomStream({o.seed, 0xF0u, 0}).shuffle(order);
  const double wanted = o.train_fraction * static_cast<double>(order.size());
  order.resize(std::max<std::size_t>(1, static_cast<std::size_t>(std::llround(wanted))));
  LabelledFiles some = all;
  some.volumes.clear(), some.masks.clear();
  for (const std::size_t i : order)
    some.volumes.push_back(all.volumes[i]), some.masks.push_back(all.masks[i]);
  return some;
}

/// The model that the options describe, with the weights of --encoder.
template <class B> VolumeSegmenter<B> make_segmenter(const SegmentOptions& o) {
  VolumeSegmenterConfig config;
  config.widths = o.decoder_widths, config.classes = o.classes;
  Initializer init(o.seed);
  if (o.encoder != "none") {
    const VolumeEncoderFiles files = read_volume_encoder_files(o.encoder);
    config.encoder = files.encoder, config.input = files.input;
    VolumeSegmenter<B> segmenter(config, init);
    segmenter.visual = read_volume_encoder<B>(o.encoder, files);
    if (o.freeze)
      set_requires_grad(segmenter.visual, false, [](const std::string&) { return true; });
    return segmenter;
  }
  config.encoder = resnet3d_config(o.model, o.norm == "group");
  for (std::size_t d = 0; d < 3; ++d)
    config.input.preparation.spacing[d] = o.spacing[d], config.input.size[d] = o.size[d];
  config.input.preparation.window_hu = {o.window[0], o.window[1]};
  return VolumeSegmenter<B>(config, init);
}

/// Writes a label map over its scan.
void write_labels(const std::string& path, const Tensor<std::uint8_t, Cpu>& labels,
                  const Affine& affine) {
  write_nifti<std::uint8_t>(
      path, std::span<const std::uint8_t>(labels.data(), static_cast<std::size_t>(labels.numel())),
      labels.shape(), affine);
}

/// What the model is worth: Dice and surface distance on the test split, whose label maps are
/// written too.
template <class B>
void measure(const SegmentOptions& o, const VolumeSegmenter<B>& segmenter,
             const LabelledFiles& files) {
  std::vector<DiceTable::Group> groups;
  for (const auto& name : o.classes) groups.push_back({name, {name}});
  std::vector<std::string> names;
  std::vector<double> values;
  std::vector<char> present;
  std::string rows = "volume,class,dice,distance95_mm\n";
  std::filesystem::create_directories(o.out + "/predictions");
  for (std::size_t i = 0; i < files.volumes.size(); ++i) {
    const LabelledVolume x = read_labelled_volume(files.volumes[i], files.masks[i],
                                                  segmenter.config.input.preparation,
                                                  segmenter.config.outputs());
    const auto labels = segmenter.segment(x.volume.voxels);
    write_labels(fmt::format("{}/predictions/{}.nii.gz", o.out, i), labels, x.volume.affine);
    const auto scores = score_labels(labels, x.labels, x.volume.spacing,
                                     segmenter.config.outputs());
    names.push_back(files.volumes[i].name);
    for (std::size_t k = 0; k < scores.size(); ++k) {
      values.push_back(scores[k].dice), present.push_back(scores[k].present);
      rows += csv_row(std::vector<std::string>{names.back(), o.classes[k],
                                               fmt::format("{}", scores[k].dice),
                                               fmt::format("{}", scores[k].distance95)});
    }
  }
  BootstrapOptions bootstrap;
  bootstrap.seed = o.seed;
  const DiceTable table(groups, names, values, present, bootstrap);
  atomic_write(o.out + "/volumes.csv", rows);
  atomic_write(o.out + "/dice_summary.csv", table.to_csv());
  fmt::print("{}label maps are in {}/predictions, every volume in {}/volumes.csv\n",
             table.to_text(), o.out, o.out);
  fmt::print("For research only: not a medical device.\n{}\n", table.last_line());
}

template <class B> int segment_train(B, SegmentOptions& o, const std::string& resolved) {
  // ---- data and model -----------------------------------------------------------------------
  RunFolder folder(o);
  const LabelledFiles learned = share_of(read_split(o, folder, o.train_split), o),
                      test = read_split(o, folder, o.test_split);
  VolumeSegmenter<B> segmenter = make_segmenter<B>(o);
  segmenter.config.input.preparation.already_hu = true;  // as files of a table are
  const SubVolumeInput& input = segmenter.config.input;
  LabelledCropOptions cropping;
  cropping.size = input.size, cropping.classes = segmenter.config.outputs();
  cropping.foreground = o.foreground;
  const auto samples = std::make_shared<const LabelledCrops>(learned, input.preparation, cropping);
  Run run(o, folder, {{"step", "train", "train"}});
  run.find_origin(resolved);
  run.say("{} volumes to train, {} to test; encoder {} from {}{}, {} parameters in all\n",
          samples->size(), test.size(), segmenter.config.encoder.name,
          o.encoder == "none" ? "scratch" : o.encoder, o.freeze ? ", frozen" : "",
          count_parameters(segmenter));

  // ---- training -----------------------------------------------------------------------------
  const auto loss = [&](const LabelledBatch<B>& batch, const Context& context) {
    return dice_cross_entropy(segmenter(batch.volumes, o.freeze ? Context{} : context),
                              batch.labels)
        .total();
  };
  Supervised objective(segmenter, {.weight_decay = o.wd}, loss);
  const RunLength length = run_length(o, samples->size());
  TrainerOptions options = trainer_options(o, length);
  options.schedule.cosine_from_start = true;
  if (o.warmup == 0)
    options.schedule.warmup = std::max<std::int64_t>(1, run.steps_of(options) / 20);
  run.say_origin();
  const StageResult done = run.stage(objective, options, samples, o.batch_size * o.accum_batch,
                                     o.seed, collate_labelled<B>);
  run.tell(done);
  if (o.dry_run) run.end_dry_run(done, planned_steps(o, length));
  if (o.dry_run || done.outcome == TrainOutcome::stopped) return 0;

  // ---- what is left behind ------------------------------------------------------------------
  write_volume_segmenter(o.out + "/model", segmenter);
  fmt::print("the model is in {}/model\n", o.out);
  measure(o, segmenter, test);
  return 0;
}

template <class B> int segment_apply(B, const ApplyOptions& o) {
  const VolumeSegmenter<B> segmenter = read_volume_segmenter<B>(o.model);
  const VolumePreparation& how = segmenter.config.input.preparation;
  std::filesystem::create_directories(o.out);
  for (const auto& path : o.volumes) {
    CtRateVolume recon;
    recon.name = recon.path = path;
    const Volume volume = prepare_ct_volume(recon, how);
    const auto labels = segmenter.segment(volume.voxels);
    std::string name = std::filesystem::path(path).filename().string();
    name = name.substr(0, name.find(".nii"));
    const std::string to = o.out + "/" + name + "_labels.nii.gz";
    write_labels(to, labels, volume.affine);
    std::string found;
    for (std::size_t k = 0; k < segmenter.config.classes.size(); ++k) {
      const auto voxels = std::count(labels.data(), labels.data() + labels.numel(),
                                     static_cast<std::uint8_t>(k + 1));
      const auto& mm = volume.spacing;
      found += fmt::format("{}{} {:.1f} ml", k > 0 ? ", " : "", segmenter.config.classes[k],
                           static_cast<double>(voxels) * mm[0] * mm[1] * mm[2] / 1000);
    }
    fmt::print("{}: {}; {}\n", visible_text(path), found, visible_text(to));
  }
  fmt::print("For research only: not a medical device.\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  let_waiting_threads_sleep(argv);
  const std::string task = argc > 1 ? argv[1] : "", command = argc > 2 ? argv[2] : "";
  if (task == "segment" && command == "train") {
    CLI::App app("Trains a decoder of masks on an encoder of CT, and measures it.",
                 "transfer_t3d segment train");
    SegmentOptions o;
    add_segment_options(app, o);
    const auto body = [](auto device, auto& given, auto& all) {
      return segment_train(device, given, all);
    };
    return run_training_program(app, argc - 2, argv + 2, o, usage_fault, no_recipe, body);
  }
  if (task == "segment" && command == "apply") {
    CLI::App app("Label maps of scans, as NIfTI over them.", "transfer_t3d segment apply");
    ApplyOptions o;
    add_apply_options(app, o);
    return run_program(app, argc - 2, argv + 2, [&] {
      use_compute_threads(o.threads);
      apply_precision(o.device, o.precision);
      return on_device(o.device, [&](auto device) { return segment_apply(device, o); });
    });
  }
  CLI::App app(
      "What a pre-trained encoder of CT is worth elsewhere. Each command has its own options: "
      "transfer_t3d segment train --help.",
      "transfer_t3d");
  app.require_subcommand(1);
  CLI::App* segment = app.add_subcommand("segment", "masks of structures");
  segment->require_subcommand(1);
  segment->add_subcommand("train", "train a decoder of masks, and measure it");
  segment->add_subcommand("apply", "label maps of scans with what was trained");
  return run_program(app, argc, argv, [] { return 2; });
}
