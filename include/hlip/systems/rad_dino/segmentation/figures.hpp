// Masks over the picture they belong to: a row of panels, the picture alone and then one for every
// structure; below them what is true, where that is known.
#pragma once

#include <hlip/datasets/chest_xray/mask_structures.hpp>
#include <hlip/report/picture.hpp>
#include <hlip/systems/rad_dino/segmentation/samples.hpp>

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

namespace detail {

/// Colours of classes, told apart by most eyes. Source: Okabe and Ito 2008.
inline constexpr std::array<Colour, 7> mask_colours = {
    Colour{86, 180, 233}, {230, 159, 0}, {0, 158, 115},  {240, 228, 66},
    {0, 114, 178},        {213, 94, 0},  {204, 121, 167}};

/// One panel. @param inside called as inside(k, pixel) for class k of the structure
template <class Inside>
void draw_mask_panel(Picture& picture, std::int64_t left, std::int64_t top, std::int64_t zoom,
                     const BytePicture& grey, std::size_t classes, Inside inside) {
  for (index_t y = 0; y < grey.height; ++y)
    for (index_t x = 0; x < grey.width; ++x) {
      const auto pixel = static_cast<std::size_t>(y * grey.width + x);
      Colour c = grey_colour(grey.levels[pixel] / 255.0);
      for (std::size_t k = 0; k < classes; ++k)
        if (inside(k, pixel)) c = blend(c, mask_colours[k % mask_colours.size()], 0.45);
      picture.fill(left + x * zoom, top + y * zoom, zoom, zoom, c);
    }
}

}  // namespace detail

/// Draws what a segmenter marked in a picture. @param logits (classes, S, S)
HLIP_LAZY Picture draw_masks(const MaskedPicture& x, std::span<const float> logits,
                             const std::vector<MaskStructure>& structures) {
  constexpr std::int64_t gap = 8, title = 24, least_side = 256;
  const std::int64_t zoom = std::max<std::int64_t>(1, least_side / x.grey.width),
                     side = zoom * x.grey.width;
  const bool truth = std::any_of(x.masks.known.begin(), x.masks.known.end(),
                                 [](char known) { return known != 0; });
  const auto columns = static_cast<std::int64_t>(structures.size()) + 1;
  Picture picture(gap + columns * (side + gap), gap + (truth ? 2 : 1) * (title + side + gap),
                  {24, 28, 34});
  constexpr Colour ink{230, 234, 240};
  const auto letters = static_cast<std::size_t>(side / Picture::text_width("x", 2));
  const std::size_t pixels = x.grey.plane_size();
  for (int row = 0; row < (truth ? 2 : 1); ++row) {
    const std::int64_t top = gap + title + row * (title + side + gap);
    picture.text(gap, top - title + 5, row == 0 ? "picture" : "as in the file", ink);
    detail::draw_mask_panel(picture, gap, top, zoom, x.grey, 0,
                            [](std::size_t, std::size_t) { return false; });
    std::size_t first = 0;
    for (std::size_t s = 0; s < structures.size(); ++s) {
      const std::int64_t left = gap + static_cast<std::int64_t>(s + 1) * (side + gap);
      picture.text(
          left, top - title + 5,
          (row == 0 ? structures[s].name : structures[s].name + ", true").substr(0, letters), ink);
      detail::draw_mask_panel(picture, left, top, zoom, x.grey, structures[s].classes(),
                              [&](std::size_t k, std::size_t pixel) {
                                const std::size_t at = (first + k) * pixels + pixel;
                                return row == 0 ? logits[at] > 0 : x.masks.levels[at] != 0;
                              });
      first += structures[s].classes();
    }
  }
  return picture;
}

HLIP_END
