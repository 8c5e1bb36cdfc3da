// The healthy chest as rays see it: the chest CT's bodies, and what a radiograph shows besides them
// - shoulders, breasts, ribs, clavicles - in paint order. All numbers are mm and HU.
#pragma once

#include <hlip/phantoms/parts/anatomy.hpp>
#include <hlip/phantoms/parts/projection.hpp>

#include <numbers>

HLIP_BEGIN

namespace detail {

/// What sex, age and size make of a body.
struct RadiographBody {
  bool female = false;
  float size = 1;
  float years = 0;  ///< 0 at the age of 20, 1 at 90
  float half_width = 148, half_depth = 104, fat = 12;
  float rib_radius = 6, rib_drop = 60, rib_spacing = 21, rib_top = 96, bone = 1;
  float heart_size = 1;  ///< without a finding
  float aorta_radius = 13, breast = 0;
};

/// A radiograph in the making. Its members are those that PhantomScene has for the painters that
/// both share.
struct RadiographScene {
  RadiographScene(index_t pixels, const ProjectionPose& pose) : canvas(pixels, pose) {}

  ProjectionCanvas<> canvas;
  bool lateral = false;
  RadiographBody body;
  float size = 1, breath = 0, diaphragm = 0;
  float flat = 0;  ///< how much the diaphragm has lost of its dome, 0 … 1
  std::array<float, 2> lift{};
  PatientPoint heart{};
  std::array<PatientPoint, 7> aorta{};
  float aorta_radius = 0;
  /// 255 where a ray meets a lung and neither heart nor diaphragm (of a lateral picture: a lung);
  /// right and left
  std::array<std::vector<std::uint8_t>, 2> field;
  std::vector<std::uint8_t> ribs;

  /// the lungs' horizontal sections, below their domes
  std::array<RayEllipse, 2> section;

  /// The millimetres that CT bodies keep from a lung's surface make no difference to a projection.
  ProjectionMask in_lung(int side, float) const { return {side}; }
  /// Has no label map.
  void mark_as(PhantomStructure) {}
};

/// Draws a body of given sex, size and age.
HLIP_LAZY RadiographBody draw_body(RandomStream& random, bool female, float size, float age) {
  RadiographBody b;
  b.female = female, b.size = size, b.years = (age - 20) / 70;
  b.half_width = 148 * size * (female ? 0.965f : 1.02f) * draw(random, 0.98, 1.02);
  b.half_depth = 104 * size * (0.95f + 0.12f * b.years) * draw(random, 0.95, 1.04);
  b.fat = draw(random, 6, 18);
  b.rib_radius = draw(random, 5, 6.2) * size;
  b.rib_drop = (46 + 34 * b.years) * size * draw(random, 0.9, 1.1);
  b.rib_spacing = draw(random, 20, 22.5) * size;
  b.rib_top = draw(random, 92, 100) * size;
  b.bone = (1.15f - 0.4f * b.years) * draw(random, 0.9, 1.1);
  b.heart_size = draw(random, 0.86, 0.98) + 0.14f * b.years;
  b.aorta_radius = (11 + 6 * b.years) * size * draw(random, 0.9, 1.1);
  b.breast = female ? draw(random, 0.6, 1.25) : draw(random, 0, 0.15);
  return b;
}

/// Width of the trunk at a height, relative to the chest: it narrows to the neck and the waist.
inline float trunk_scale(float z, float size) {
  if (z < 0) return 1 + 0.0005f * std::max(z / size, -180.f);
  const float up = std::clamp((z / size - 100) / 66, 0.f, 1.f);
  return 1 - 0.6f * up * up * (3 - 2 * up);
}

/// The two ellipses of the chest wall, and how its layers scale them.
struct ChestWall {
  RayEllipse section;
  float mean = 1;
  ChestWall(const RadiographScene& s)
      : section(s.canvas.ray(), 0, 0, s.body.half_width, s.body.half_depth),
        mean(0.5f * (s.body.half_width + s.body.half_depth)) {}
  /// Inside of `depth` mm under the skin, where the trunk is scaled by `scale`.
  RaySpan at(float ray, float scale, float depth) const {
    const float k = std::max(scale - depth / mean, 0.f);
    return section.at(ray, k * k);
  }
};

/// Skin and fat, muscle and all that is soft; shoulders and breasts outside of the trunk.
HLIP_LAZY void paint_trunk(RadiographScene& s) {
  auto& c = s.canvas;
  const RadiographBody& b = s.body;
  const ChestWall wall(s);
  const float soft = attenuation(soft_tissue_hu), fat = attenuation(-100);
  c.each([&](float ray, float z, std::size_t at) {
    const float scale = trunk_scale(z, b.size), whole = wall.at(ray, scale, 0).length(),
                muscle = wall.at(ray, scale, b.fat).length();
    c.sum[at] = fat * (whole - muscle) + soft * muscle;
  });
  const auto outside = [&](PatientPoint at_mm, PatientPoint r, float hu) {
    const RayEllipse section(c.ray(), at_mm.x, at_mm.y, r.x, r.y);
    c.each(section.centre() - section.reach(), section.centre() + section.reach(), at_mm.z - r.z,
           at_mm.z + r.z, [&](float ray, float z, std::size_t at) {
             const float up = (z - at_mm.z) / r.z;
             const RaySpan span = section.at(ray, 1 - up * up);
             const float hidden = overlap(span, wall.at(ray, trunk_scale(z, b.size), 0)).length();
             c.sum[at] += attenuation(hu) * (span.length() - hidden);
           });
  };
  for (const float side : side_sign) {
    if (!s.lateral)
      outside({side * 150 * b.size, 10, 88 * b.size},
              PatientPoint{70, 60, b.female ? 52.f : 58.f} * b.size, 30);
    if (b.breast > 0.02f)
      outside({side * 64 * b.size, -0.72f * b.half_depth, -38 * b.size},
              PatientPoint{56, 48, 54} * (b.size * std::sqrt(b.breast)), -60);
  }
}

/// Both lungs above their diaphragm. They are lungs of the chest CT, whose medial surface gives way
/// to the great vessels.
HLIP_LAZY void paint_lungs(RadiographScene& s, RandomStream& random) {
  auto& c = s.canvas;
  const ChestWall wall(s);
  using L = LungShape;
  using D = DiaphragmShape;
  const float size = s.size, rise = D::height * (1 - 0.6f * s.flat);
  for (std::size_t side = 0; side < 2; ++side) {
    const float sign = side_sign[side], width = L::half_width * size * draw(random, 0.97, 1.05),
                depth = L::half_depth * s.body.half_depth / 104 * draw(random, 0.98, 1.03);
    const RayEllipse lung(c.ray(), sign * L::centre_x * size, L::centre_y, width * 1.12f, depth),
        dome(c.ray(), sign * L::centre_x * size, D::centre_y, D::half_width * size,
             D::half_depth * size);
    s.section[side] = lung;
    const float foot = s.diaphragm + s.lift[side] - D::foot;
    const float slope = -sign * c.ray().s, across = sign * c.ray().c;  // of sign·x along the ray
    auto& field = s.field[side];
    c.each(lung.centre() - lung.reach(), lung.centre() + lung.reach(), foot,
           (L::shoulder + L::dome) * size, [&](float ray, float z, std::size_t at) {
             if (z <= foot) return;
             const float top = std::max(z - L::shoulder * size, 0.f) / (L::dome * size);
             RaySpan span = overlap(lung.at(ray, 1 - top * top), wall.at(ray, 1, s.body.fat + 16));
             const float hilum = (z / size - 8) / 26;
             const float medial = size * (L::medial - 5 + 5 * std::exp(-hilum * hilum) + 3 * top) -
                                  across * ray;
             if (slope > 1e-4f) span.from = std::max(span.from, medial / slope);
             else if (slope < -1e-4f) span.to = std::min(span.to, medial / slope);
             else if (medial > 0) return;
             if (span.length() <= 0) return;
             LungSpans spans(span);
             float below = 0;
             if (z < foot + rise) below = spans.cut(dome.at(ray, -std::log((z - foot) / rise)));
             c.lung[side][at] = spans;
             const float length = spans.length();
             c.sum[at] += (c.lung_attenuation(side) - attenuation(soft_tissue_hu)) * length;
             if (length > 4 && (s.lateral || below <= 0)) field[at] = 255;
           });
  }
  c.ellipsoid({62 * size, -28, s.diaphragm - 34 + s.lift[1]}, {30, 28, 16},
              draw(random, -900, -600));
}

/// Heart with its apex and the roots of the great vessels, aorta, airways and hila.
/// @param heart_size relative to a normal heart; @param to_left how far its centre moves
HLIP_LAZY void paint_mediastinum(RadiographScene& s, RandomStream& random, float heart_size,
                                 float to_left) {
  auto& c = s.canvas;
  const float size = s.size;
  s.heart = heart_centre(size, s.diaphragm, to_left, draw_about(random, 4));
  const PatientPoint r = heart_half_axes(heart_size * size) +
                         PatientPoint{1, 1, 1} * draw(random, 3, 6);
  const PatientPoint apex = s.heart + PatientPoint{0.42f * r.x, -4, -0.32f * r.z};
  const auto body = [&](PatientPoint at_mm, PatientPoint half) {
    c.ellipsoid(at_mm, half, 45);
    if (s.lateral) return;
    const RayEllipse section(c.ray(), at_mm.x, at_mm.y, half.x, half.y);
    c.each(section.centre() - section.reach(), section.centre() + section.reach(), at_mm.z - half.z,
           at_mm.z + half.z, [&](float ray, float z, std::size_t at) {
             const float up = (z - at_mm.z) / half.z;
             if (section.at(ray, 1 - up * up).length() > 0) s.field[0][at] = s.field[1][at] = 0;
           });
  };
  body(s.heart, r);
  body(apex, {0.78f * r.x, 0.8f * r.y, 0.68f * r.z});
  c.tube(s.heart + PatientPoint{-26 * size, 4, 10}, {-17 * size, 4, 66 * size}, 17 * size,
         12 * size,
         45);  // upper vena cava
  c.tube(s.heart + PatientPoint{10, 0, 20}, {24 * size, 4, 20 * size}, 24 * size, 15 * size,
         45);  // pulmonary trunk
  paint_aorta(s, random);
  paint_airways(s);
  for (const float side : side_sign)
    c.ellipsoid({side * 36 * size, 8, 4 * size + side * 3}, PatientPoint{11, 16, 17} * size, 30,
                ProjectionMask{side < 0 ? 0 : 1}, 0.5f);
}

/// The finer branches of the lungs' vessels.
HLIP_LAZY void paint_branches(RadiographScene& s, RandomStream& random) {
  for (int side = 0; side < 2; ++side)
    for (int k = 0; k < 26; ++k) {
      const float out = draw(random, 0.35, 0.95), angle = draw(random, -1.25, 1.25),
                  back = draw(random, -55, 60), turn = angle + draw_about(random, 0.35);
      const float sign = side_sign[static_cast<std::size_t>(side)], reach = draw(random, 12, 30);
      const PatientPoint from{sign * (34 + 62 * out * std::cos(angle)), back,
                              6 + 88 * out * std::sin(angle)};
      const PatientPoint to = from + PatientPoint{sign * reach * std::cos(turn),
                                                  draw_about(random, 8), reach * std::sin(turn)};
      s.canvas.tube(from * s.size, to * s.size, 2.4f - out, 0.7f, 20, s.in_lung(side, 1));
    }
}

/// Spine with discs, and the sternum.
HLIP_LAZY void paint_spine(RadiographScene& s, RandomStream& random) {
  auto& c = s.canvas;
  const float size = s.size, bone = s.body.bone, y = (68 + 12 * s.body.years) * size;
  const RayEllipse shell(c.ray(), 0, y, 20.4f, 17), core(c.ray(), 0, y, 15.6f, 13),
      process(c.ray(), 0, y + 24, 4, 9),
      sternum(c.ray(), 0, 10 - s.body.half_depth + s.body.fat, 17, 6);
  const float phase = draw(random, 0, 26), shell_mu = water_attenuation * 0.4f * bone,
              core_mu = water_attenuation * 0.24f * bone, disc_mu = water_attenuation * 0.05f;
  c.each(-200, 200, -400, 400, [&](float ray, float z, std::size_t at) {
    const float whole = shell.at(ray).length(), inner = core.at(ray).length();
    const float disc = std::clamp((4 - from_whole((z + phase) / 26) * 26) / c.pixel() + 0.5f, 0.f,
                                  1.f);
    c.sum[at] += (1 - disc) * (shell_mu * (whole - inner) + core_mu * inner) +
                 disc * disc_mu * whole;
    c.sum[at] += process.at(ray).length() * core_mu;
    if (z > -45 * size && z < 82 * size)
      c.sum[at] += sternum.at(ray).length() * water_attenuation * 0.2f * bone;
  });
}

/// Ten pairs of ribs that fall from the spine to the front, and the clavicles.
HLIP_LAZY void paint_bones(RadiographScene& s) {
  auto& c = s.canvas;
  const RadiographBody& b = s.body;
  const float mean = 0.5f * (b.half_width + b.half_depth), pi = std::numbers::pi_v<float>;
  const float inside = 1 - (b.fat + 9) / mean;
  const ProjectionStroke rib{b.rib_radius, 0.4f, 350, 1500 * b.bone};
  std::array<PatientPoint, 9> line{};
  for (int k = 0; k < 10; ++k) {
    // the upper ribs lie on the dome of the lungs
    const float up = static_cast<float>(k), narrow = k > 3 ? 1 : 0.58f + 0.3f * std::sqrt(up / 2);
    const float scale = inside * std::min(narrow, 1.f), back = b.rib_top - b.rib_spacing * up,
                drop = b.rib_drop * std::min(0.55f + 0.12f * up, 1.f);
    const float ends[3] = {0.09f * pi, 0.52f * pi, (k < 6 ? 0.84f : 0.9f - 0.035f * up) * pi};
    for (const float sign : side_sign)
      for (int half = 0; half < 2; ++half) {
        for (std::size_t p = 0; p < line.size(); ++p) {
          const float angle = ends[half] +
                              (ends[half + 1] - ends[half]) * static_cast<float>(p) / 8;
          line[p] = {sign * b.half_width * scale * std::sin(angle),
                     b.half_depth * scale * std::cos(angle),
                     back - drop * angle / pi * (0.55f + 0.45f * angle / pi) +
                         7 * b.size * std::sin(2 * angle)};
        }
        c.stroke(line, rib, s.ribs);
      }
  }
  if (s.lateral) return;
  const ProjectionStroke clavicle{6.5f * b.size, 0.4f, 500, 1900 * b.bone};
  for (const float sign : side_sign) {
    for (std::size_t p = 0; p < line.size(); ++p) {
      const float along = static_cast<float>(p) / 8;
      line[p] = PatientPoint{sign * (13 + 132 * along), -60 + 40 * along,
                             80 + 16 * along + 6 * std::sin(2 * pi * along)} *
                b.size;
    }
    c.stroke(line, clavicle);
    // head of the humerus, and the blade's edge
    c.ellipsoid({sign * 158 * b.size, 5, 76 * b.size}, PatientPoint{22, 22, 24} * b.size,
                230 * b.bone);
    const std::array<PatientPoint, 3> blade{PatientPoint{sign * 132, 70, 82} * b.size,
                                            PatientPoint{sign * 112, 84, 40} * b.size,
                                            PatientPoint{sign * 118, 80, -8} * b.size};
    c.stroke(blade, {4 * b.size, 0, 0, 330 * b.bone});
  }
}

}  // namespace detail

HLIP_END
