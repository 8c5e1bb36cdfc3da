// What an encoder sees in radiographs, as pictures: where the class token of the last block looks,
// which patches of one picture are like those of another, and patches coloured by what they have in
// common. Source: reference document RAD-DINO §9.
#pragma once

#include <hlip/eval/patch_correspondence.hpp>
#include <hlip/eval/pca.hpp>
#include <hlip/report/picture.hpp>
#include <hlip/systems/rad_dino/picture_encoder.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

HLIP_BEGIN

/// A point of a picture, as shares of its height and width from the upper left corner.
struct LookPoint {
  double y = 0, x = 0;
};

/// One picture as the encoder sees it.
struct LookedAt {
  std::string name;
  BytePicture grey;               ///< (1, S, S), as prepared
  index_t rows = 0, columns = 0;  ///< of patches
  Tensor<float, Cpu> attention;   ///< (heads, rows, columns): of the class token, patches only
  Tensor<float, Cpu> patches;     ///< (rows·columns, C), after the final norm
};

/// Encodes one picture to look at.
template <class B>
LookedAt look_at(const PictureEncoder<B>& encoder, const Radiograph& picture, std::string name) {
  NoGrad guard;
  LookedAt seen;
  seen.name = std::move(name);
  seen.grey = centre_of_radiograph(picture, encoder.preparation);
  const Var<float, B> images(encoder.prepare(picture));
  const VitTokens<float, B> tokens = encoder.vit({images});
  const VitGrid& g = tokens.grids[0];
  seen.rows = g.rows, seen.columns = g.columns;
  seen.patches = on_backend<Cpu>(features_of(encoder.vit.norm(tokens.x), g).patches.value())
                     .reshape({g.patches(), encoder.vit.config.embed_dim});
  const Tensor<float, Cpu> all = on_backend<Cpu>(vit_last_attention(encoder.vit, images));
  seen.attention = all.select(0, 0)
                       .select(1, 0)
                       .slice(1, g.prefix, g.tokens())
                       .contiguous()
                       .reshape({all.dim(1), g.rows, g.columns});
  return seen;
}

namespace detail {

inline constexpr std::int64_t look_gap = 8, look_title = 22;

/// A canvas of tiles of one size with a title above each.
class Tiles {
 public:
  Tiles(std::int64_t columns, std::int64_t rows, std::int64_t side)
      : side_(side),
        picture_(columns * (side + look_gap) + look_gap,
                 rows * (side + look_gap + look_title) + look_gap, {24, 28, 34}) {}
  std::int64_t left(std::int64_t column) const { return look_gap + column * (side_ + look_gap); }
  std::int64_t top(std::int64_t row) const {
    return look_gap + look_title + row * (side_ + look_gap + look_title);
  }
  void title(std::int64_t column, std::int64_t row, std::string_view text) {
    const auto letters = static_cast<std::size_t>(side_ / Picture::text_width("x", 2));
    picture_.text(left(column), top(row) - look_title + 4, text.substr(0, letters),
                  {230, 234, 240});
  }
  /// Fills a tile: colour(y, x) with shares of height and width.
  template <class Paint> void paint(std::int64_t column, std::int64_t row, Paint colour) {
    const auto n = static_cast<double>(side_);
    for (std::int64_t y = 0; y < side_; ++y)
      for (std::int64_t x = 0; x < side_; ++x)
        picture_.set(
            left(column) + x, top(row) + y,
            colour((static_cast<double>(y) + 0.5) / n, (static_cast<double>(x) + 0.5) / n));
  }
  /// A ring about a point of a tile.
  void ring(std::int64_t column, std::int64_t row, const LookPoint& p, Colour c) {
    const auto n = static_cast<double>(side_);
    for (int degree = 0; degree < 720; ++degree)
      for (const double radius : {6.0, 7.0}) {
        const double angle = degree * 3.14159265358979 / 360;
        picture_.set(left(column) + std::lround(p.x * n + radius * std::cos(angle)),
                     top(row) + std::lround(p.y * n + radius * std::sin(angle)), c);
      }
  }
  const Picture& picture() const { return picture_; }

 private:
  std::int64_t side_;
  Picture picture_;
};

inline Colour grey_at(const BytePicture& p, double y, double x) {
  const auto at = [](double share, index_t n) {
    return std::clamp<index_t>(static_cast<index_t>(share * static_cast<double>(n)), 0, n - 1);
  };
  return grey_colour(
      p.levels[static_cast<std::size_t>(at(y, p.height) * p.width + at(x, p.width))] / 255.0);
}

/// A map (rows, columns) over the picture: blue is its lowest value, red its highest.
inline void paint_map(Tiles& tiles, std::int64_t column, std::int64_t row, const LookedAt& seen,
                      const Tensor<float, Cpu>& map, std::int64_t side) {
  const Tensor<float, Cpu> heat = heat_maps(map.reshape({1, seen.rows, seen.columns}).contiguous(),
                                            side, side);
  const float* values = heat.data();
  const auto [low, high] = std::minmax_element(values, values + heat.numel());
  const double from = *low, range = std::max(1e-12, static_cast<double>(*high) - from);
  tiles.paint(column, row, [&](double y, double x) {
    const auto n = static_cast<double>(side);
    const auto i = static_cast<std::int64_t>(y * n) * side + static_cast<std::int64_t>(x * n);
    return blend(grey_at(seen.grey, y, x), jet_colour((values[i] - from) / range), 0.45);
  });
}

}  // namespace detail

/// A row for each picture: itself, the mean of the heads, then up to `heads` of them.
HLIP_LAZY Picture draw_attention(const std::vector<LookedAt>& pictures, index_t heads = 5,
                                 std::int64_t side = 224) {
  index_t most = 0;
  for (const LookedAt& seen : pictures)
    most = std::max(most, std::min(heads, seen.attention.dim(0)));
  detail::Tiles tiles(2 + most, static_cast<std::int64_t>(pictures.size()), side);
  for (std::size_t r = 0; r < pictures.size(); ++r) {
    const LookedAt& seen = pictures[r];
    const auto row = static_cast<std::int64_t>(r);
    tiles.paint(0, row, [&](double y, double x) { return detail::grey_at(seen.grey, y, x); });
    tiles.title(0, row, seen.name);
    detail::paint_map(tiles, 1, row, seen, mean(seen.attention, {0}), side);
    tiles.title(1, row, "mean of heads");
    for (index_t h = 0; h < std::min(heads, seen.attention.dim(0)); ++h) {
      detail::paint_map(tiles, 2 + h, row, seen, seen.attention.select(0, h).contiguous(), side);
      tiles.title(2 + h, row, fmt::format("head {}", h));
    }
  }
  return tiles.picture();
}

/// Points of `a` and, for each, how similar every patch of `b` is; a ring marks the most similar.
/// @throws hlip::error for a point outside of the picture
HLIP_LAZY Picture draw_correspondence(const LookedAt& a, const LookedAt& b,
                                      const std::vector<LookPoint>& points,
                                      std::int64_t side = 224) {
  std::vector<std::int64_t> queries;
  for (const LookPoint& p : points)
    queries.push_back(patch_at(p.y * static_cast<double>(a.rows),
                               p.x * static_cast<double>(a.columns), 1, a.rows, a.columns));
  const auto index = Tensor<std::int64_t, Cpu>::from_values({static_cast<index_t>(queries.size())},
                                                            std::span<const std::int64_t>(queries));
  const Tensor<float, Cpu> maps = similarity_maps(a.patches, b.patches, index, b.rows, b.columns);
  const auto best = best_patches(maps);
  constexpr Colour mark{255, 255, 255};
  detail::Tiles tiles(static_cast<std::int64_t>(points.size()), 2, side);
  for (std::size_t q = 0; q < points.size(); ++q) {
    const auto column = static_cast<std::int64_t>(q);
    tiles.paint(column, 0, [&](double y, double x) { return detail::grey_at(a.grey, y, x); });
    tiles.ring(column, 0, points[q], {255, 64, 64});
    tiles.title(column, 0, fmt::format("{} {}", q + 1, a.name));
    detail::paint_map(tiles, column, 1, b, maps.select(0, column).contiguous(), side);
    const auto patch = best[q];
    const LookPoint found{
        (static_cast<double>(patch / b.columns) + 0.5) / static_cast<double>(b.rows),
        (static_cast<double>(patch % b.columns) + 0.5) / static_cast<double>(b.columns)};
    tiles.ring(column, 1, found, mark);
    tiles.title(column, 1, fmt::format("{} {}", q + 1, b.name));
  }
  return tiles.picture();
}

/// Every picture, and below it its patches, coloured red, green and blue by the three directions in
/// which the patches of all pictures differ most: the same colour means the same thing in all.
HLIP_LAZY Picture draw_components(const std::vector<LookedAt>& pictures, std::int64_t side = 224) {
  std::vector<double> values;
  index_t rows = 0;
  for (const LookedAt& seen : pictures) {
    const auto own = seen.patches.to_vector();
    values.insert(values.end(), own.begin(), own.end());
    rows += seen.patches.dim(0);
  }
  const index_t width = pictures.front().patches.dim(1), kept = std::min<index_t>(3, width);
  const PrincipalComponents pca = principal_components(values, rows, width, kept);
  // from the 2nd to the 98th percentile, so that one patch does not decide the colours of all
  std::array<double, 3> low{}, range{1, 1, 1};
  for (index_t k = 0; k < kept; ++k) {
    std::vector<double> sorted;
    for (index_t i = 0; i < rows; ++i)
      sorted.push_back(pca.scores[static_cast<std::size_t>(i * kept + k)]);
    std::sort(sorted.begin(), sorted.end());
    const auto at = [&](double share) {
      return sorted[static_cast<std::size_t>(share * static_cast<double>(rows - 1))];
    };
    low[static_cast<std::size_t>(k)] = at(0.02);
    range[static_cast<std::size_t>(k)] = std::max(1e-12, at(0.98) - at(0.02));
  }
  detail::Tiles tiles(static_cast<std::int64_t>(pictures.size()), 2, side);
  index_t first = 0;
  for (std::size_t p = 0; p < pictures.size(); ++p) {
    const LookedAt& seen = pictures[p];
    const auto column = static_cast<std::int64_t>(p);
    tiles.paint(column, 0, [&](double y, double x) { return detail::grey_at(seen.grey, y, x); });
    tiles.title(column, 0, seen.name);
    tiles.paint(column, 1, [&](double y, double x) {
      const auto r = static_cast<index_t>(y * static_cast<double>(seen.rows)),
                 c = static_cast<index_t>(x * static_cast<double>(seen.columns));
      std::array<std::uint8_t, 3> rgb{};
      for (index_t k = 0; k < kept; ++k) {
        const auto at = static_cast<std::size_t>(k);
        const double score =
            pca.scores[static_cast<std::size_t>((first + r * seen.columns + c) * kept + k)];
        rgb[at] = static_cast<std::uint8_t>(
            std::lround(255 * std::clamp((score - low[at]) / range[at], 0.0, 1.0)));
      }
      return Colour{rgb[0], rgb[1], rgb[2]};
    });
    tiles.title(column, 1, "components");
    first += seen.rows * seen.columns;
  }
  return tiles.picture();
}

HLIP_END
