// Starting a 3-D encoder from a 2-D vision transformer (MAE ViT-B/16): patch filter, positions and
// class token are converted, blocks copied. Source: reference document HLIP §1.3, §1.8.
#pragma once

#include <hlip/models/hlip_vit.hpp>

#include <cmath>
#include <map>
#include <string>
#include <vector>

HLIP_BEGIN

/// Spatial table from a 2-D one: E_C(slice) + the position of (row, column), resized to the grid by
/// antialiased bicubic interpolation unless it has that size.
///
/// @param table (1, side², C)  @param grid (d, h, w)  @return (1, d, h, w, C)
template <class T, class B>
Tensor<T, B> spatial_table_from_2d(const Tensor<T, B>& table, const Shape& grid) {
  expect_shape("spatial_table_from_2d", "table", table.shape(), {{"1", 1}, {"side²"}, {"C"}});
  const index_t tokens = table.dim(1), c = table.dim(2),
                side = static_cast<index_t>(std::llround(std::sqrt(static_cast<double>(tokens))));
  expect(side * side == tokens && tokens > 0, "spatial_table_from_2d",
         "{} positions do not form a square", tokens);
  const index_t d = grid[0], h = grid[1], w = grid[2];
  Tensor<T, B> plane = table.reshape({1, side, side, c});
  if (tokens != h * w || h != w)
    plane = interpolate(plane.permute({0, 3, 1, 2}).contiguous(), {h, w},
                        Interpolation::cubic_antialias)
                .permute({0, 2, 3, 1})
                .contiguous();
  return sincos_1d<T, B>(d, c).reshape({1, d, 1, 1, c}) + plane.reshape({1, 1, h, w, c});
}

/// A 2-D patch filter for 3-D patches of one channel: resized by bicubic interpolation (no
/// antialias), summed over the input channels, spread evenly over depth.
///
/// @param filter (C, in_chans, p, p)  @param patch_size (pd, ph, pw)  @return (C, 1, pd, ph, pw)
template <class T, class B>
Tensor<T, B> patch_filter_from_2d(const Tensor<T, B>& filter, const Shape& patch_size) {
  expect_shape("patch_filter_from_2d", "filter", filter.shape(),
               {{"C"}, {"in_chans"}, {"height"}, {"width"}});
  const index_t c = filter.dim(0), pd = patch_size[0], ph = patch_size[1], pw = patch_size[2];
  const Tensor<T, B> resized = interpolate(filter, {ph, pw}, Interpolation::cubic);
  const Tensor<T, B> gray = sum(resized, {1}) * (1.0 / static_cast<double>(pd));
  return gray.reshape({c, 1, 1, ph, pw}).expand({c, 1, pd, ph, pw}).contiguous();
}

/// Named tensors in memory, as load_state_dict reads them.
template <class T, class B> class NamedTensors {
 public:
  struct Info {
    Shape shape;
  };
  void add(const std::string& name, const Tensor<T, B>& tensor) {
    if (tensors_.emplace(name, tensor).second) names_.push_back(name);
  }
  const std::vector<std::string>& names() const { return names_; }
  bool contains(const std::string& name) const { return tensors_.count(name) != 0; }
  Info info(const std::string& name) const { return {find(name).shape()}; }
  template <class U, class Backend> Tensor<U, Backend> tensor(const std::string& name) const {
    static_assert(std::is_same_v<U, T> && std::is_same_v<Backend, B>,
                  "these tensors have another element type or backend");
    return find(name);
  }

 private:
  const Tensor<T, B>& find(const std::string& name) const {
    const auto it = tensors_.find(name);
    expect(it != tensors_.end(), "named_tensors", "there is no tensor {}", name);
    return it->second;
  }
  std::map<std::string, Tensor<T, B>> tensors_;
  std::vector<std::string> names_;
};

/// The tensors of a 2-D vision transformer under the names and shapes of an HlipVit. What an
/// HlipVit has no use for is left out; the scan table is not touched.
///
/// @param source a SafetensorsFile or anything like it (see load_state_dict)  @param grid (d, h, w)
/// of the encoder
/// @throws hlip::error when cls_token, pos_embed or patch_embed.proj.weight is missing or has
/// another shape than a ViT gives them
template <class T, class B, class Source>
NamedTensors<T, B> convert_2d_checkpoint(const Source& source, const Shape& grid,
                                         const Shape& patch_size) {
  NamedTensors<T, B> out;
  Tensor<T, B> cls = source.template tensor<T, B>("cls_token"),
               positions = source.template tensor<T, B>("pos_embed");
  expect_shape("convert_2d_checkpoint", "cls_token", cls.shape(), {{"1", 1}, {"1", 1}, {"C"}});
  expect_shape("convert_2d_checkpoint", "pos_embed", positions.shape(),
               {{"1", 1}, {"tokens"}, {"C", cls.dim(2)}});
  const index_t tokens = positions.dim(1),
                side = static_cast<index_t>(std::llround(std::sqrt(static_cast<double>(tokens))));
  if (side * side != tokens) {  // entry 0 belongs to the class token, which has no position here
    cls = cls + positions.slice(1, 0, 1);
    positions = positions.slice(1, 1, tokens).contiguous();
  }
  out.add("cls_token", cls);
  out.add("spatial_posemb", spatial_table_from_2d(positions, grid));
  for (const auto& name : source.names()) {
    if (name == "patch_embed.proj.weight")
      out.add(name, patch_filter_from_2d(source.template tensor<T, B>(name), patch_size));
    else if (name == "patch_embed.proj.bias" || name.starts_with("blocks.") ||
             name.starts_with("norm."))
      out.add(name, source.template tensor<T, B>(name));
  }
  expect(out.contains("patch_embed.proj.weight"), "convert_2d_checkpoint",
         "there is no patch_embed.proj.weight");
  return out;
}

/// Loads the weights of a 2-D vision transformer; parameters it does not have keep their values.
/// @return what was missing, unexpected or of another shape
template <int Levels, class T, class B, class Source>
LoadReport load_2d_checkpoint(HlipVit<Levels, T, B>& trunk, const Source& source) {
  const auto converted = convert_2d_checkpoint<T, B>(source, trunk.config.grid(),
                                                     trunk.config.patch_size);
  return load_state_dict(trunk, converted, false);
}

HLIP_END
