// The findings that are drawn for a radiograph alone: fluid that has settled, an air rim, a tube.
// All others are those of parts/findings.hpp.
#pragma once

#include <hlip/phantoms/parts/findings.hpp>
#include <hlip/phantoms/parts/radiograph_anatomy.hpp>

HLIP_BEGIN

namespace detail {

/// Fluid above the diaphragm, whose surface rises at the walls.
HLIP_LAZY PhantomFindingNote paint_settled_effusion(RadiographScene& s, RandomStream& random) {
  PhantomFindingNote note;
  note.side = side_names[static_cast<std::size_t>(random.below(3))];
  const float depth = draw(random, 20, 62);
  note.size = depth < 32 ? "minimal" : depth < 48 ? "moderate" : "massive";
  auto& c = s.canvas;
  for (int side = 0; side < 2; ++side) {
    if (!on_side(note.side, side)) continue;
    const auto at_side = static_cast<std::size_t>(side);
    const float level = s.diaphragm + s.lift[at_side] - DiaphragmShape::foot +
                        1.7f * (depth * draw(random, 0.9, 1.1) - 12),
                meniscus = draw(random, 22, 40), mu = attenuation(draw(random, 2, 18));
    const RayEllipse& lung = s.section[at_side];
    const float reach = lung.reach();
    c.each(lung.centre() - reach, lung.centre() + reach, -300, level + meniscus,
           [&](float ray, float z, std::size_t at) {
             if (z >= level + meniscus) return;
             const float free = std::max((z - level) / meniscus, 0.f);
             const float fluid = c.lung[at_side][at].keep(lung.at(ray, free));
             c.sum[at] += (mu - c.lung_attenuation(at_side)) * fluid;
           });
  }
  return note;
}

/// The part of an air rim that shapes the lung: side, width in mm, and a denser lung.
HLIP_LAZY PhantomFindingNote plan_air_rim(RadiographScene& s, RandomStream& random) {
  PhantomFindingNote note;
  const auto side = static_cast<std::size_t>(random.below(2));
  note.side = side_names[side];
  note.mm = static_cast<int>(std::lround(draw(random, 9, 36)));
  note.size = note.mm < 16 ? "small" : note.mm < 27 ? "moderate" : "large";
  s.canvas.lung_change[side] = 3.f * static_cast<float>(note.mm);
  return note;
}

/// Air between the chest wall and the lung, most of it at the apex, and the pleura as a fine line.
/// @param rim 255 where a ray meets nothing of the lung but air beside it
HLIP_LAZY void paint_air_rim(RadiographScene& s, RandomStream& random,
                             const PhantomFindingNote& note, std::vector<std::uint8_t>& rim) {
  auto& c = s.canvas;
  const std::size_t side = note.side == side_names[0] ? 0 : 1;
  const ChestWall wall(s);
  const RayEllipse& lung = s.section[side];
  const float width = static_cast<float>(note.mm), pleura = draw(random, 1.2, 2.2),
              fade = draw(random, 60, 130), air = attenuation(-1000),
              own = c.lung_attenuation(side), size = s.size;
  using L = LungShape;
  const float apex = (L::shoulder + L::dome) * size;
  c.each(lung.centre() - lung.reach(), lung.centre() + lung.reach(), -300, apex,
         [&](float ray, float z, std::size_t at) {
           LungSpans& spans = c.lung[side][at];
           const float here = width * std::clamp(1 - (0.55f * apex - z) / fade, 0.f, 1.f),
                       before = spans.length();
           if (here <= 0 || before <= 0) return;
           // the lung that is left, `in` mm below its surface
           const auto left = [&](float in) {
             const float top = std::max(z - L::shoulder * size, 0.f) /
                               (L::dome * size - 1.3f * width - in);
             return overlap(lung.at(ray, 1 - top * top),
                            wall.at(ray, 1, s.body.fat + 16 + here + in));
           };
           c.sum[at] += (air - own) * spans.keep(left(0));
           const float kept = spans.length(), shell = kept - spans.length(left(pleura));
           c.sum[at] += (attenuation(soft_tissue_hu) - own) * shell;
           if (kept <= 0 && before > 4) rim[at] = 255;
         });
}

/// Points of a curve from p to r that leaves towards q. Source: a quadratic Bézier curve.
inline std::array<PatientPoint, 13> bent_line(PatientPoint p, PatientPoint q, PatientPoint r) {
  std::array<PatientPoint, 13> line{};
  for (std::size_t k = 0; k < line.size(); ++k) {
    const float f = static_cast<float>(k) / 12, g = 1 - f;
    line[k] = p * (g * g) + q * (2 * f * g) + r * (f * f);
  }
  return line;
}

/// One tube or catheter of four kinds; `size` of the note is its name.
HLIP_LAZY PhantomFindingNote paint_tube(RadiographScene& s, RandomStream& random,
                                        std::vector<std::uint8_t>& tube) {
  PhantomFindingNote note;
  const float size = s.size, sign = random.chance(0.7) ? -1.f : 1.f;
  const auto about = [&](PatientPoint p, double mm) {
    const float x = draw_about(random, mm), y = draw_about(random, mm);
    return p * size + PatientPoint{x, y, draw_about(random, mm)};
  };
  const auto line = [&](PatientPoint p, PatientPoint q, PatientPoint r,
                        const ProjectionStroke& how) {
    s.canvas.stroke(bent_line(p, q, r), how, tube);
  };
  const float dense = draw(random, 5000, 9000);
  switch (random.below(4)) {
    case 0:
      note.size = "endotracheal tube";
      line(about({0, 2, 190}, 6), about({0, 8, 130}, 5), about({0, 13, 52}, 6),
           {4.2f, 0.3f, -1000, 0.5f * dense});
      break;
    case 1: {
      note.size = "nasogastric tube";
      const ProjectionStroke how{2.2f, 0, 0, 0.6f * dense};
      const PatientPoint hiatus = about({8, 50, -88}, 5);
      line(about({0, 25, 190}, 5), about({4, 52, 60}, 8), hiatus, how);
      line(hiatus, about({20, 30, -125}, 8), about({64, -20, -140}, 14), how);
      break;
    }
    case 2: {
      note.size = "central venous catheter";
      note.side = sign < 0 ? "right" : "left";
      const ProjectionStroke how{1.5f, 0, 0, dense};
      const PatientPoint bend = about({sign < 0 ? -24.f : -4.f, -18, 84}, 7);
      if (random.chance(0.5))
        line(about({sign * 36, 0, 185}, 8), about({sign * 34, -10, 110}, 8), bend, how);
      else line(about({sign * 112, -45, 96}, 10), about({sign * 60, -40, 112}, 8), bend, how);
      line(bend, about({-19, -14, 62}, 5), about({-17, -12, 22}, 12), how);
      break;
    }
    default: {
      note.size = "chest drain";
      note.side = sign < 0 ? "right" : "left";
      line(about({sign * 150, 10, -50}, 18), about({sign * 96, 20, -20}, 14),
           about({sign * 84, 0, 62}, 16), {4.5f, 0.3f, 0, 0.5f * dense});
    }
  }
  return note;
}

}  // namespace detail

HLIP_END
