// Image features of studies, on disk: everything that follows needs no images.
#pragma once

#include <hlip/hlip.hpp>

#include <hlip/io/json.hpp>
#include <hlip/io/safetensors.hpp>
#include <hlip/io/safetensors_writer.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace evaluate {

using namespace hlip;

/// Image features of studies, computed once and kept. The file is one that probes of features read
/// (hlip/eval/feature_file.hpp).
struct Embeddings {
  std::string encoder;  ///< what tables of probes call it
  std::vector<std::string> studies;
  std::vector<double> features;  ///< row-major (studies, dim), of length 1
  index_t dim = 0;
  double scale = 1;  ///< exp(logit_scale)
};

inline void write_embeddings(const std::string& path, const Embeddings& e) {
  const std::vector<float> features(e.features.begin(), e.features.end());
  SafetensorsWriter file;
  file.add("features", std::span<const float>(features),
           {static_cast<index_t>(e.studies.size()), e.dim});
  const std::vector<double> scale = {e.scale};
  file.add("scale", std::span<const double>(scale), {1});
  file.metadata("files", Json(e.studies).dump());
  file.metadata("encoder", e.encoder);
  file.write(path);
}

inline Embeddings read_embeddings(const std::string& path) {
  const SafetensorsFile file(path);
  if (!file.contains("features") || !file.contains("scale") ||
      file.info("features").shape.rank() != 2 || file.info("scale").shape.numel() != 1)
    fail_file(path, "",
              "is not what evaluate writes: features (studies, dim) and scale are expected");
  Embeddings e{file.metadata("encoder"),
               {},
               file.values<double>("features"),
               file.info("features").shape[1],
               file.values<double>("scale")[0]};
  const Json names = parse_json(file.metadata("files"), path);
  for (const auto& n : names)
    if (n.is_string()) e.studies.push_back(n.get<std::string>());
  if (static_cast<index_t>(e.studies.size()) != file.info("features").shape[0])
    fail_file(path, "files", "names {} studies, features has {}", e.studies.size(),
              file.info("features").shape[0]);
  return e;
}

}  // namespace evaluate
