// Marks structures in radiographs: a decoder of masks is trained on a frozen encoder (or a U-Net
// without one), measured by Dice, and then used on any picture.
//
//   segment_radiographs train --images TABLE.csv --classes ribs,lungs=right_lung+left_lung
//     --encoder FOLDER --head upernet --out runs/s
//   segment_radiographs train --phantom 1000 --head unet --out runs/s     synthetic radiographs
//   segment_radiographs apply picture.png study.dcm --model runs/s --out marked
//
// Read it from top to bottom: data, what a decoder is worth, training. Its use is in apply.hpp.
#include "segment_radiographs/apply.hpp"
#include "segment_radiographs/options.hpp"

#include <hlip/hlip.hpp>

#include <hlip/eval/picture_table.hpp>
#include <hlip/losses/dice_cross_entropy.hpp>
#include <hlip/systems/rad_dino/segmentation/segment_pictures.hpp>
#include <hlip/train/report_problems.hpp>
#include <hlip/train/run.hpp>
#include <hlip/train/validated.hpp>

#include <array>
#include <memory>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

using namespace segment;

namespace {

/// The pictures of a table with their masks, and what is wrong with it.
RadiographTable read_masked(const TrainOptions& o, RunFolder& folder, MaskedFiles& all,
                            PictureTable& pictures) {
  RadiographTableOptions reading;
  reading.image_column = o.image_column;
  RadiographTable table = read_radiograph_table(o.images, reading);
  // Subjects are parted with those whose pictures are not there: one that comes back, as a run goes
  // on, moves no other to another split.
  reading.check_files = false;
  RadiographTable named = read_radiograph_table(o.images, reading);
  named.table.keep(named.rows);
  PictureColumns columns;
  columns.image = o.image_column;
  pictures = picture_table(std::move(named.table), columns, &table.problems);
  all.names = table.names, all.pictures = table.images;
  Problems absent;  // masks, without which a picture may still have others
  all.masks = mask_files(table, all.structures, absent);
  if (!o.skip_bad) table.problems.insert(table.problems.end(), absent.begin(), absent.end());
  report_problems(o, folder, table.problems, o.images, "radiographs");
  for (const auto& masks : absent) fmt::print("not known: {}\n", masks);
  return table;
}

/// The pictures of each split with their masks: of the column split, or 70, 15 and 15 % of the
/// subjects.
std::array<MaskedFiles, 3> read_splits(const TrainOptions& o, RunFolder& folder) {
  MaskedFiles all{{}, {}, {}, mask_structures(o.classes)};
  PictureTable pictures;
  const RadiographTable table = read_masked(o, folder, all, pictures);
  const auto splits = splits_of(pictures, 0.15, o.seed, 0.15);
  std::unordered_map<std::string_view, std::size_t> rows;
  for (std::size_t r = 0; r < pictures.rows(); ++r) rows.emplace(pictures.images[r], r);
  std::array<std::vector<std::size_t>, 3> chosen;
  std::vector<std::string> subjects(table.size());
  for (std::size_t i = 0; i < table.size(); ++i) {
    const auto row = rows.find(table.names[i]);
    if (row == rows.end()) continue;  // without a subject
    chosen[static_cast<std::size_t>(splits[row->second])].push_back(i);
    subjects[i] = pictures.subjects[row->second];
  }
  if (o.train_fraction < 1)
    chosen[0] = rows_of_share(chosen[0], subjects, o.train_fraction, o.seed);
  std::array<MaskedFiles, 3> parts;
  for (const auto& [split, name, use] : {std::tuple{Split::train, "train", "learn from"},
                                         {Split::valid, "valid", "choose by"},
                                         {Split::test, "test", "measure by"}}) {
    const auto at = static_cast<std::size_t>(split);
    if (chosen[at].empty()) fail_file(o.images, "", "no picture is left for the split {}", name);
    parts[at] = all.subset(chosen[at]);
    // the loss of what nobody knows is 0, which no weights can better
    if (!parts[at].knows_any())
      fail_file(o.images, "", "no mask of the split {} is known: nothing to {}", name, use);
  }
  return parts;
}

/// What was learned is worth: Dice of pictures it has not seen.
template <class B>
void measure(const TrainOptions& o, const Segmenter<B>& segmenter, MaskedFiles test) {
  const MaskedRadiographs pictures(std::move(test), segmenter.preparation);
  MaskScores scores(segmenter.structures);
  std::vector<std::string> problems;
  segment_pictures(segmenter, pictures, o.batch_size, o.skip_bad ? &problems : nullptr,
                   [&](index_t i, const MaskedPicture& x, std::span<const float> logits) {
                     scores.add(pictures.name(i), x, logits);
                   });
  for (const auto& problem : problems) fmt::print("left out: {}\n", visible_text(problem));
  if (!scores.any()) fail_file(o.images, "", "no mask of the split test is known");
  BootstrapOptions bootstrap;
  bootstrap.seed = o.seed;
  const DiceTable table = scores.table(bootstrap);
  atomic_write(o.out + "/dice.csv", table.pictures_csv());
  atomic_write(o.out + "/dice_summary.csv", table.to_csv());
  fmt::print("{}For research only: not a medical device.\n{}\n", table.to_text(),
             table.last_line());
}

/// Before the first step the run gets a copy of its encoder: what it was read from may change.
template <class B> struct Hooks : StageHooks {
  const Segmenter<B>* segmenter;
  std::string folder;  ///< none: not to be written
  void before_first_step() const {
    if (!folder.empty()) write_picture_encoder(folder, *segmenter->encoder, segmenter->side());
  }
};

template <class B> int train(B, TrainOptions& o, const std::string& resolved) {
  // One function: this is the program, to be read from top to bottom.
  RunFolder folder(o);
  if (o.phantom > 0) {
    o.images = draw_radiographs(o, o.threads, true);
    if (o.images.empty()) return 0;
  }
  auto [learned, valid, test] = read_splits(o, folder);
  Run run(o, folder, {{"step", "train", "train"}});
  run.find_origin(resolved);
  const std::string own = o.out + "/encoder";
  const bool resumed = goes_on_with_encoder(run, own);
  SegmenterOptions made_of = o.model;
  made_of.structures = learned.structures, made_of.seed = o.seed;
  if (resumed) made_of.encoder = own;
  Segmenter<B> segmenter = make_segmenter<B>(made_of);
  if (resumed) segmenter.encoder->name = o.model.encoder;
  const auto samples = std::make_shared<const MaskedRadiographs>(
      std::move(learned), segmenter.preparation, augmentation_of(o));
  const MaskedRadiographs validation(std::move(valid), segmenter.preparation);

  const auto collate = [levels = segmenter.preparation.levels,
                        channels = segmenter.channels()](const std::vector<MaskedPicture>& batch) {
    return collate_masks<B>(batch, levels, channels);
  };
  const auto loss = [&](const MaskBatch<B>& batch, const Context& context) {
    return dice_binary_cross_entropy(segmenter(batch.pictures, context), batch.masks, o.dice_smooth)
        .total();
  };
  std::vector<std::string> left_out;  // of the last validation
  const auto validate = [&](std::int64_t step) {
    if (o.dry_run && step > 0) return 0.0;  // done before
    NoGrad guard;
    double sum = 0, count = 0;
    left_out.clear();
    each_masked_batch(validation, o.batch_size, o.skip_bad ? &left_out : nullptr,
                      [&](const std::vector<index_t>&, const std::vector<MaskedPicture>& batch) {
                        const auto n = static_cast<double>(known_masks(batch));
                        sum += n * static_cast<double>(loss(collate(batch), {}).value().item());
                        count += n;
                      });
    expect(count > 0, "validation", "no picture of the split valid that has a mask can be read");
    run.log_scalar("valid/loss", sum / count, step);
    run.note(fmt::format("step {}: validation loss {:.4f}", step, sum / count));
    return sum / count;
  };
  const std::int64_t epoch = run_length(o, samples->size()).steps_of_epoch();
  Validated objective(segmenter.decoder, {o.wd, o.model_ema_decay, false}, loss,
                      o.val_frequency_steps > 0 ? o.val_frequency_steps : epoch, validate);
  if (segmenter.encoder) run.say("{}", segmenter.encoder->table);
  run.say(
      "{} radiographs of {} pixels to train, {} to choose by, {} to test; {} classes; decoder "
      "{} with {} parameters\n",
      samples->size(), segmenter.side(), validation.size(), test.size(), segmenter.config.classes,
      o.model.head, count_parameters(segmenter.decoder));
  if (o.dry_run) validate(0);
  Hooks<B> hooks;
  hooks.segmenter = &segmenter;
  if (segmenter.encoder && !resumed && !o.dry_run) hooks.folder = own;
  const StageResult done = run.train(objective, samples, collate, hooks);
  if (done.outcome == TrainOutcome::stopped || o.dry_run) return 0;
  objective.take_best(done.step);
  for (const auto& problem : left_out) fmt::print("left out: {}\n", visible_text(problem));
  write_segmenter(o.out + "/model", segmenter);
  fmt::print("{}; the model is in {}/model\n",
             objective.best_step() == 0
                 ? "no validation gave a number: the last weights stay"
                 : fmt::format("best after step {} of {}, validation loss {:.4f}",
                               objective.best_step(), done.step, objective.lowest_loss()),
             o.out);
  measure(o, segmenter, std::move(test));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  let_waiting_threads_sleep(argv);
  const std::string command = argc > 1 ? argv[1] : "";
  if (command == "train") {
    CLI::App app("Trains a decoder of masks on a frozen encoder of radiographs, or a U-Net.",
                 "segment_radiographs train");
    TrainOptions o;
    add_data_options(app, o);
    add_model_options(app, o);
    add_learning_options(app, o);
    add_loop_options(app, o, "Run");
    const auto body = [](auto device, auto& given, auto& all) { return train(device, given, all); };
    return run_training_program(app, argc - 1, argv + 1, o, options_fault, recipe, body);
  }
  if (command == "apply") {
    CLI::App app("Marks structures in radiographs: masks and overlays as PNG, and a page.",
                 "segment_radiographs apply");
    ApplyOptions o;
    add_apply_options(app, o);
    return run_program(app, argc - 1, argv + 1, [&] {
      use_compute_threads(o.threads);
      apply_precision(o.device, o.precision);
      return on_device(o.device, [&](auto device) { return apply(device, o); });
    });
  }
  CLI::App app(
      "Structures of radiographs as masks. Each command has its own options: "
      "segment_radiographs COMMAND --help.",
      "segment_radiographs");
  app.require_subcommand(1);
  app.add_subcommand("train", "train a decoder of masks, and measure it");
  app.add_subcommand("apply", "mark structures in pictures with what was trained");
  return run_program(app, argc, argv, [] { return 2; });
}
