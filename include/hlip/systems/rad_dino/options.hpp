// Options of a program that pre-trains encoders on radiographs or on volumes, and what they come
// to. Needs CLI11, nlohmann_json and libpng.
#pragma once

#include <hlip/cli/run_options.hpp>
#include <hlip/imaging/augment/multi_crop.hpp>
#include <hlip/imaging/augment/volume_views.hpp>
#include <hlip/imaging/prepare_radiograph.hpp>
#include <hlip/imaging/preprocess_ct.hpp>
#include <hlip/models/vit_configs.hpp>
#include <hlip/systems/rad_dino/phantom_options.hpp>
#include <hlip/systems/rad_dino/schedules.hpp>
#include <hlip/systems/rad_dino/self_distillation.hpp>
#include <hlip/systems/rad_dino/study_backbone.hpp>
#include <hlip/train/run.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// What such a program is told. The defaults are RAD-DINO's; --phantom puts its own in place of
/// them.
struct RadDinoOptions : RunOptions, DrawnRadiographs {
  // data
  std::string images, image_column = "image", split = "train";
  bool shuffle_patches = false;
  std::string volumes, ct_preset;
  index_t num_scans = 1;
  double cache_gib = 4;
  // views
  std::vector<index_t> local_voxels;  // none: half of what the encoder is made for
  std::string crops = "rad_dino", crop_mode = "area";
  index_t global_size = 518, local_size = 196, local_crops = 8;
  std::vector<double> global_scale = {0.5, 1}, local_scale = {0.2, 0.5};
  bool complement_blur = false;
  // encoder
  std::string model = "vit_base_patch14_dinov2", pretrained;
  double drop_path = 0.3;
  std::string drop_path_form = "by_subset";
  bool grad_checkpointing = false;
  // heads
  index_t head_prototypes = 65536, head_hidden = 2048, head_bottleneck = 256;
  int head_layers = 3;
  bool separate_heads = false;
  // objective
  std::string centering = "centering";
  double student_temp = 0.1, teacher_temp = 0.07, warmup_teacher_temp = 0.04;
  std::int64_t warmup_teacher_temp_steps = 18000, freeze_last_layer = 600;
  double momentum_teacher = 0.992, dino_weight = 1, ibot_weight = 1, koleo_weight = 0.1;
  double mask_probability = 0.5;
  std::vector<double> mask_ratio = {0.1, 0.5};
  // optimiser
  double end_lr = 1e-6, end_wd = 0.4, layerwise_decay = 0.9, patch_embed_lr_mult = 0.2;

  RadDinoOptions() {
    epochs = 46, batch_size = 40, warmup = 6000;
    lr = 1e-3, beta2 = 0.999, eps = 1e-8, wd = 0.04, grad_clip_norm = 3;
  }
};

/// An encoder with the options that change it and the heads that they describe.
template <class C> SelfDistillationConfigOf<C> with_heads(C backbone, const RadDinoOptions& o) {
  SelfDistillationConfigOf<C> c;
  c.backbone = std::move(backbone);
  c.backbone.drop_path = o.drop_path;
  c.backbone.grad_checkpointing = o.grad_checkpointing;
  c.dino_head.in_dim = c.backbone.embed_dim;
  c.dino_head.prototypes = o.head_prototypes;
  c.dino_head.hidden = o.head_hidden;
  c.dino_head.bottleneck = o.head_bottleneck;
  c.dino_head.layers = o.head_layers;
  c.separate_heads = o.separate_heads;
  c.ibot_head = c.dino_head;
  return c;
}

/// The encoder of pictures and heads that the options name.
HLIP_LAZY SelfDistillationConfig model_config(const RadDinoOptions& o) {
  VitConfig vit = vit_config(o.model);
  vit.drop_path_form = o.drop_path_form == "by_subset" ? DropPath::by_subset
                                                       : DropPath::by_sequence;
  return with_heads(vit, o);
}

/// The encoder of studies and heads that they name.
HLIP_LAZY StudyDistillationConfig study_model_config(const RadDinoOptions& o) {
  return with_heads(clip_config(o.model).vision, o);
}

/// The objective that they describe.
HLIP_LAZY SelfDistillationSettings objective_settings(const RadDinoOptions& o) {
  SelfDistillationSettings s;
  s.centering = o.centering == "centering" ? Centering::centering : Centering::sinkhorn_knopp;
  s.student_temperature = o.student_temp;
  s.dino_weight = o.dino_weight;
  s.ibot_weight = o.ibot_weight;
  s.koleo_weight = o.koleo_weight;
  s.masking.probability = o.mask_probability;
  s.masking.min_ratio = o.mask_ratio[0];
  s.masking.max_ratio = o.mask_ratio[1];
  s.layerwise.decay = o.layerwise_decay;
  s.layerwise.patch_embed_factor = o.patch_embed_lr_mult;
  return s;
}

/// The schedules of a run of so many steps. @param batch pictures of a step, of all ranks
HLIP_LAZY SelfDistillationSchedule schedule_of(const RadDinoOptions& o, std::int64_t steps,
                                               std::int64_t batch) {
  SelfDistillationSchedule s;
  s.steps = steps;
  s.lr = o.lr;
  s.batch = batch;
  s.end_lr = o.end_lr;
  s.warmup = o.warmup;
  s.weight_decay = o.wd;
  s.end_weight_decay = o.end_wd;
  s.momentum = o.momentum_teacher;
  s.teacher_temp = o.teacher_temp;
  s.warmup_teacher_temp = o.warmup_teacher_temp;
  s.warmup_teacher_temp_steps = o.warmup_teacher_temp_steps;
  s.freeze_last_layer = o.freeze_last_layer;
  return s;
}

/// The views. @param config of the encoder, which says how many channels they have
HLIP_LAZY MultiCropOptions crop_options(const RadDinoOptions& o, const VitConfig& config) {
  MultiCropOptions c = o.crops == "dinov2" ? dinov2_crops() : rad_dino_crops();
  c.global_size = o.global_size;
  c.local_size = o.local_size;
  c.local_count = o.local_crops;
  c.mode = o.crop_mode == "area" ? CropMode::area : CropMode::side;
  c.global_scale = {o.global_scale[0], o.global_scale[1]};
  c.local_scale = {o.local_scale[0], o.local_scale[1]};
  c.complement_blur = o.complement_blur;
  c.levels = rad_dino_levels;
  c.channels = config.in_chans;
  return c;
}

/// The views of studies.
HLIP_LAZY VolumeViewOptions volume_view_options(const RadDinoOptions& o, const HlipVitConfig& v) {
  VolumeViewOptions views;
  for (int d = 0; d < 3; ++d) {
    const auto at = static_cast<std::size_t>(d);
    const index_t patch = v.patch_size[d];
    views.global_size[at] = v.img_size[d];
    views.local_size[at] = o.local_voxels.empty()
                               ? std::max<index_t>(patch, v.img_size[d] / 2 / patch * patch)
                               : o.local_voxels[at];
  }
  views.local_count = o.local_crops;
  views.local_scans = (o.num_scans + 1) / 2;
  views.global_scale = {o.global_scale[0], o.global_scale[1]};
  views.local_scale = {o.local_scale[0], o.local_scale[1]};
  return views;
}

/// How CT is prepared for an encoder of studies. @throws hlip::error for what --ct-preset cannot be
HLIP_LAZY CtPreset ct_preset_of(const RadDinoOptions& o, const HlipVitConfig& v) {
  CtPreset preset = parse_ct_preset(o.ct_preset);
  for (int d = 0; d < 3; ++d) preset.size[static_cast<std::size_t>(d)] = v.img_size[d];
  return preset;
}

/// How pictures are prepared for the encoder that comes out of the run.
HLIP_LAZY RadiographPreparation preparation_of(const RadDinoOptions& o) {
  RadiographPreparation p;
  p.shorter_side = p.crop = o.global_size;
  p.least_side = std::min<index_t>(p.least_side, o.global_size);
  return p;
}

namespace detail {
/// What is wrong with the size of a view, or nothing.
HLIP_LAZY std::string view_fault(const char* option, index_t size, index_t patch) {
  if (size % patch == 0) return "";
  return fmt::format("{} {} is no multiple of the encoder's patches of {} (hint: {})", option, size,
                     patch, std::max<index_t>(patch, size / patch * patch));
}

/// What is wrong with options that studies of volumes have, or nothing.
HLIP_LAZY std::string volume_options_fault(const CLI::App& app, const RadDinoOptions& o) {
  const auto known = clip_config_names();
  if (std::find(known.begin(), known.end(), o.model) == known.end())
    return fmt::format("--model {} is an encoder of pictures, --volumes wants one of {}", o.model,
                       clip_config_list());
  const bool json = o.volumes.ends_with(".json");
  const HlipVitConfig v = clip_config(o.model).vision;
  for (int d = 0; d < 3 && !o.local_voxels.empty(); ++d)
    if (const auto fault = view_fault("--local-voxels", o.local_voxels[static_cast<std::size_t>(d)],
                                      v.patch_size[d]);
        !fault.empty())
      return fault;
  if (json && v.img_size[1] != v.img_size[2])
    return fmt::format("--model {} wants slices of {} x {} voxels, those of {} are squares",
                       o.model, v.img_size[1], v.img_size[2], o.volumes);
  if (v.max_num_scans > 1 && o.num_scans > v.max_num_scans)
    return fmt::format("--model {} knows {} scan positions, --num-scans is {}", o.model,
                       v.max_num_scans, o.num_scans);
  try {
    ct_preset_of(o, v);
  } catch (const error& e) {
    return fmt::format("--ct-preset: {}", e.what());
  }
  return means_nothing_without(app, !json, {"--ct-preset"}, "a tree of CT in --volumes");
}

/// What is wrong with options that pictures have, or nothing.
HLIP_LAZY std::string picture_options_fault(const CLI::App& app, const RadDinoOptions& o) {
  const auto known = vit_config_names();
  if (std::find(known.begin(), known.end(), o.model) == known.end())
    return fmt::format("--model {} means nothing without --volumes", o.model);
  const index_t patch = vit_config(o.model).patch_size;
  for (const auto& fault :
       {view_fault("--global-size", o.global_size, patch),
        view_fault("--local-size", o.local_size, patch),
        means_nothing_without(app, false,
                              {"--local-voxels", "--num-scans", "--ct-preset", "--cache-gib"},
                              "--volumes")})
    if (!fault.empty()) return fault;
  return "";
}
}  // namespace detail

/// What is wrong with the options taken together, recipes included, or nothing.
HLIP_LAZY std::string rad_dino_options_fault(const CLI::App& app, const RadDinoOptions& o) {
  const bool volumes = !o.volumes.empty();
  if ((o.phantom > 0) + !o.images.empty() + volumes != 1)
    return "one of --phantom, --images and --volumes is wanted: what to learn from";
  for (const auto& fault :
       {volumes ? detail::volume_options_fault(app, o) : detail::picture_options_fault(app, o),
        means_nothing_without(app, !volumes,
                              {"--shuffle-patches", "--crops", "--global-size", "--local-size",
                               "--crop-mode", "--complement-blur", "--drop-path-form"},
                              "--images or --phantom"),
        means_nothing_without(app, o.phantom > 0,
                              {"--phantom-size", "--phantom-seed", "--phantom-root"}, "--phantom"),
        means_nothing_without(app, !o.images.empty(), {"--image-column"}, "--images")})
    if (!fault.empty()) return fault;
  for (const auto& [option, range] : {std::pair{"--global-scale", o.global_scale},
                                      {"--local-scale", o.local_scale},
                                      {"--mask-ratio", o.mask_ratio}})
    if (range[0] > range[1])
      return fmt::format("{} {} {}: from above to", option, range[0], range[1]);
  if (o.warmup_teacher_temp > o.teacher_temp)
    return "--warmup-teacher-temp is above --teacher-temp, which it rises to";
  return run_options_fault(app, o);
}

HLIP_END
