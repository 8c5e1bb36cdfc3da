// What an encoder sees in radiographs, as pictures: where the class token of the last block looks,
// which patches of one picture are like those of another, and patches coloured by what they have in
// common. Source: reference document RAD-DINO §9.
#pragma once

#include <hlip/eval/patch_correspondence.hpp>
#include <hlip/eval/pca.hpp>
#include <hlip/imaging/augment/resized_crop.hpp>
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

/// Encodes one picture to look at. @throws hlip::error naming it when what comes out is not finite,
/// and for pictures of so many patches that attention among all of them does not fit into 2 GiB
template <class B>
LookedAt look_at(const PictureEncoder<B>& encoder, const Radiograph& picture, std::string name) {
  NoGrad guard;
  LookedAt seen;
  seen.name = std::move(name);
  seen.grey = centre_of_radiograph(picture, encoder.preparation);
  const VitConfig& c = encoder.vit.config;
  const auto across = static_cast<double>(encoder.preparation.crop / c.patch_size);
  if (const double numbers = static_cast<double>(c.num_heads) * std::pow(across, 4);
      numbers > 1 << 29)
    fail_file(seen.name, "", "attention of {} heads among {} patches takes {:.3g} GiB, expected 2",
              c.num_heads, across * across, numbers / (1 << 28));
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
  for (const Tensor<float, Cpu>* map : {&seen.attention, &seen.patches})
    for (const float x : map->to_vector())
      if (!std::isfinite(x))
        fail_file(seen.name, "", "a feature is {} (hint: the weights of {} may be damaged)",
                  static_cast<double>(x), encoder.name);
  return seen;
}

namespace detail {

inline constexpr std::int64_t look_gap = 8, look_title = 24, look_side = 264, look_columns = 4;

/// A text of at most so many letters: the middle goes first, since names differ at their ends.
inline std::string short_title(const std::string& text, std::size_t letters) {
  if (text.size() <= letters || letters < 8) return text.substr(0, letters);
  const std::size_t kept = letters - 2, end = kept / 2;
  return text.substr(0, kept - end) + ".." + text.substr(text.size() - end);
}

/// A canvas of square tiles, four in a row, with a title above each. A group of tiles begins a row.
class Tiles {
 public:
  /// @param groups numbers of tiles, of one group after the other
  explicit Tiles(const std::vector<std::int64_t>& groups)
      : picture_(width(groups), height(groups), {24, 28, 34}) {}

  /// Goes to the next tile, or to the first of the next group.
  void next(const std::string& title, bool new_group = false) {
    if (column_ >= 0 && (new_group || column_ + 1 == look_columns)) ++row_, column_ = -1;
    ++column_;
    const auto letters = static_cast<std::size_t>(look_side / Picture::text_width("x", 2)) - 1;
    picture_.text(left(), top() - look_title + 5, short_title(title, letters), {230, 234, 240});
  }
  /// Fills the tile: colour(y, x) of its pixels.
  template <class Paint> void paint(Paint colour) {
    for (std::int64_t y = 0; y < look_side; ++y)
      for (std::int64_t x = 0; x < look_side; ++x)
        picture_.set(left() + x, top() + y, colour(y, x));
  }
  /// A ring about a point of the tile, with a dark edge, to be seen on any colour.
  void ring(const LookPoint& p, Colour c) {
    constexpr auto n = static_cast<double>(look_side);
    for (std::int64_t y = 0; y < look_side; ++y)
      for (std::int64_t x = 0; x < look_side; ++x) {
        const double from = std::hypot(static_cast<double>(x) + 0.5 - p.x * n,
                                       static_cast<double>(y) + 0.5 - p.y * n);
        if (from > 5.5 && from < 11)
          picture_.set(left() + x, top() + y, from > 6.8 && from < 9.7 ? c : Colour{16, 16, 16});
      }
  }
  const Picture& picture() const { return picture_; }

 private:
  static std::int64_t width(const std::vector<std::int64_t>& groups) {
    const std::int64_t most = *std::max_element(groups.begin(), groups.end());
    return std::min(most, look_columns) * (look_side + look_gap) + look_gap;
  }
  static std::int64_t height(const std::vector<std::int64_t>& groups) {
    std::int64_t rows = 0;
    for (const std::int64_t n : groups) rows += (n + look_columns - 1) / look_columns;
    return rows * (look_side + look_gap + look_title) + look_gap;
  }
  std::int64_t left() const { return look_gap + column_ * (look_side + look_gap); }
  std::int64_t top() const {
    return look_gap + look_title + row_ * (look_side + look_gap + look_title);
  }

  Picture picture_;
  std::int64_t row_ = 0, column_ = -1;
};

/// The picture at the size of a tile.
inline BytePicture tile_of(const LookedAt& seen) {
  const BytePicture& p = seen.grey;
  return resized_crop(p, {0, 0, p.height, p.width}, look_side, look_side);
}
inline Colour grey_at(const BytePicture& tile, std::int64_t y, std::int64_t x) {
  return grey_colour(tile.levels[static_cast<std::size_t>(y * look_side + x)] / 255.0);
}
inline void paint_grey(Tiles& tiles, const LookedAt& seen) {
  const BytePicture tile = tile_of(seen);
  tiles.paint([&](std::int64_t y, std::int64_t x) { return grey_at(tile, y, x); });
}

/// A map (rows, columns) over the picture: blue is its lowest value, red its highest.
inline void paint_map(Tiles& tiles, const LookedAt& seen, const Tensor<float, Cpu>& map) {
  const BytePicture tile = tile_of(seen);
  const Tensor<float, Cpu> heat = heat_maps(map.reshape({1, seen.rows, seen.columns}).contiguous(),
                                            look_side, look_side);
  const float* values = heat.data();
  const auto [low, high] = std::minmax_element(values, values + heat.numel());
  const double from = *low, range = std::max(1e-12, static_cast<double>(*high) - from);
  tiles.paint([&](std::int64_t y, std::int64_t x) {
    return blend(grey_at(tile, y, x), jet_colour((values[y * look_side + x] - from) / range), 0.45);
  });
}

}  // namespace detail

/// Every picture, then the mean of the heads and up to `heads` of them.
HLIP_LAZY Picture draw_attention(const std::vector<LookedAt>& pictures, index_t heads = 6) {
  const auto shown = [&](const LookedAt& seen) { return std::min(heads, seen.attention.dim(0)); };
  std::vector<std::int64_t> groups;
  for (const LookedAt& seen : pictures) groups.push_back(2 + shown(seen));
  detail::Tiles tiles(groups);
  for (const LookedAt& seen : pictures) {
    tiles.next(seen.name, true);
    detail::paint_grey(tiles, seen);
    tiles.next("mean of heads");
    detail::paint_map(tiles, seen, mean(seen.attention, {0}));
    for (index_t h = 0; h < shown(seen); ++h) {
      tiles.next(fmt::format("head {}", h));
      detail::paint_map(tiles, seen, seen.attention.select(0, h).contiguous());
    }
  }
  return tiles.picture();
}

/// Points of `a` and, for each, how similar every patch of `b` is; a ring marks the most similar.
/// @throws hlip::error for a point outside of the picture
HLIP_LAZY Picture draw_correspondence(const LookedAt& a, const LookedAt& b,
                                      const std::vector<LookPoint>& points) {
  std::vector<std::int64_t> queries, groups;
  // the far edge belongs to the last patch
  const auto place = [](double share, index_t n) {
    return share == 1 ? static_cast<double>(n) - 0.5 : share * static_cast<double>(n);
  };
  for (const LookPoint& p : points)
    queries.push_back(patch_at(place(p.y, a.rows), place(p.x, a.columns), 1, a.rows, a.columns));
  const auto index = Tensor<std::int64_t, Cpu>::from_values({static_cast<index_t>(queries.size())},
                                                            std::span<const std::int64_t>(queries));
  const Tensor<float, Cpu> maps = similarity_maps(a.patches, b.patches, index, b.rows, b.columns);
  const auto best = best_patches(maps);
  constexpr auto columns = static_cast<std::size_t>(detail::look_columns);
  for (std::size_t q = 0; q < points.size(); q += columns)
    groups.insert(groups.end(), 2, static_cast<std::int64_t>(std::min(columns, points.size() - q)));
  detail::Tiles tiles(groups);
  for (std::size_t from = 0; from < points.size(); from += columns) {
    const std::size_t to = std::min(points.size(), from + columns);
    for (std::size_t q = from; q < to; ++q) {
      tiles.next(fmt::format("point {}", q + 1), q == from);
      detail::paint_grey(tiles, a);
      tiles.ring(points[q], {255, 80, 80});
    }
    for (std::size_t q = from; q < to; ++q) {
      const index_t row = best[q] / b.columns, column = best[q] % b.columns;
      const auto at = static_cast<index_t>(q);
      const auto middle = [](index_t i, index_t n) {
        return (static_cast<double>(i) + 0.5) / static_cast<double>(n);
      };
      tiles.next(fmt::format("point {}: best {:.2f}", q + 1, maps.at({at, row, column})),
                 q == from);
      detail::paint_map(tiles, b, maps.select(0, at).contiguous());
      tiles.ring({middle(row, b.rows), middle(column, b.columns)}, {255, 255, 255});
    }
  }
  return tiles.picture();
}

namespace detail {

/// Red, green and blue of every patch of all pictures, in their order.
inline std::vector<Colour> component_colours(const std::vector<LookedAt>& pictures) {
  std::vector<double> values;
  index_t rows = 0;
  for (const LookedAt& seen : pictures) {
    const auto own = seen.patches.to_vector();
    values.insert(values.end(), own.begin(), own.end());
    rows += seen.patches.dim(0);
  }
  const index_t width = pictures.front().patches.dim(1), kept = std::min<index_t>(3, width);
  const PrincipalComponents pca = principal_components(values, rows, width, kept);
  std::vector<std::array<std::uint8_t, 3>> shares(static_cast<std::size_t>(rows));
  for (index_t k = 0; k < kept; ++k) {
    std::vector<double> scores;
    for (index_t i = 0; i < rows; ++i)
      scores.push_back(pca.scores[static_cast<std::size_t>(i * kept + k)]);
    std::vector<double> sorted = scores;
    std::sort(sorted.begin(), sorted.end());
    // from the 2nd to the 98th percentile, so that one patch does not decide the colours of all
    const auto at = [&](double share) {
      return sorted[static_cast<std::size_t>(share * static_cast<double>(rows - 1))];
    };
    const double low = at(0.02), range = std::max(1e-12, at(0.98) - low);
    for (std::size_t i = 0; i < scores.size(); ++i)
      shares[i][static_cast<std::size_t>(k)] = static_cast<std::uint8_t>(
          std::lround(255 * std::clamp((scores[i] - low) / range, 0.0, 1.0)));
  }
  std::vector<Colour> colours;
  for (const auto& [r, g, b] : shares) colours.push_back({r, g, b});
  return colours;
}

}  // namespace detail

/// Every picture beside its patches, coloured red, green and blue by the three directions in which
/// the patches of all pictures differ most: the same colour means the same thing in all.
HLIP_LAZY Picture draw_components(const std::vector<LookedAt>& pictures) {
  const std::vector<Colour> colours = detail::component_colours(pictures);
  detail::Tiles tiles({2 * static_cast<std::int64_t>(pictures.size())});
  std::size_t first = 0;
  for (const LookedAt& seen : pictures) {
    tiles.next(seen.name);
    detail::paint_grey(tiles, seen);
    tiles.next("its patches");
    tiles.paint([&](std::int64_t y, std::int64_t x) {
      const index_t row = y * seen.rows / detail::look_side,
                    column = x * seen.columns / detail::look_side;
      return colours[first + static_cast<std::size_t>(row * seen.columns + column)];
    });
    first += static_cast<std::size_t>(seen.rows * seen.columns);
  }
  return tiles.picture();
}

HLIP_END
