// Synthetic chest CT studies with reports and labels, for demonstrations and tests: geometric
// bodies and template sentences. They show that a model learns to match images and text; they say
// nothing about patients.
#pragma once

#include <hlip/phantoms/parts/reports.hpp>

#include <string>
#include <vector>

HLIP_BEGIN

/// One synthetic study.
struct PhantomStudy {
  Shape dhw;  ///< voxels: slices, rows, columns
  /// row-major (z, y, x); x to the patient's left, y to the back, z to the head
  std::vector<std::int16_t> hu;
  std::array<double, 3> spacing{};  ///< mm along (z, y, x)
  /// A PhantomStructure a voxel, as `hu`: the body painted last of those whose inside holds the
  /// voxel's centre. Empty unless PhantomOptions::label_maps.
  std::vector<std::uint8_t> label_map;
  /// From (x, y, z) voxel index to mm in NIfTI's right-front-head system, so the first two axes run
  /// backwards; origin in the grid's centre.
  std::array<std::array<double, 4>, 4> affine{};
  PhantomLabels labels{};  ///< CT-RATE's 18 columns
  /// what was drawn, by PhantomFinding
  std::array<PhantomFindingNote, phantom_finding_count> notes{};
  std::vector<std::string> findings_sentences, impression_sentences;
  std::string findings, impression;  ///< the same sentences, joined by blanks
  std::string sex;                   ///< "F" or "M"; nothing in the picture depends on it
  int age = 0;                       ///< years; likewise
};

/// "The volume shows: IMPRESSION The volume looks like: FINDINGS", the form the HLIP recipe trains
/// on.
HLIP_LAZY std::string phantom_annotation(const PhantomStudy& study) {
  return fmt::format("The volume shows: {} The volume looks like: {}", study.impression,
                     study.findings);
}

namespace detail {

/// Rounds to HU within the range scanners store.
HLIP_LAZY std::vector<std::int16_t> to_stored_hu(const std::vector<float>& v) {
  std::vector<std::int16_t> hu(v.size());
  for (std::size_t i = 0; i < v.size(); ++i)
    hu[i] = static_cast<std::int16_t>(std::nearbyint(std::clamp(v[i], -1024.f, 3071.f)));
  return hu;
}

HLIP_LAZY std::vector<std::uint8_t> to_stored_labels(const std::vector<PhantomStructure>& labels) {
  std::vector<std::uint8_t> stored(labels.size());
  for (std::size_t i = 0; i < labels.size(); ++i) stored[i] = static_cast<std::uint8_t>(labels[i]);
  return stored;
}

}  // namespace detail

/// Draws study `i` of a split. Everything depends on the arguments only: not on earlier calls,
/// threads or the machine's state. Each finding has its own random numbers, so with a prevalence
/// set to 0 or 1 the rest of the study stays as it was.
///
/// @param split any name; "train" and "valid" are those of the written data set
/// @throws hlip::error if the options are impossible
HLIP_LAZY PhantomStudy make_phantom(const PhantomOptions& options, std::uint64_t data_seed,
                                    std::string_view split, index_t i) {
  // One function: a chest from the outside to the inside; later parts lie over earlier ones.
  using namespace detail;
  using F = PhantomFinding;
  PhantomStudy study;
  study.labels = phantom_labels(options, data_seed, split, i);
  const auto stream = [&](PhantomStream use) {
    return RandomStream(phantom_key(data_seed, split, i, use));
  };
  const auto own_stream = [&](F f) {
    return RandomStream(phantom_key(
        data_seed, split, i,
        static_cast<std::uint32_t>(PhantomStream::findings) + static_cast<std::uint32_t>(f)));
  };
  const auto has = [&](F f) {
    return study.labels[static_cast<std::size_t>(phantom_label_column(f))] == 1;
  };
  const auto note = [&](F f) -> PhantomFindingNote& {
    return study.notes[static_cast<std::size_t>(f)];
  };

  RandomStream random = stream(PhantomStream::anatomy);
  const auto size = static_cast<float>(std::clamp(1 + 0.05 * random.normal(), 0.88, 1.12));
  study.sex = random.chance(0.5) ? "F" : "M";
  study.age = static_cast<int>(std::clamp(58 + 15 * random.normal(), 20., 90.));
  const double thickness = random.uniform(8.4, 9.4) * 34 / static_cast<double>(options.slices);
  const double pixel = random.uniform(4.8, 5.2) * 64 / static_cast<double>(options.pixels);
  const float breath = draw_about(random, 12), degree = std::numbers::pi_v<float> / 180;
  const float turn = degree * draw_about(random, 5), tip = degree * draw_about(random, 3);
  const PatientPoint shift{draw_about(random, 6), draw_about(random, 6), draw_about(random, 8)};
  PhantomScene scene(PhantomCanvas(options.slices, options.pixels, static_cast<float>(thickness),
                                   static_cast<float>(pixel), turn, tip, shift));
  scene.grid = {options.slices, options.pixels, options.pixels};
  scene.size = size, scene.breath = breath, scene.diaphragm = -88 * size + breath;
  scene.lift = {draw(random, 8, 16), 0};
  if (options.label_maps) scene.canvas.keep_labels();

  RandomStream atelectasis = own_stream(F::atelectasis), vessels = stream(PhantomStream::vessels),
               texture = stream(PhantomStream::texture);
  if (has(F::atelectasis)) note(F::atelectasis) = plan_atelectasis(scene, atelectasis);
  const float half_depth = paint_chest_wall(scene, random);
  paint_lungs(scene, random, texture, half_depth);
  scene.mark_as(std::nullopt);
  paint_vessels(scene, vessels);
  paint_midline(scene, random);

  float heart_size = draw(random, 0.86, 1.04), fluid_depth = 0, fluid_hu = 0;
  if (has(F::cardiomegaly)) {
    RandomStream own = own_stream(F::cardiomegaly);
    heart_size = draw(own, 1.24, 1.48);
    note(F::cardiomegaly).grade = heart_size < 1.32f  ? "mild"
                                  : heart_size < 1.4f ? "moderate"
                                                      : "marked";
  }
  if (has(F::pericardial_effusion)) {
    RandomStream own = own_stream(F::pericardial_effusion);
    fluid_depth = draw(own, 8, 20), fluid_hu = draw(own, 2, 18);
    note(F::pericardial_effusion).size = fluid_depth < 11   ? "minimal"
                                         : fluid_depth < 16 ? "moderate"
                                                            : "massive";
    note(F::pericardial_effusion).mm = static_cast<int>(std::lround(fluid_depth));
  }
  paint_heart(scene, random, heart_size * size, has(F::cardiomegaly) ? 6.f : 0.f, fluid_depth,
              fluid_hu);
  paint_aorta(scene, random);

  const auto paint = [&](F f, auto&& painter) {
    scene.mark_as(structure_of(f));
    if (!has(f)) return;
    RandomStream own = own_stream(f);
    note(f) = painter(own);
  };
  paint(F::arterial_wall_calcification,
        [&](RandomStream& r) { return paint_wall_calcification(scene, r); });
  paint(F::hiatal_hernia, [&](RandomStream& r) { return paint_hiatal_hernia(scene, r); });
  paint(F::emphysema, [&](RandomStream& r) { return paint_emphysema(scene, r); });
  std::vector<float> warp;
  if (has(F::lung_opacity) || has(F::consolidation)) {
    RandomStream own = stream(PhantomStream::warp);
    warp = smooth_noise(own, scene.grid, {8, 12, 12});
    for (float& w : warp) w *= 0.28f;
  }
  paint(F::lung_opacity, [&](RandomStream& r) { return paint_opacity(scene, r, warp.data()); });
  paint(F::consolidation,
        [&](RandomStream& r) { return paint_consolidation(scene, r, warp.data()); });
  scene.mark_as(structure_of(F::atelectasis));
  if (has(F::atelectasis)) paint_atelectasis(scene, atelectasis, note(F::atelectasis));
  paint(F::lung_nodule, [&](RandomStream& r) { return paint_nodules(scene, r); });
  paint(F::pleural_effusion, [&](RandomStream& r) { return paint_pleural_effusion(scene, r); });
  add_scanner(scene, random, phantom_key(data_seed, split, i, PhantomStream::noise));
  for (int f = 0; f < phantom_finding_count; ++f)
    study.notes[static_cast<std::size_t>(f)].present = has(static_cast<F>(f));

  study.dhw = {options.slices, options.pixels, options.pixels};
  study.hu = to_stored_hu(scene.canvas.v);
  study.label_map = to_stored_labels(scene.canvas.labels);
  study.spacing = {thickness, pixel, pixel};
  const double half_row = 0.5 * static_cast<double>(options.pixels - 1) * pixel,
               half_stack = 0.5 * static_cast<double>(options.slices - 1) * thickness;
  study.affine = {{{-pixel, 0, 0, half_row},
                   {0, -pixel, 0, half_row},
                   {0, 0, thickness, -half_stack},
                   {0, 0, 0, 1}}};
  auto report = write_report(options, study.notes, stream(PhantomStream::report));
  study.findings = join_sentences(report.findings),
  study.impression = join_sentences(report.impression);
  study.findings_sentences = std::move(report.findings),
  study.impression_sentences = std::move(report.impression);
  return study;
}

HLIP_END
