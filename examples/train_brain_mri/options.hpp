// What train_brain_mri is told, and the recipe that stands for what it is not told.
#pragma once

#include <hlip/hlip.hpp>

#include <hlip/phantoms/brain_mri.hpp>
#include <hlip/systems/hlip/options.hpp>

#include <algorithm>
#include <string>

namespace train_brain_mri {

using namespace hlip;

struct Options : HlipOptions {
  std::string data_root, train_json, train_split, valid_json, valid_split, valid_labels,
      scan_positions = "training", highest_level = "study";
  index_t num_scans = 10;
  Options() {
    model = "vit_base_multiscan_h3_token1176";
    phantom_seed = 5221;
  }
};

inline void add_options(CLI::App& app, Options& o) {
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
inline void apply_phantom_recipe(CLI::App& app, Options& o) {
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
  // The text tower of --text-model can read already.
  set("--text-steps", o.text_steps, o.text_model.empty() ? std::min<std::int64_t>(steps, 500) : 0);
  set("--lock-text", o.lock_text, !o.lora_text);
  set("--check-volumes", o.check_volumes, "exists");  // just written
  apply_recipe_of_phantoms(app, o, steps);
}

/// The recipes of data and model, for every option that was not given.
inline void apply_recipe(CLI::App& app, Options& o) {
  if (o.phantom > 0) apply_phantom_recipe(app, o);
  apply_published_recipe(app, o);
}

/// What is wrong with the options taken together, or nothing.
inline std::string usage_fault(const CLI::App& app, const Options& o) {
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

inline ClipConfig brain_config(const Options& o) {
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

}  // namespace train_brain_mri
