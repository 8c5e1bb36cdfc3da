// The findings of a phantom: what is drawn for each, and the words and numbers the report says
// about it.
#pragma once

#include <hlip/phantoms/parts/anatomy.hpp>
#include <hlip/phantoms/parts/options.hpp>

#include <optional>
#include <string_view>

HLIP_BEGIN

/// What a report can say about a finding; fields that make no sense for it stay empty.
struct PhantomFindingNote {
  bool present = false;
  std::string_view side;   ///< "right", "left" or "both"
  std::string_view lobe;   ///< "upper", "middle" or "lower"
  std::string_view size;   ///< "small", "massive", …
  std::string_view grade;  ///< "mild", "severe", …
  int mm = 0;              ///< the largest diameter or depth
  int count = 1;
};

namespace detail {

inline constexpr std::array<std::string_view, 3> side_names = {"right", "left", "both"};
inline constexpr std::array<std::string_view, 3> lobe_names = {"upper", "middle", "lower"};

/// What a finding's bodies are in a label map; nullopt: whatever they lie in.
constexpr std::optional<PhantomStructure> structure_of(PhantomFinding finding) {
  using F = PhantomFinding;
  if (phantom_is_lesion(finding)) return PhantomStructure::lesion;
  if (finding == F::hiatal_hernia) return PhantomStructure::background;  // the stomach has no class
  return std::nullopt;
}

/// Whether a finding on `side` ("right", "left", "both") is on side number 0 (right) or 1 (left).
inline bool on_side(std::string_view side, int number) {
  return side == "both" || side == side_names[static_cast<std::size_t>(number)];
}

/// A random point of a lobe.
template <class Scene>
PatientPoint point_in_lobe(const Scene& s, RandomStream& random, int side, std::string_view lobe) {
  float y = 0, z = 0;
  if (lobe == "upper") z = draw(random, 35, 75), y = draw(random, -45, 30);
  else if (lobe == "middle") z = draw(random, -25, 10), y = draw(random, -55, -25);
  else z = draw(random, -62, -25), y = draw(random, 5, 55);
  const float x = side_sign[static_cast<std::size_t>(side)] * draw(random, 48, 92);
  return {x * s.size, y * s.size, z * s.size + (lobe == "upper" ? 0 : 0.5f * s.breath)};
}

/// A random lobe that exists: only the right lung has a middle one.
inline std::pair<int, std::string_view> any_lobe(RandomStream& random) {
  const int side = random.chance(0.5) ? 0 : 1;
  if (side == 0) return {side, lobe_names[static_cast<std::size_t>(random.below(3))]};
  return {side, random.below(2) == 0 ? "upper" : "lower"};
}

/// Air cysts, most of them in the upper lobes. @param severity of the emphysema, 0.3 … 1
template <class Scene> void paint_cysts(Scene& s, RandomStream& random, float severity) {
  const int cysts = static_cast<int>(8 + 18 * severity);
  for (int k = 0; k < cysts; ++k) {
    const int side = random.chance(0.5) ? 0 : 1;
    PatientPoint at = point_in_lobe(s, random, side, random.chance(0.75) ? "upper" : "lower");
    at.x += static_cast<float>(10 * random.normal());
    at.y += static_cast<float>(10 * random.normal());
    at.z += static_cast<float>(10 * random.normal());
    const float r = draw(random, 6, 10 + 10 * severity);
    s.canvas.sphere(at, r, draw(random, -1000, -970), s.in_lung(side, 1));
  }
}

/// What the report calls it.
inline PhantomFindingNote emphysema_note(float severity) {
  PhantomFindingNote note;
  note.grade = severity < 0.5f ? "mild" : severity < 0.75f ? "moderate" : "severe";
  return note;
}

/// Lung darker towards the apex, with air cysts.
/// @param severity 0.3 … 1
inline PhantomFindingNote paint_emphysema(PhantomScene& s, RandomStream& random) {
  auto& c = s.canvas;
  const float severity = draw(random, 0.3, 1);
  c.each(c.whole(), [&](PatientPoint p, std::size_t at) {
    const float a = c.cover(s.any_lung(at) + 1);
    if (a > 0 && c.v[at] < -600)
      c.v[at] -= a * (28 + 55 * severity) * (1 + 0.35f * std::clamp(p.z / 80, -1.f, 1.f));
  });
  paint_cysts(s, random, severity);
  return emphysema_note(severity);
}

/// The part of atelectasis that shapes the lungs: its place, and the diaphragm that rises.
/// The middle lobe is chosen on the right only; with both sides the report could not name both
/// places.
template <class Scene> PhantomFindingNote plan_atelectasis(Scene& s, RandomStream& random) {
  PhantomFindingNote note;
  note.side = side_names[static_cast<std::size_t>(random.below(3))];
  note.lobe = random.below(3) == 2 && note.side == "right" ? "middle" : "lower";
  for (int side = 0; side < 2; ++side)
    if (on_side(note.side, side)) s.lift[static_cast<std::size_t>(side)] += draw(random, 10, 20);
  return note;
}

/// Two sets of three parallel bands on each affected side.
template <class Scene>
void paint_atelectasis(Scene& s, RandomStream& random, const PhantomFindingNote& note) {
  for (int side = 0; side < 2; ++side) {
    if (!on_side(note.side, side)) continue;
    for (int set = 0; set < 2; ++set) {
      PatientPoint at = point_in_lobe(s, random, side, note.lobe);
      at.z = std::max(at.z, s.diaphragm + s.lift[static_cast<std::size_t>(side)] + 22);
      const PatientPoint half{side_sign[static_cast<std::size_t>(side)] * draw(random, 18, 30),
                              draw_about(random, 26), draw_about(random, 8)};
      const PatientPoint next{draw_about(random, 6), draw(random, 10, 20), draw_about(random, 4)};
      for (int band = -1; band <= 1; ++band) {
        const PatientPoint middle = at + next * static_cast<float>(band);
        const float r0 = draw(random, 5, 7.5), r1 = draw(random, 4, 6), hu = draw(random, -40, 30);
        s.canvas.tube(middle - half, middle + half, r0, r1, hu, s.in_lung(side, 0.5f));
      }
    }
  }
}

/// One to four solid spheres; the note describes the largest.
template <class Scene> PhantomFindingNote paint_nodules(Scene& s, RandomStream& random) {
  PhantomFindingNote note;
  note.count = 1 + static_cast<int>(random.below(4));
  float largest = 0;
  for (int k = 0; k < note.count; ++k) {
    const auto [side, lobe] = any_lobe(random);
    const float diameter = std::exp(draw(random, std::log(16.), std::log(34.)));
    const PatientPoint at = point_in_lobe(s, random, side, lobe);
    s.canvas.sphere(at, 0.5f * diameter, draw(random, 30, 90), s.in_lung(side, 0));
    if (diameter <= largest) continue;
    largest = diameter;
    note.side = side_names[static_cast<std::size_t>(side)], note.lobe = lobe;
  }
  note.mm = static_cast<int>(std::lround(largest));
  return note;
}

/// Two hazy, irregular spheres on one side or on both.
/// Where both sides are drawn the lobe is one both lungs have. (The Python prototype kept "middle",
/// drew the left one in the upper lobe and reported the right middle lobe: a report that
/// contradicted 6 % of its opacities.)
template <class Scene>
PhantomFindingNote paint_opacity(Scene& s, RandomStream& random, const float* warp) {
  auto [first, lobe] = any_lobe(random);
  const bool both = random.chance(0.35);
  if (both && lobe == "middle") lobe = random.below(2) == 0 ? "upper" : "lower";
  PhantomFindingNote note;
  note.side = both ? "both" : side_names[static_cast<std::size_t>(first)], note.lobe = lobe;
  for (int side = 0; side < 2; ++side)
    for (int k = 0; k < 2 && on_side(note.side, side); ++k) {
      const PatientPoint at = point_in_lobe(s, random, side, lobe);
      const float r = draw(random, 26, 42) * s.size;
      s.canvas.sphere(at, r, draw(random, -560, -400), s.in_lung(side, 1), 0.85f, warp);
    }
  return note;
}

/// One dense, irregular sphere.
template <class Scene>
PhantomFindingNote paint_consolidation(Scene& s, RandomStream& random, const float* warp) {
  const auto [side, lobe] = any_lobe(random);
  const float r = draw(random, 25, 45);
  s.canvas.sphere(point_in_lobe(s, random, side, lobe), r * s.size, 20, s.in_lung(side, 1), 0.95f,
                  warp);
  PhantomFindingNote note;
  note.side = side_names[static_cast<std::size_t>(side)], note.lobe = lobe;
  note.size = r < 31 ? "small" : r > 38 ? "large" : "moderate";
  return note;
}

/// Fluid at the back of the chest, behind a level that falls towards the head.
inline PhantomFindingNote paint_pleural_effusion(PhantomScene& s, RandomStream& random) {
  auto& c = s.canvas;
  PhantomFindingNote note;
  note.side = side_names[static_cast<std::size_t>(random.below(3))];
  const float depth = draw(random, 20, 62);
  note.size = depth < 32 ? "minimal" : depth < 48 ? "moderate" : "massive";
  for (int side = 0; side < 2; ++side) {
    if (!on_side(note.side, side)) continue;
    const float d = depth * draw(random, 0.85, 1.15), hu = draw(random, 2, 18),
                reach = 60 + 2.2f * d;
    const auto& lung = s.lung[static_cast<std::size_t>(side)];
    c.each(c.whole(), [&](PatientPoint p, std::size_t at) {
      if (lung[at] - 1 >= 0.5f * c.soft) return;
      const float level = 78 * s.size -
                          d * std::clamp(1 - (p.z - (s.diaphragm - 10)) / reach, 0.f, 1.2f);
      c.blend(at, std::max(lung[at] - 1, level - p.y), hu);
    });
  }
  return note;
}

/// Stomach behind the heart, with air in its front part.
template <class Scene> PhantomFindingNote paint_hiatal_hernia(Scene& s, RandomStream& random) {
  const float relative = draw(random, 20, 36), r = relative * s.size;
  const PatientPoint at{draw(random, -4, 14), 44 * s.size, s.diaphragm + 14 + 0.6f * r};
  const float wall_hu = draw(random, 25, 45), air_hu = draw(random, -950, -600);
  s.canvas.ellipsoid(at, {r, 0.85f * r, r}, wall_hu);
  s.canvas.ellipsoid(at + PatientPoint{0, -0.2f * r, 0.1f * r}, {0.68f * r, 0.5f * r, 0.68f * r},
                     air_hu);
  PhantomFindingNote note;
  note.size = relative < 25 ? "small" : relative < 30 ? "moderate" : "large";
  return note;
}

/// Plaques on the wall of the arch and the descending aorta.
template <class Scene> PhantomFindingNote paint_wall_calcification(Scene& s, RandomStream& random) {
  const int plaques = 8 + static_cast<int>(random.below(11));
  for (int k = 0; k < plaques; ++k) {
    const auto piece = static_cast<std::size_t>(1 + random.below(5));
    const float along = draw(random, 0, piece < 5 ? 1 : 0.7);
    const PatientPoint at = s.aorta[piece] + (s.aorta[piece + 1] - s.aorta[piece]) * along;
    const double x = random.normal(), y = random.normal(), z = random.normal();
    const PatientPoint out{static_cast<float>(x), static_cast<float>(y), static_cast<float>(z)};
    const float length = std::sqrt(out.x * out.x + out.y * out.y + out.z * out.z) + 1e-6f;
    const float r = draw(random, 4, 6.5), height = r * draw(random, 1, 1.8);
    s.canvas.ellipsoid(at + out * (s.aorta_radius * 0.95f / length), {r, r, height},
                       draw(random, 600, 1100));
  }
  PhantomFindingNote note;
  note.grade = plaques < 13 ? "mild" : "extensive";
  return note;
}

}  // namespace detail

HLIP_END
