// Command lines of segment_radiographs: train and apply.
#pragma once

#include <hlip/cli/compute_threads.hpp>
#include <hlip/cli/device.hpp>
#include <hlip/cli/run_options.hpp>
#include <hlip/datasets/chest_xray/mask_structures.hpp>
#include <hlip/systems/rad_dino/phantom_options.hpp>
#include <hlip/systems/rad_dino/segmentation/samples.hpp>
#include <hlip/systems/rad_dino/segmentation/segmenter.hpp>

#include <optional>
#include <string>
#include <vector>

namespace segment {

using namespace hlip;

/// Defaults are RAD-DINO's where its paper says them; --phantom puts a small recipe in their place.
struct TrainOptions : RunOptions, DrawnRadiographs {
  std::string images, image_column = "image", classes;
  SegmenterOptions model;
  double augment = 1, flip = 0.5, dice_smooth = 1, train_fraction = 1;
  std::int64_t val_frequency_steps = 0;

  TrainOptions() {
    epochs = 100, batch_size = 16, warmup = 0;
    phantom_size = 64, phantom_seed = 518;  // not the pictures an encoder has learned from
    lr = 5e-4, beta2 = 0.999, eps = 1e-8, wd = 0;
  }
};

struct ApplyOptions {
  std::vector<std::string> pictures;
  std::string model, out, image_column = "image", split, device = "cpu", precision = "fp32";
  index_t batch_size = 16;
  bool skip_bad = false;
  int threads = 0;
};

/// What phantoms mark.
inline constexpr const char* phantom_classes =
    "lungs=right_lung+left_lung,zones=right_upper_zone+right_middle_zone+right_lower_zone+"
    "left_upper_zone+left_middle_zone+left_lower_zone,ribs,tube";

inline void add_data_options(CLI::App& app, TrainOptions& o) {
  const char* group = "Data";
  app.add_option("--images", o.images,
                 "table (CSV) with columns of paths: the picture, and its masks")
      ->group(group);
  app.add_option("--image-column", o.image_column, "column of the pictures")
      ->capture_default_str()
      ->group(group);
  app.add_option("--classes", o.classes,
                 "what is to be marked, by columns of masks: ribs,lungs=right_lung+left_lung or, "
                 "for label masks of the values 1 to 6, zones:6")
      ->group(group);
  app.add_option("--train-fraction", o.train_fraction,
                 "share of the subjects to train on that is learned from, drawn by --seed; a "
                 "smaller share is a part of a larger one")
      ->check(CLI::Range(0.0001, 1.0))
      ->capture_default_str()
      ->group(group);
  add_phantom_options(app, o, group);
  add_loading_options(app, o, group);
}

inline void add_model_options(CLI::App& app, TrainOptions& o) {
  const char* group = "Model";
  app.add_option("--encoder", o.model.encoder,
                 "frozen: a run of train_rad_dino, a Hugging Face folder (DINOv2, RAD-DINO), a "
                 "file of weights, untrained:NAME for random weights; none for a U-Net")
      ->capture_default_str()
      ->group(group);
  app.add_option("--head", o.model.head, "decoder of masks, trained from random weights")
      ->check(CLI::IsMember({"linear", "vitdet", "upernet", "unet"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--width", o.model.width,
                 "channels of the decoder (default: upernet 512, vitdet 256, unet 32)")
      ->check(CLI::Range(index_t{1}, most_decoder_width))
      ->group(group);
  app.add_option("--levels", o.model.levels, "levels of a U-Net, each half as large as the last")
      ->check(CLI::Range(1, 8))
      ->capture_default_str()
      ->group(group);
  app.add_option("--size", o.model.size,
                 "side that pictures are resized and cut to (default: the encoder's; unet: 224)")
      ->check(CLI::Range(16, 4096))
      ->group(group);
}

inline void add_learning_options(CLI::App& app, TrainOptions& o) {
  const char* group = "Learning";
  app.add_option("--augment", o.augment,
                 "strength of random turns, shifts, elastic bends, brightness, contrast and gamma; "
                 "0: none")
      ->check(CLI::Range(0.0, 3.0))
      ->capture_default_str()
      ->group(group);
  app.add_option("--flip", o.flip,
                 "probability of exchanging left and right (default: 0 where the name of a class "
                 "says right or left or it is called lung or zone, else 0.5)")
      ->check(CLI::Range(0.0, 1.0))
      ->group(group);
  app.add_option("--dice-smooth", o.dice_smooth,
                 "what is added above and below in the Dice of the loss, in pixels")
      ->check(CLI::Range(1e-6, 1e6))
      ->capture_default_str()
      ->group(group);
  app.add_option("--val-frequency-steps", o.val_frequency_steps,
                 "steps between validations (default: an epoch); the weights that were best stay")
      ->check(CLI::NonNegativeNumber)
      ->group(group);
  add_schedule_options(app, o, "Schedule");
}

/// Whether left and right of these structures are not to be exchanged: the heart lies left.
inline bool sides_matter(const std::string& classes) {
  std::string low = classes;
  for (char& c : low) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  for (const char* word : {"right", "left", "lung", "zone"})
    if (low.find(word) != low.npos) return true;
  return false;
}

/// What was measured to learn on phantoms, and the flip that fits the classes.
inline void recipe(CLI::App& app, TrainOptions& o) {
  const auto set = [&](const char* name, auto& option, auto value) {
    recipe_default(app, name, option, value);
  };
  if (o.phantom > 0) {
    set("--phantom-root", o.phantom_root, o.out + "/phantom");
    set("--classes", o.classes, std::string(phantom_classes));
    set("--size", o.model.size, o.phantom_size);
    const bool linear = o.model.head == "linear", unet = o.model.head == "unet";
    if (unet) set("--levels", o.model.levels, 4);
    if (!linear) set("--width", o.model.width, index_t{unet ? 8 : 32});
    if (o.steps == 0) set("--epochs", o.epochs, std::int64_t{linear ? 15 : unet ? 8 : 10});
    set("--lr", o.lr, linear ? 2e-2 : unet ? 4e-3 : 2e-3);
  }
  set("--flip", o.flip, sides_matter(o.classes) ? 0.0 : 0.5);
}

/// How pictures are changed at random, or nothing.
inline std::optional<MaskAugmentation> augmentation_of(const TrainOptions& o) {
  if (o.augment == 0 && o.flip == 0) return {};
  return mask_augmentation(o.augment, o.flip);
}

/// What is wrong with the options taken together, or nothing.
inline std::string options_fault(const CLI::App& app, const TrainOptions& o) {
  if ((o.phantom > 0) == !o.images.empty())
    return "one of --phantom and --images is wanted: what to learn from";
  const bool unet = o.model.head == "unet";
  if (unet && o.model.encoder != "none")
    return "an --encoder means nothing without --head linear, vitdet or upernet";
  if (!unet && o.model.encoder == "none")
    return fmt::format("--head {} needs an --encoder", o.model.head);
  for (const auto& fault :
       {means_nothing_without(app, o.phantom > 0,
                              {"--phantom-size", "--phantom-seed", "--phantom-root"}, "--phantom"),
        means_nothing_without(app, !o.images.empty(), {"--image-column"}, "--images"),
        means_nothing_without(app, o.model.head != "linear", {"--width"},
                              "--head upernet, vitdet or unet"),
        means_nothing_without(app, unet, {"--levels"}, "--head unet")})
    if (!fault.empty()) return fault;
  if (o.classes.empty()) return "--images means nothing without --classes: which columns are masks";
  return run_options_fault(app, o);
}

inline void add_apply_options(CLI::App& app, ApplyOptions& o) {
  app.add_option("FILE", o.pictures,
                 "pictures (PNG, JPEG, DICOM), folders of them, or tables (CSV) that name them; "
                 "where a table has the masks, Dice is measured")
      ->required();
  app.add_option("--model", o.model, "a run of segment_radiographs train, or its folder model")
      ->required();
  app.add_option("--out", o.out, "folder of masks, overlays and the page")->required();
  app.add_option("--image-column", o.image_column, "column of a table that names pictures")
      ->capture_default_str();
  app.add_option("--split", o.split, "rows of tables that have a column split (default: all)");
  app.add_option("--batch-size", o.batch_size, "pictures at a time")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_flag("--skip-bad", o.skip_bad,
               "leave out what cannot be read, and say which (default: stop at the first)");
  add_threads_option(app, o.threads);
  add_device_option(app, o.device);
  add_precision_option(app, o.precision);
}

}  // namespace segment
