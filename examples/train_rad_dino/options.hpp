// Command line of train_rad_dino.
#pragma once

#include <hlip/datasets/brain_mri/dataset.hpp>
#include <hlip/systems/rad_dino/options.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace train_rad_dino {

using namespace hlip;

inline void add_data_options(CLI::App& app, RadDinoOptions& o) {
  const char* group = "Data";
  app.add_option("--images", o.images,
                 "radiographs: a table (CSV) with a column of paths, or a folder; PNG, JPEG, DICOM")
      ->group(group);
  app.add_option("--volumes", o.volumes,
                 "studies of volumes instead: a CT-RATE tree, or a JSON of studies beside their "
                 "voxels as train_brain_mri reads them; reports and labels are not read")
      ->group(group);
  app.add_option("--image-column", o.image_column, "the table's column of paths")
      ->capture_default_str()
      ->group(group);
  app.add_option("--split", o.split,
                 "rows to learn from, where the table has a column named split; '' for all; "
                 "of volumes the split's folder")
      ->capture_default_str()
      ->group(group);
  add_phantom_options(app, o, group);
  app.add_flag("--shuffle-patches", o.shuffle_patches,
               "the control: every picture has its patches in random order")
      ->group(group);
  app.add_option("--ct-preset", o.ct_preset,
                 "how CT is prepared, where not as for HLIP: spacing=D,H,W window_hu=LOW,HIGH "
                 "mode=crop|resize already_hu=yes|no")
      ->group(group);
  app.add_option("--num-scans", o.num_scans,
                 "scans of a study in a large view (half of them in a small one): drawn at random, "
                 "repeated where there are fewer")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str()
      ->group(group);
  app.add_option("--cache-gib", o.cache_gib,
                 "keep prepared volumes in memory as float16 if all fit in this")
      ->check(CLI::Range(0.0, 4096.0))
      ->capture_default_str()
      ->group(group);
  add_loading_options(app, o, group);
}

inline void add_view_options(CLI::App& app, RadDinoOptions& o) {
  const char* group = "Views";
  app.add_option("--crops", o.crops,
                 "how views are changed: rad_dino (less blur, no colour) or dinov2")
      ->check(CLI::IsMember({"rad_dino", "dinov2"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--global-size", o.global_size, "side of the two large views, pixels")
      ->check(CLI::Range(8, 4096))
      ->capture_default_str()
      ->group(group);
  app.add_option("--local-size", o.local_size, "side of the small views, pixels")
      ->check(CLI::Range(8, 4096))
      ->capture_default_str()
      ->group(group);
  app.add_option("--local-voxels", o.local_voxels,
                 "voxels (D, H, W) of a small view of volumes; large ones are of the encoder's own "
                 "size (default: half of that)")
      ->expected(3)
      ->check(CLI::Range(1, 4096))
      ->group(group);
  app.add_option("--local-crops", o.local_crops, "small views of a picture or study, 0: none")
      ->check(CLI::Range(0, 64))
      ->capture_default_str()
      ->group(group);
  app.add_option("--global-scale", o.global_scale,
                 "from and to: share of the picture or volume they show")
      ->expected(2)
      ->check(CLI::Range(0.001, 1.0))
      ->capture_default_str()
      ->group(group);
  app.add_option("--local-scale", o.local_scale, "the same of the small views")
      ->expected(2)
      ->check(CLI::Range(0.001, 1.0))
      ->capture_default_str()
      ->group(group);
  app.add_option("--crop-mode", o.crop_mode,
                 "what the shares are of: area, or side (a square with that share of the shorter "
                 "side)")
      ->check(CLI::IsMember({"area", "side"}))
      ->capture_default_str()
      ->group(group);
  app.add_flag("--complement-blur", o.complement_blur,
               "blur with one minus the probabilities, as DINOv2's code does")
      ->group(group);
}

/// Encoders of volumes, then those of pictures.
inline std::vector<std::string> encoder_names() {
  std::vector<std::string> names = clip_config_names();
  for (const auto& name : vit_config_names()) names.push_back(name);
  return names;
}

inline void add_encoder_options(CLI::App& app, RadDinoOptions& o) {
  const char* group = "Encoder";
  app.add_option("--model", o.model, "what is trained")
      ->check(CLI::IsMember(encoder_names()))
      ->capture_default_str()
      ->group(group);
  app.add_option("--pretrained", o.pretrained,
                 "weights to go on from: a run, a Hugging Face folder, .safetensors or .pth of "
                 "DINOv2 or timm; of volumes a file of weights of HLIP or of this program; the "
                 "heads begin at random")
      ->group(group);
  app.add_option("--drop-path", o.drop_path, "rate of stochastic depth of the student")
      ->check(below_one())
      ->capture_default_str()
      ->group(group);
  app.add_option("--drop-path-form", o.drop_path_form,
                 "by_subset: a branch is computed for some pictures only; by_sequence: each is "
                 "dropped on its own")
      ->check(CLI::IsMember({"by_subset", "by_sequence"}))
      ->capture_default_str()
      ->group(group);
  app.add_flag("--grad-checkpointing", o.grad_checkpointing,
               "recompute blocks in backward: less memory, more time")
      ->group(group);
  app.add_option("--head-prototypes", o.head_prototypes, "outputs of the heads")
      ->check(CLI::Range(2, 1 << 24))
      ->capture_default_str()
      ->group(group);
  app.add_option("--head-hidden", o.head_hidden, "width of their MLP")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str()
      ->group(group);
  app.add_option("--head-bottleneck", o.head_bottleneck, "width before the prototypes")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str()
      ->group(group);
  app.add_option("--head-layers", o.head_layers, "layers of their MLP")
      ->check(CLI::Range(1, 16))
      ->capture_default_str()
      ->group(group);
  app.add_flag("--separate-heads", o.separate_heads, "patches have a head of their own")
      ->group(group);
}

inline void add_objective_options(CLI::App& app, RadDinoOptions& o) {
  const char* group = "Objective";
  app.add_option("--centering", o.centering,
                 "how the teacher is kept from giving all pictures the same answer")
      ->check(CLI::IsMember({"centering", "sinkhorn_knopp"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--student-temp", o.student_temp, "temperature of the student")
      ->check(CLI::Range(1e-3, 10.0))
      ->capture_default_str()
      ->group(group);
  app.add_option("--teacher-temp", o.teacher_temp, "temperature of the teacher")
      ->check(CLI::Range(1e-3, 10.0))
      ->capture_default_str()
      ->group(group);
  app.add_option("--warmup-teacher-temp", o.warmup_teacher_temp, "where it begins")
      ->check(CLI::Range(1e-3, 10.0))
      ->capture_default_str()
      ->group(group);
  app.add_option("--warmup-teacher-temp-steps", o.warmup_teacher_temp_steps,
                 "steps in which it rises")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(group);
  app.add_option("--momentum-teacher", o.momentum_teacher,
                 "of the teacher, which is a moving average of the student; rises to 1")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str()
      ->group(group);
  app.add_option("--dino-weight", o.dino_weight, "weight of the loss of class tokens")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(group);
  app.add_option("--ibot-weight", o.ibot_weight, "weight of the loss of masked patches")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(group);
  app.add_option("--koleo-weight", o.koleo_weight, "weight of KoLeo, which spreads features")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(group);
  app.add_option("--mask-probability", o.mask_probability, "share of large views with masks")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str()
      ->group(group);
  app.add_option("--mask-ratio", o.mask_ratio, "from and to: share of their patches")
      ->expected(2)
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str()
      ->group(group);
}

inline void add_rad_dino_schedule_options(CLI::App& app, RadDinoOptions& o) {
  const char* group = "Schedule";
  add_length_options(app, o, group);
  add_optimizer_options(app, o, group);
  add_clip_option(app, o, group);
  app.get_option("--grad-clip-norm")
      ->description("largest gradient norm of the encoder, and of each head, 0: off");
  app.get_option("--lr")->description(
      "learning rate of a batch of 1024; it goes with the square root of the batch");
  app.get_option("--wd")->description("weight decay at the first step");
  app.add_option("--end-wd", o.end_wd, "weight decay at the last step")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(group);
  app.add_option("--end-lr", o.end_lr, "learning rate at the last step")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(group);
  app.add_option("--layerwise-decay", o.layerwise_decay,
                 "of the learning rate, for every block further down")
      ->check(CLI::Range(0.01, 1.0))
      ->capture_default_str()
      ->group(group);
  app.add_option("--patch-embed-lr-mult", o.patch_embed_lr_mult,
                 "of the learning rate of the patch embedding, on top")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str()
      ->group(group);
  app.add_option("--freeze-last-layer", o.freeze_last_layer,
                 "steps before the prototypes begin to move")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(group);
}

/// Heads and schedules for encoders as small as the demos'.
inline void small_recipe(CLI::App& app, RadDinoOptions& o, std::int64_t steps) {
  const auto set = [&](const char* name, auto& option, auto value) {
    recipe_default(app, name, option, value);
  };
  set("--head-prototypes", o.head_prototypes, index_t{512});
  set("--head-hidden", o.head_hidden, index_t{256});
  set("--head-bottleneck", o.head_bottleneck, index_t{64});
  set("--lr", o.lr, 1e-2);
  set("--end-wd", o.end_wd, o.wd);
  set("--layerwise-decay", o.layerwise_decay, 1.0);
  set("--patch-embed-lr-mult", o.patch_embed_lr_mult, 1.0);
  set("--warmup", o.warmup, steps / 10);
  set("--warmup-teacher-temp-steps", o.warmup_teacher_temp_steps, steps / 2);
  set("--freeze-last-layer", o.freeze_last_layer, steps / 100);
  // Near an answer that prefers no prototype only what two views of a picture share can grow, by
  // the temperature of the student over the teacher's: few pictures need a cold teacher. Later
  // such a one would name few prototypes for all pictures.
  set("--teacher-temp", o.teacher_temp, 0.025);
  set("--warmup-teacher-temp", o.warmup_teacher_temp, 0.01);
  set("--koleo-weight", o.koleo_weight, 0.05);
  set("--drop-path", o.drop_path, 0.1);
}

/// What was measured to learn on phantoms, for every option that was not given.
inline void phantom_recipe(CLI::App& app, RadDinoOptions& o) {
  const auto set = [&](const char* name, auto& option, auto value) {
    recipe_default(app, name, option, value);
  };
  set("--phantom-root", o.phantom_root, o.out + "/phantom");
  // Minutes on two cores are a hundred thousand pictures of 32 pixels, and too few of any other.
  set("--model", o.model, std::string("radiograph_phantom_tiny"));
  set("--global-size", o.global_size, index_t{32});
  set("--local-size", o.local_size, index_t{16});
  set("--local-crops", o.local_crops, index_t{4});
  set("--global-scale", o.global_scale, std::vector<double>{0.75, 1});
  set("--local-scale", o.local_scale, std::vector<double>{0.4, 0.75});
  set("--batch-size", o.batch_size, std::min<std::int64_t>(64, o.phantom / 2));
  if (o.steps == 0) set("--epochs", o.epochs, std::int64_t{10});
  const std::int64_t learned = o.epochs * o.phantom * 7 / 10,
                     a_step = run_length(o, o.phantom).studies_per_step();
  small_recipe(app, o, o.steps > 0 ? o.steps : std::max<std::int64_t>(1, learned / a_step));
}

/// What studies of volumes take instead of RAD-DINO's pictures. What was measured is that of the
/// phantoms' encoders alone.
inline void volumes_recipe(CLI::App& app, RadDinoOptions& o) {
  const auto set = [&](const char* name, auto& option, auto value) {
    recipe_default(app, name, option, value);
  };
  const bool json = o.volumes.ends_with(".json");
  set("--model", o.model,
      std::string(json ? "vit_base_multiscan_h3_token1176" : "vit_base_singlescan_h2_token2744"));
  const bool brain = o.model == "brain_phantom";
  if (json) {
    set("--split", o.split, brain_split(o.volumes));
    set("--num-scans", o.num_scans, index_t{brain ? 4 : 10});
  }
  if (!brain && o.model != "phantom") {
    set("--batch-size", o.batch_size, std::int64_t{8});
    return;
  }
  if (!json) set("--ct-preset", o.ct_preset, std::string("spacing=9,5,5"));
  set("--batch-size", o.batch_size, std::int64_t{32});
  if (app.count("--epochs") == 0) set("--steps", o.steps, std::int64_t{1000});
  set("--local-crops", o.local_crops, index_t{4});
  set("--global-scale", o.global_scale, std::vector<double>{0.75, 1});
  set("--local-scale", o.local_scale, std::vector<double>{0.4, 0.75});
  small_recipe(app, o, o.steps > 0 ? o.steps : 1000);
}

/// The recipe of what is learned from, for every option that was not given.
inline void recipe(CLI::App& app, RadDinoOptions& o) {
  if (o.phantom > 0) phantom_recipe(app, o);
  else if (!o.volumes.empty()) volumes_recipe(app, o);
}

}  // namespace train_rad_dino
