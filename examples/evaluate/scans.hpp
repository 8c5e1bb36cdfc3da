// What the sets whose studies have several scans share: how scans are prepared, and loading them.
#pragma once

#include "model.hpp"
#include "options.hpp"
#include "studies.hpp"

#include <hlip/datasets/public/pub_brain_5.hpp>
#include <hlip/datasets/public/studies.hpp>
#include <hlip/imaging/preprocess_mri.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace evaluate {

/// How scans are prepared: as in the training of the checkpoint if it says so, otherwise as HLIP
/// evaluates.
/// @param own_sizes whether the files of the set have each scan's own size (Pub-Brain-5)
inline ScanPreparation scan_preparation(const Options& o, const Model& m, bool own_sizes,
                                        RawScans raw) {
  ScanPreparation how;
  how.preset = m.mri ? *m.mri
                     : mri_preset(own_sizes ? pub_brain_5_slices(m.config.name)
                                            : m.config.vision.img_size[0],
                                  m.config.vision.img_size[1]);
  if (o.num_slices > 0) how.preset.num_slices = o.num_slices;
  how.raw = raw;
  how.by_size = !own_sizes;
  how.keep_slices = !m.mri && o.num_slices == 0;
  return how;
}

/// The files of the scans of each study.
struct ScanFiles {
  std::vector<std::string> studies;
  std::vector<std::vector<std::string>> files;
};

/// Studies of scans.
inline Studies scan_studies(ScanFiles found, const ScanPreparation& how) {
  fmt::print("preparation of scans: {}\n", to_string(how));
  struct Counts {
    std::size_t prepared = 0, fitted = 0;
  };
  const auto counts = std::make_shared<Counts>();
  Studies s;
  s.names = std::move(found.studies);
  s.load = [files = std::move(found.files), how, counts](index_t i, Warnings& warnings) {
    std::vector<Tensor<float>> scans;
    for (const auto& f : files[static_cast<std::size_t>(i)]) {
      PublicScan scan = load_public_scan(f, how);
      for (const auto& w : scan.warnings) warnings.say(f, w);
      ++(scan.was_prepared ? counts->prepared : counts->fitted);
      if (!scans.empty() && !(scan.input.shape() == scans.front().shape()))
        fail_file(f, "", "is {}, the study's first scan {}; hint: --num-slices",
                  to_string(scan.input.shape()), to_string(scans.front().shape()));
      scans.push_back(std::move(scan.input));
    }
    return stack(scans, 0);
  };
  s.finish = [counts] {
    fmt::print("scans: {} were prepared, {} padded, resized and cropped\n", counts->prepared,
               counts->fitted);
  };
  return s;
}

}  // namespace evaluate
