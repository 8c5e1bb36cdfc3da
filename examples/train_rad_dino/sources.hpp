// What train_rad_dino learns from, pictures or studies of volumes: their samples, the encoder that
// takes them, and the form in which that is left behind.
#pragma once

#include "options.hpp"

#include <hlip/hlip.hpp>

#include <hlip/datasets/chest_xray/table.hpp>
#include <hlip/io/gzip_libdeflate.hpp>
#include <hlip/systems/rad_dino/picture_encoder.hpp>
#include <hlip/systems/rad_dino/samples.hpp>
#include <hlip/systems/rad_dino/study_encoder.hpp>
#include <hlip/systems/rad_dino/study_scans.hpp>
#include <hlip/train/report_problems.hpp>

#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

namespace train_rad_dino {

/// Radiographs, from files or drawn.
template <class B> struct Pictures {
  using Backbone = Vit<float, B>;
  SelfDistillationConfig config;
  RadiographPreparation preparation;
  std::shared_ptr<const RadiographViews> samples;  ///< none when a stop signal came while drawing

  Pictures(RadDinoOptions& o, RunFolder& folder)
      : config(model_config(o)), preparation(preparation_of(o)) {
    if (o.phantom > 0) {
      o.images = draw_radiographs(o, o.threads, false);
      if (o.images.empty()) return;
    }
    RadiographTableOptions reading;
    reading.image_column = o.phantom > 0 ? "image" : o.image_column;
    const RadiographTable all = read_radiograph_table(o.images, reading);
    report_problems(o, folder, all.problems, o.images, "radiographs");
    std::vector<std::string> files, names;
    for (const std::size_t i : pictures_of_split(all, o.split)) {
      files.push_back(all.images[i]);
      names.push_back(all.names[i]);
    }
    samples = std::make_shared<const RadiographViews>(
        std::move(files), std::move(names), crop_options(o, config.backbone),
        o.shuffle_patches ? config.backbone.patch_size : 0);
  }
  std::string title() const { return fmt::format("{} radiographs", samples->size()); }

  void add_files(const std::string& checkpoint) const {
    write_encoder_files(checkpoint, config.backbone, preparation);
  }
  /// As Hugging Face keeps it.
  void write_encoder(const std::string& path, const Backbone& teacher) const {
    Backbone fitted = with_positions_for(teacher, preparation.crop);
    write_picture_encoder(path, fitted, preparation);
  }
};

/// Studies of volumes.
template <class B> struct Volumes {
  using Backbone = StudyBackbone<float, B>;
  StudyDistillationConfig config;
  std::string preparation;
  std::shared_ptr<const StudyViews> samples;
  std::size_t scans = 0;

  Volumes(RadDinoOptions& o, RunFolder& folder) : config(study_model_config(o)) {
    const HlipVitConfig& v = config.backbone;
    std::shared_ptr<const StudyScans> studies;
    const auto read = [&](auto& data) {
      report_problems(o, folder, data.problems, data.root, data.split);
      if (data.studies.empty()) fail_file(o.volumes, data.split, "holds no usable study");
    };
    if (o.volumes.ends_with(".json")) {
      const MriPreset preset = mri_preset(v.img_size[0], v.img_size[1]);
      const auto slash = o.volumes.rfind('/');
      BrainDataset data = read_brain_mri(
          slash == std::string::npos ? "." : o.volumes.substr(0, slash + 1), o.volumes,
          {.split = o.split, .need_reports = false});
      read(data);
      studies = std::make_shared<const BrainStudyScans>(std::move(data.studies), preset);
      preparation = to_string(preset);
    } else {
      const CtPreset preset = ct_preset_of(o, v);
      CtRateOptions reading;
      reading.need_reports = false;
      reading.already_hu = preset.already_hu;
      CtRateDataset data = read_ct_rate(o.volumes, o.split, reading);
      read(data);
      studies = std::make_shared<const CtStudyScans>(std::move(data.studies), preset);
      preparation = to_string(preset);
    }
    for (index_t i = 0; i < studies->size(); ++i) scans += studies->scans(i);
    const double bytes = static_cast<double>(scans) * sizeof(float16) *
                         static_cast<double>(v.img_size.numel());
    samples = std::make_shared<const StudyViews>(studies, volume_view_options(o, v), o.num_scans,
                                                 bytes <= o.cache_gib * 0x1p30);
  }
  std::string title() const { return fmt::format("{} studies ({} scans)", samples->size(), scans); }

  void add_files(const std::string& checkpoint) const {
    write_study_model_json(checkpoint, config.backbone, preparation);
  }
  /// As a trunk of HLIP.
  void write_encoder(const std::string& path, Backbone& teacher) const {
    write_study_encoder(path, teacher, preparation);
  }
};

}  // namespace train_rad_dino
