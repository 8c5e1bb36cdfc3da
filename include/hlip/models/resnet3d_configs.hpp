// Residual networks over volumes by name, and as JSON. Needs nlohmann_json.
#pragma once

#include <hlip/models/config_json.hpp>
#include <hlip/models/resnet3d.hpp>

#include <algorithm>
#include <string>
#include <vector>

HLIP_BEGIN

inline std::vector<std::string> resnet3d_names() {
  return {"resnet50_3d", "resnet18_3d", "resnet_phantom"};
}

/// "resnet50_3d" and "resnet18_3d" (He et al. 2015, with one channel in), or "resnet_phantom", of a
/// few ten thousand parameters for the phantoms.
/// @param group_norm group norms of up to 32 groups in place of batch norms
/// @throws hlip::error for other names
HLIP_LAZY ResNet3dConfig resnet3d_config(const std::string& name, bool group_norm = false) {
  ResNet3dConfig c;
  c.name = name;
  if (name == "resnet18_3d") {
    c.bottleneck = false;
    c.layers = {{64, 2, 1}, {128, 2, 2}, {256, 2, 2}, {512, 2, 2}};
  } else if (name == "resnet_phantom") {
    c.bottleneck = false;
    c.stem_width = 8, c.stem_kernel = 3, c.stem_pool = false;
    c.layers = {{16, 1, 2}, {32, 1, 2}};
  } else if (name != "resnet50_3d") {
    fail("resnet3d", "{} is no model (hint: resnet50_3d, resnet18_3d, resnet_phantom)",
         quote_text(name));
  }
  if (group_norm) c.norm_groups = std::min<index_t>(32, c.stem_width);
  return c;
}

namespace detail {
template <class Fields> void json_entries(Fields& f, ResNet3dConfig& c) {
  f.read("name", c.name);
  f.read("in_chans", c.in_chans);
  f.read("stem_width", c.stem_width);
  f.read("stem_kernel", c.stem_kernel);
  f.read("stem_stride", c.stem_stride);
  f.read("stem_pool", c.stem_pool);
  f.read("bottleneck", c.bottleneck);
  f.read("norm_groups", c.norm_groups);
  std::vector<std::vector<index_t>> layers;  // width, blocks, stride
  for (const ResNetLayer& layer : c.layers)
    layers.push_back({layer.width, layer.blocks, layer.stride});
  f.read("layers", layers);
  c.layers.clear();
  for (const auto& layer : layers) {
    if (layer.size() != 3) fail("layers", "{} numbers of a layer, expected 3", layer.size());
    c.layers.push_back({layer[0], layer[1], layer[2]});
  }
}
}  // namespace detail

HLIP_LAZY Json to_json(ResNet3dConfig c) {
  detail::JsonWriter writer;
  detail::json_entries(writer, c);
  return writer.object;
}

/// @param path of the file, for messages  @throws hlip::error naming file and entry
HLIP_LAZY ResNet3dConfig resnet3d_config_from_json(const Json& json, const std::string& path) {
  ResNet3dConfig c;
  detail::JsonFields fields(json, path);
  try {
    detail::json_entries(fields, c);
  } catch (const error& e) {
    const std::string what = e.what();
    if (what.find(path) != std::string::npos) throw;
    fail_file(path, "", "{}", what);
  }
  fields.finish();
  for (const ResNetLayer& layer : c.layers)
    if (layer.width > 65536 || layer.blocks > 1024)
      fail_file(path, "layers",
                "a layer of width {} and {} blocks, expected at most 65536 and 1024", layer.width,
                layer.blocks);
  if (c.stem_width > 65536 || c.stem_kernel > 31 || c.in_chans > 1024 || c.layers.size() > 16)
    fail_file(path, "", "stem_width {}, stem_kernel {}, in_chans {}, {} layers: too large",
              c.stem_width, c.stem_kernel, c.in_chans, c.layers.size());
  return c;
}

HLIP_END
