// What train_ct_rate is told, and the recipe that stands for what it is not told.
#pragma once

#include <hlip/hlip.hpp>

#include <hlip/imaging/preprocess_ct.hpp>
#include <hlip/systems/hlip/options.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

namespace train_ct_rate {

using namespace hlip;

struct Options : HlipOptions {
  std::string data_root, train_split = "train", valid_split = "valid", train_data, val_data, cache,
                         text_sampling = "whole", zeroshot_template = "volume";
  std::vector<std::string> input_info = {"-1150", "350", "crop"};
  bool already_hu = false;
  std::int64_t val_frequency = 0;
  std::size_t report_examples = 3;
  Options() { model = "vit_base_singlescan_h2_token2744"; }
};

inline void add_options(CLI::App& app, Options& o) {
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
inline void apply_phantom_recipe(CLI::App& app, Options& o) {
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
  // The text tower of --text-model can read already.
  set("--text-steps", o.text_steps, o.text_model.empty() ? steps * 5 / 13 : 0);
  set("--lock-text", o.lock_text, !o.lora_text && (o.text_steps > 0 || !o.text_model.empty()));
  set("--check-volumes", o.check_volumes, "header");  // just written, with checksums
  apply_recipe_of_phantoms(app, o, steps);
}

/// The recipes of data and model, for every option that was not given.
inline void apply_recipe(CLI::App& app, Options& o) {
  if (o.phantom > 0) apply_phantom_recipe(app, o);
  apply_published_recipe(app, o);
}

/// The window and the fit of --input-info. @throws hlip::error naming the option
inline CtPreset input_info(const Options& o) {
  CtPreset preset;
  try {
    set_preset_entry(preset, "window_hu", o.input_info[0] + "," + o.input_info[1]);
    set_preset_entry(preset, "mode", o.input_info[2]);
    check_preset(preset);
  } catch (const error& e) {
    fail("--input-info", "{}", e.what());
  }
  return preset;
}

/// What is wrong with the options taken together, or nothing.
inline std::string usage_fault(const CLI::App& app, const Options& o) {
  if ((o.phantom > 0) == !o.data_root.empty()) return "give either --data-root DIR or --phantom N";
  if (const std::string fault = hlip_options_fault(app, o); !fault.empty()) return fault;
  try {
    input_info(o);
  } catch (const error& e) {
    return e.what();
  }
  return o.resume.empty()
             ? means_nothing_without(app, o.val_frequency > 0, {"--val-data"}, "--val-frequency")
             : "";
}

inline CtPreset preprocessing(const Options& o, const ClipConfig& config) {
  CtPreset preset = input_info(o);
  if (o.phantom > 0) preset.spacing = {9, 5, 5};
  for (int d = 0; d < 3; ++d) preset.size[static_cast<std::size_t>(d)] = config.vision.img_size[d];
  preset.already_hu = o.already_hu;
  return preset;
}

}  // namespace train_ct_rate
