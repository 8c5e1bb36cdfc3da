// What a head phantom is made of: one plan of a head and its lesions, painted once for every MR
// sequence with that sequence's grey values. All lengths are mm; x to the patient's left, y to the
// back, z to the head, origin in the brain's centre.
#pragma once

#include <hlip/phantoms/parts/anatomy.hpp>

#include <string_view>

HLIP_BEGIN

/// The sequences of a study, in the order of the tables below.
enum class BrainSequence { t1, t2, flair, dwi };
inline constexpr int brain_sequence_count = 4;
/// Names of the scans; evaluation sorts them.
inline constexpr std::array<std::string_view, brain_sequence_count> brain_sequence_names = {
    "T1", "T2", "FLAIR", "DWI"};

/// What the head phantom can draw. The first four are single lesions in two pairs; of a pair a
/// study has one or none.
enum class BrainFinding {
  ischaemic_stroke,
  encephalitis,
  haemorrhage,
  metastasis,
  white_matter_lesions,
  atrophy
};
inline constexpr int brain_finding_count = 6, brain_focus_count = 4;
inline constexpr std::array<std::string_view, brain_finding_count> brain_finding_names = {
    "Ischaemic stroke", "Encephalitis",         "Haemorrhage",
    "Metastasis",       "White matter lesions", "Atrophy"};

/// What a report can say about a finding.
struct BrainFindingNote {
  bool present = false;
  std::string_view side;   ///< "right", "left", or empty
  std::string_view lobe;   ///< "frontal", "parietal", "temporal", "occipital", or empty
  std::string_view grade;  ///< "mild", "marked", or empty
  int mm = 0;              ///< diameter
  int stage = 0;           ///< of a lesion that looks different early (0) and late (1)
};

namespace detail {

/// Grey values 0 … 1 in the order of BrainSequence; `around`: as the tissue there, so nothing is
/// painted.
using BrainGrey = std::array<float, brain_sequence_count>;

struct BrainTissues {
  BrainGrey scalp, skull, fluid, grey, white;
};
// Fat is bright on T1; fluid is bright on T2 alone, FLAIR suppresses it; grey and white matter swap
// from T1 to T2.
inline constexpr BrainTissues brain_tissues = {{.85f, .50f, .45f, .10f},
                                               {.08f, .06f, .06f, .04f},
                                               {.15f, .92f, .10f, .12f},
                                               {.38f, .58f, .55f, .50f},
                                               {.52f, .42f, .46f, .44f}};

/// What a lesion looks like early and late; most look the same.
using BrainStages = std::array<BrainGrey, 2>;
inline constexpr float bright = .95f, dark = .03f, around = -1;
constexpr BrainStages one_look(const BrainGrey& g) { return {g, g}; }

/// Lesions in the order of BrainFinding, grey values in that of BrainSequence. Stroke and
/// encephalitis show on FLAIR and DWI, bleeding and melanotic metastases on T1 and T2. The second
/// of a pair changes both sequences; the first changes one of them when it is early and the other
/// when it is late, so that with equal chances a sequence alone says nothing about it
/// (BrainPhantomOptions).
inline constexpr std::array<BrainStages, brain_finding_count> brain_lesions = {{
    {{{around, around, around, bright}, {around, around, bright, around}}},
    one_look({around, around, bright, bright}),
    {{{around, dark, around, around}, {bright, around, around, around}}},
    one_look({bright, dark, around, around}),
    one_look({.50f, .78f, bright, around}),
    one_look({around, around, around, around}),
}};

/// An ellipsoid of one kind.
struct BrainLesion {
  BrainFinding finding;
  int stage = 0;
  PatientPoint centre, radius;
  float strength = 1;  ///< how far its grey values leave those around
};

/// Everything that is the same on all sequences of a study.
struct BrainPlan {
  float size = 1, fluid_width = 4, ventricles = 1, turn = 0, tip = 0;
  PatientPoint brain{66, 82, 62}, shift;
  double thickness = 11.5, pixel = 6.4;
  std::vector<BrainLesion> lesions;
};

inline std::string_view lobe_at(PatientPoint p) {
  if (p.y < -22) return "frontal";
  if (p.y > 42) return "occipital";
  return p.z < -8 ? "temporal" : "parietal";
}

/// A lesion of 32 to 48 mm somewhere in the brain: size and place say nothing about its kind.
inline BrainFindingNote plan_focus(BrainPlan& plan, RandomStream& random, BrainFinding finding) {
  BrainFindingNote note;
  note.stage = random.chance(0.5) ? 1 : 0;
  const float r = draw(random, 16, 24), length = draw(random, 0.85, 1.15),
              out = draw(random, 0.42, 0.70);
  const float angle = draw(random, 0.15, std::numbers::pi - 0.15) +
                      (random.chance(0.5) ? std::numbers::pi_v<float>
                                          : 0.f);  // from the front; away from the midline
  const PatientPoint at{plan.brain.x * out * std::sin(angle), -plan.brain.y * out * std::cos(angle),
                        draw(random, -32, 34)};
  plan.lesions.push_back(
      {finding, note.stage, at, {r * length, r / length, r}, draw(random, 0.85, 1)});
  note.side = at.x < 0 ? "right" : "left", note.lobe = lobe_at(at);
  note.mm = static_cast<int>(std::lround(2 * r));
  return note;
}

/// Many small spots beside the ventricles.
inline BrainFindingNote plan_white_matter_lesions(BrainPlan& plan, RandomStream& random) {
  const int spots = 8 + static_cast<int>(random.below(9));
  for (int k = 0; k < spots; ++k) {
    const float side = random.chance(0.5) ? 1.f : -1.f, r = draw(random, 5, 8.5);
    plan.lesions.push_back(
        {BrainFinding::white_matter_lesions,
         0,
         {side * draw(random, 20, 36), draw(random, -46, 46), draw(random, -2, 30)},
         {r, r, r},
         draw(random, 0.85, 1)});
  }
  BrainFindingNote note;
  note.grade = spots < 12 ? "mild" : "marked";
  return note;
}

/// Wide ventricles and wide fluid spaces around a smaller brain.
inline BrainFindingNote plan_atrophy(BrainPlan& plan, RandomStream& random) {
  plan.ventricles = draw(random, 1.5, 1.9);
  plan.fluid_width = draw(random, 9, 13);
  BrainFindingNote note;
  note.grade = plan.ventricles < 1.7f ? "mild" : "marked";
  return note;
}

/// The head on one sequence. @param warp makes the surfaces irregular, at every voxel; @return grey
/// values 0 … 1
inline std::vector<float> paint_head(const BrainPlan& plan, BrainSequence sequence,
                                     RandomStream& random, const RandomKey& noise, index_t slices,
                                     index_t pixels, const std::vector<float>& warp) {
  const auto s = static_cast<std::size_t>(sequence);
  const float degree = std::numbers::pi_v<float> / 180;
  // People move a little between sequences.
  const float turn = plan.turn + degree * draw_about(random, 1.5),
              tip = plan.tip + degree * draw_about(random, 1);
  const PatientPoint moved{draw_about(random, 2), draw_about(random, 2), draw_about(random, 2)};
  PhantomCanvas c(slices, pixels, static_cast<float>(plan.thickness),
                  static_cast<float>(plan.pixel), turn, tip, plan.shift + moved);
  std::fill(c.v.begin(), c.v.end(), 0.f);
  const PatientPoint one{1, 1, 1}, inside{plan.brain + one * -plan.fluid_width}, fluid = plan.brain;
  const auto& t = brain_tissues;
  c.ellipsoid({}, fluid + one * 15, t.scalp[s]);
  c.ellipsoid({}, fluid + one * 8, t.skull[s]);
  c.ellipsoid({}, fluid, t.fluid[s]);
  c.ellipsoid({}, inside, t.grey[s], {}, 1, warp.data());
  c.ellipsoid({}, inside * 0.8f, t.white[s], {}, 1, warp.data());
  for (const float side : side_sign) {
    c.ellipsoid({side * 13, 4, -2}, {10, 16, 11}, t.grey[s]);  // deep grey matter
    const PatientPoint front{side * 10 * plan.ventricles, -24, 12},
        back{side * 17 * plan.ventricles, 30, 10};
    c.tube(front, back, 8 * plan.ventricles, 7 * plan.ventricles, t.fluid[s]);
  }
  for (const auto& lesion : plan.lesions)
    if (const float grey = brain_lesions[static_cast<std::size_t>(lesion.finding)]
                                        [static_cast<std::size_t>(lesion.stage)][s];
        grey != around)
      c.ellipsoid(lesion.centre, lesion.radius, grey, {}, lesion.strength);
  const float gain = draw(random, 0.92, 1.08), grain = sequence == BrainSequence::dwi
                                                           ? draw(random, 0.03, 0.06)
                                                           : draw(random, 0.015, 0.04);
  const auto shading = smooth_noise(random, {slices, pixels, pixels}, {3, 4, 4});
  for (std::size_t at = 0; at < c.v.size(); ++at) c.v[at] *= gain * (1 + 0.05f * shading[at]);
  add_white_noise(c.v, noise, grain);
  return std::move(c.v);
}

}  // namespace detail

HLIP_END
