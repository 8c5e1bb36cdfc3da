// The healthy part of a phantom: chest wall, lungs, vessels, mediastinum, spine, heart and aorta,
// in paint order. All numbers are mm and HU; `size` scales the body. What is made of tubes and
// spheres alone is a template of the scene: a voxel grid here, rays through the body in a
// radiograph.
#pragma once

#include <hlip/phantoms/parts/canvas.hpp>
#include <hlip/phantoms/parts/noise.hpp>

#include <numbers>

HLIP_BEGIN

namespace detail {

/// A phantom in the making: the canvas and what later bodies need to know of earlier ones.
struct PhantomScene {
  explicit PhantomScene(PhantomCanvas empty) : canvas(std::move(empty)) {}

  PhantomCanvas canvas;
  std::array<index_t, 3> grid{};  ///< voxels along (z, y, x)
  float size = 1;                 ///< of the body, 1 on average
  float breath = 0;               ///< how much lower or higher the diaphragm stands
  float diaphragm = 0;            ///< its reference height
  std::array<float, 2> lift{};    ///< how much it is raised on each side
  /// signed distance from the inside of the chest wall, at every voxel
  std::vector<float> inner;
  /// signed distance of each lung, exact near its surface only
  std::array<std::vector<float>, 2> lung;
  PatientPoint heart{};                 ///< its centre
  std::array<PatientPoint, 7> aorta{};  ///< centre line: ascending part, arch, descending part
  float aorta_radius = 0;

  PhantomMask in_lung(int side, float offset) const {
    return {lung[static_cast<std::size_t>(side)].data(), offset};
  }
  /// See PhantomCanvas::mark_as.
  void mark_as(std::optional<PhantomStructure> structure) { canvas.mark_as(structure); }
  float any_lung(std::size_t at) const { return std::min(lung[0][at], lung[1][at]); }
};

/// Distance of x from the nearest whole number.
inline float from_whole(float x) { return std::abs(x - std::nearbyint(x)); }

/// Skin and fat, muscle, ribs, sternum, and soft tissue everywhere inside. Returns half the body's
/// depth.
inline float paint_chest_wall(PhantomScene& s, RandomStream& random) {
  auto& c = s.canvas;
  const float half_width = 148 * s.size * draw(random, 0.96, 1.04),
              half_depth = 104 * s.size * draw(random, 0.95, 1.06);
  const float mean = 0.5f * (half_width + half_depth), fat = draw(random, 6, 18),
              edge = 0.5f * c.soft;
  const float fat_hu = draw(random, -115, -90), muscle_hu = draw(random, 40, 60);
  const float rib_phase = draw(random, 0, 24), rib_half = draw(random, 4.5, 6),
              rib_hu = draw(random, 380, 600);
  const float sternum_hu = draw(random, 180, 320), inside_hu = draw(random, 30, 50);
  s.inner.resize(c.v.size());
  c.each(c.whole(), [&](PatientPoint p, std::size_t at) {
    const float u = p.x / half_width, w = p.y / half_depth;
    const float body = (std::sqrt(u * u + w * w) - 1) * mean, inner = body + fat + 9;
    s.inner[at] = inner;
    if (body >= edge) return;
    if (inner + 6 <= -edge) {  // covered by the last body of this list whatever the others do
      c.v[at] = inside_hu;
      return;
    }
    c.blend(at, body, fat_hu);
    c.blend(at, body + fat, muscle_hu);
    // ribs: a shell cut by planes that fall towards the front
    if (std::abs(inner + 1) - 4.5f < edge) {
      const float height = p.z + 22 * std::abs(std::atan2(u, -w)) + rib_phase;
      const float rib = from_whole(height / 24) * 24 - rib_half;
      c.blend(at, std::max({std::abs(inner + 1) - 4.5f, rib, 8 - std::abs(p.x)}), rib_hu);
    }
    c.blend(at, std::max({std::abs(p.x) - 16, std::abs(inner + 3) - 5, p.y}), sternum_hu);
    c.blend(at, inner + 6, inside_hu);
  });
  return half_depth;
}

/// Both lungs with their texture above a domed diaphragm, liver and left upper abdomen below it,
/// and the stomach's air bubble.
inline void paint_lungs(PhantomScene& s, RandomStream& random, RandomStream& texture_draws,
                        float half_depth) {
  auto& c = s.canvas;
  const float size = s.size, edge = 0.5f * c.soft, lung_hu = draw(random, -875, -825);
  const auto texture = smooth_noise(texture_draws, s.grid, {9, 13, 13});
  std::array<float, 2> a{}, b{};
  for (std::size_t side = 0; side < 2; ++side) {
    a[side] = LungShape::half_width * size * draw(random, 0.96, 1.04);
    b[side] = LungShape::half_depth * size * (half_depth / (104 * size)) * draw(random, 0.96, 1.02);
  }
  const float liver_hu = draw(random, 50, 65), left_hu = draw(random, -60, 20),
              bubble_hu = draw(random, -900, -500);
  for (auto& lung : s.lung) lung.resize(c.v.size());
  c.each(c.whole(), [&](PatientPoint p, std::size_t at) {
    for (std::size_t side = 0; side < 2; ++side) {
      // Exact values matter within a few mm of the surface only; far from it a bound saves the
      // square root and the exponential.
      constexpr float far_out = 45, far_in = -20;
      float distance = std::max(LungShape::medial * size - side_sign[side] * p.x, s.inner[at] + 7);
      // the diaphragm without its dome
      const float rest = s.diaphragm + s.lift[side] - DiaphragmShape::foot - p.z;
      distance = std::max(distance, std::max(rest, far_in));
      if (distance < far_out) {
        const float x = p.x - side_sign[side] * LungShape::centre_x * size,
                    top = std::max(p.z - LungShape::shoulder * size, 0.f) /
                          (LungShape::dome * size);
        const float u = x / a[side], w = (p.y - LungShape::centre_y) / b[side];
        distance = std::max(distance, (std::sqrt(u * u + w * w + top * top) - 1) * a[side]);
        if (distance < far_out && rest + DiaphragmShape::height > far_in) {
          const float e = x / (DiaphragmShape::half_width * size),
                      f = (p.y - DiaphragmShape::centre_y) / (DiaphragmShape::half_depth * size);
          distance = std::max(distance, rest + DiaphragmShape::height * std::exp(-(e * e + f * f)));
        }
      }
      s.lung[side][at] = distance;
      if (distance >= edge) continue;
      c.mark_as(side == 0 ? PhantomStructure::right_lung : PhantomStructure::left_lung);
      c.blend(at, distance, lung_hu + 18 * texture[at]);
    }
    if (p.z < s.diaphragm + 12 && s.inner[at] < -8 && s.any_lung(at) > 2) {
      if (p.x < 12) c.set(at, liver_hu, PhantomStructure::liver);
      else c.set(at, left_hu, PhantomStructure::background);
    }
  });
  std::vector<float> outside(c.v.size());  // the bubble keeps 8 mm away from the lungs
  for (std::size_t at = 0; at < outside.size(); ++at)
    outside[at] = 8 - std::min(s.any_lung(at), 40.f);
  s.mark_as(PhantomStructure::background);
  c.ellipsoid({62 * size, -28, s.diaphragm - 28}, {30, 28, 18}, bubble_hu, {outside.data(), 0});
}

/// Seven trunks from each hilum, each splitting in two.
template <class Scene> void paint_vessels(Scene& s, RandomStream& random) {
  const auto scatter = [&](double sd) {
    const double x = random.normal(), y = random.normal(), z = random.normal();
    return PatientPoint{static_cast<float>(sd * x), static_cast<float>(sd * y),
                        static_cast<float>(sd * z)};
  };
  for (int side = 0; side < 2; ++side) {
    const float sign = side_sign[static_cast<std::size_t>(side)];
    const PatientPoint hilum{sign * 34 * s.size, 6, 5 + draw_about(random, 8)};
    for (int trunk = 0; trunk < 7; ++trunk) {
      const float x = 68 + draw(random, -38, 44), y = draw(random, -62, 66),
                  z = draw(random, -85, 95);
      const PatientPoint tip = PatientPoint{sign * x, y, z} * s.size;
      const float along = draw(random, 0.35, 0.6);
      const PatientPoint fork = hilum + (tip - hilum) * along + scatter(5);
      const float r0 = draw(random, 3.5, 5), r1 = draw(random, 2, 3), hu = draw(random, 0, 40);
      s.canvas.tube(hilum, fork, r0, r1, hu, s.in_lung(side, 1));
      for (int branch = 0; branch < 2; ++branch) {
        const PatientPoint end = tip + scatter(16);
        s.canvas.tube(fork, end, 2.f, 0.8f, draw(random, 0, 40), s.in_lung(side, 1));
      }
    }
  }
}

/// Trachea and main bronchi.
template <class Scene> void paint_airways(Scene& s) {
  s.canvas.tube({0, 12, 120}, {0, 14, 28}, 8.5f, 8, -990);
  for (const float sign : side_sign) s.canvas.tube({0, 14, 28}, {sign * 34, 12, 8}, 6.5f, 5, -985);
}

/// Mediastinal fat, trachea and main bronchi, spine with discs, canal and process.
inline void paint_midline(PhantomScene& s, RandomStream& random) {
  auto& c = s.canvas;
  s.mark_as(PhantomStructure::background);
  const float size = s.size, edge = 0.5f * c.soft, fat_hu = draw(random, -75, -35);
  c.each(c.box({-25 * size - 6, -400, -400}, {25 * size + 6, 400, 400}),
         [&](PatientPoint p, std::size_t at) {
           const float slab = std::max(
               {std::abs(p.x) - 25 * size, std::abs(p.y - 6) - 52 * size, s.inner[at] + 8});
           const float distance = slab + std::max(0.f, s.diaphragm - p.z);
           if (distance < edge) c.blend(at, distance, fat_hu);
         });
  paint_airways(s);

  const float phase = draw(random, 0, 26), shell_hu = draw(random, 420, 560),
              core_hu = draw(random, 180, 300), process_hu = draw(random, 300, 450);
  c.each(c.box({-30, 68 * size - 25, -400}, {30, 68 * size + 25, 400}),
         [&](PatientPoint p, std::size_t at) {
           const float x = p.x / 1.2f, y = p.y - 68 * size, r = std::sqrt(x * x + y * y);
           if (r - 17 >= edge) return;
           c.blend(at, r - 17, shell_hu);
           c.blend(at, r - 13, from_whole((p.z + phase) / 26) * 26 < 4 ? 90.f : core_hu);
         });
  c.tube({0, 94 * size, -200}, {0, 94 * size, 200}, 4, 4, process_hu);
  c.tube({0, 87 * size, -200}, {0, 87 * size, 200}, 7, 7, 20);
}

/// Heart with the fat under its pericardium and, where `fluid_depth` is above 0, fluid around that.
/// @param heart_size relative to a normal heart; @param to_left how far the centre moves
inline void paint_heart(PhantomScene& s, RandomStream& random, float heart_size, float to_left,
                        float fluid_depth, float fluid_hu) {
  const float lower = draw_about(random, 4), rim = draw(random, 5, 8),
              rim_hu = draw(random, -105, -85), blood_hu = draw(random, 38, 55);
  s.heart = heart_centre(s.size, s.diaphragm, to_left, lower);
  const PatientPoint r = heart_half_axes(heart_size), one{1, 1, 1};
  const PhantomMask wall{s.inner.data(), 9};
  s.mark_as(PhantomStructure::background);
  if (fluid_depth > 0)
    s.canvas.ellipsoid(s.heart + PatientPoint{0, 0.3f * fluid_depth, 0},
                       r + one * (rim + fluid_depth), fluid_hu, wall);
  s.canvas.ellipsoid(s.heart, r + one * rim, rim_hu, wall);
  s.mark_as(PhantomStructure::heart);
  s.canvas.ellipsoid(s.heart, r, blood_hu, wall);
}

/// Aorta (a half circle joins the ascending and the descending part) and oesophagus.
template <class Scene> void paint_aorta(Scene& s, RandomStream& random) {
  const float size = s.size, top = 52 * size + draw_about(random, 5), hu = draw(random, 38, 50);
  s.aorta_radius = draw(random, 12, 16) * size;
  const PatientPoint up{-8 * size, -24 * size, top}, down{20 * size, 44 * size, top};
  s.aorta.front() = {up.x, up.y, s.heart.z + 30};
  s.aorta.back() = {down.x, down.y, -140};
  for (std::size_t k = 0; k <= 4; ++k) {
    const float angle = std::numbers::pi_v<float> * static_cast<float>(k) / 4;
    s.aorta[k + 1] = (up + down) * 0.5f + (up - down) * (0.5f * std::cos(angle));
    s.aorta[k + 1].z = top + 20 * size * std::sin(angle);
  }
  s.mark_as(PhantomStructure::aorta);
  for (std::size_t k = 0; k + 1 < s.aorta.size(); ++k)
    s.canvas.tube(s.aorta[k], s.aorta[k + 1], s.aorta_radius, s.aorta_radius, hu);
  s.mark_as(PhantomStructure::background);
  s.canvas.tube({4, 52 * size, 120}, {4, 52 * size, -140}, 5, 5, 30);
}

/// What the scanner adds: noise, smooth shading, an offset.
inline void add_scanner(PhantomScene& s, RandomStream& random, const RandomKey& noise) {
  auto& v = s.canvas.v;
  const float dose = draw(random, 8, 32), offset = draw_about(random, 6);
  const auto shading = smooth_noise(random, s.grid, {4, 6, 6});
  for (std::size_t at = 0; at < v.size(); ++at) v[at] += 6 * shading[at] + offset;
  add_white_noise(v, noise, dose);
}

}  // namespace detail

HLIP_END
