// Command line of train_rad_dino.
#pragma once

#include <hlip/systems/rad_dino/options.hpp>

#include <algorithm>
#include <string>

namespace train_rad_dino {

using namespace hlip;

inline void add_data_options(CLI::App& app, RadDinoOptions& o) {
  const char* group = "Data";
  app.add_option("--images", o.images,
                 "radiographs: a table (CSV) with a column of paths, or a folder; PNG, JPEG, DICOM")
      ->group(group);
  app.add_option("--image-column", o.image_column, "the table's column of paths")
      ->capture_default_str()
      ->group(group);
  app.add_option("--split", o.split,
                 "rows to learn from, where the table has a column named split; '' for all")
      ->capture_default_str()
      ->group(group);
  app.add_option("--phantom", o.phantom,
                 "draw this many synthetic radiographs instead, and use the phantom recipe where "
                 "options are not given")
      ->check(CLI::Range(16, 1000000))
      ->group(group);
  app.add_option("--phantom-size", o.phantom_size, "rows and columns of a synthetic radiograph")
      ->check(CLI::Range(32, 2048))
      ->capture_default_str()
      ->group(group);
  app.add_option("--phantom-root", o.phantom_root,
                 "where the synthetic radiographs are kept (default: OUT/phantom)")
      ->group(group);
  app.add_option("--phantom-seed", o.phantom_seed, "which synthetic radiographs")
      ->capture_default_str()
      ->group(group);
  app.add_flag("--shuffle-patches", o.shuffle_patches,
               "the control: every picture has its patches in random order")
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
  app.add_option("--local-crops", o.local_crops, "small views of a picture, 0: none")
      ->check(CLI::Range(0, 64))
      ->capture_default_str()
      ->group(group);
  app.add_option("--global-scale", o.global_scale, "from and to: share of the picture they show")
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

inline void add_encoder_options(CLI::App& app, RadDinoOptions& o) {
  const char* group = "Encoder";
  app.add_option("--model", o.model, "what is trained")
      ->check(CLI::IsMember(vit_config_names()))
      ->capture_default_str()
      ->group(group);
  app.add_option("--pretrained", o.pretrained,
                 "weights to go on from: a run, a Hugging Face folder, .safetensors or .pth of "
                 "DINOv2 or timm; the heads begin at random")
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

/// What was measured to learn on phantoms, for every option that was not given.
inline void phantom_recipe(CLI::App& app, RadDinoOptions& o) {
  if (o.phantom == 0) return;
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
  set("--head-prototypes", o.head_prototypes, index_t{512});
  set("--head-hidden", o.head_hidden, index_t{256});
  set("--head-bottleneck", o.head_bottleneck, index_t{64});
  set("--batch-size", o.batch_size, std::min<std::int64_t>(64, o.phantom / 2));
  if (o.steps == 0) set("--epochs", o.epochs, std::int64_t{10});
  const std::int64_t steps = o.steps > 0 ? o.steps
                                         : std::max<std::int64_t>(
                                               1, o.epochs * o.phantom * 7 / 10 / o.batch_size);
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

}  // namespace train_rad_dino
