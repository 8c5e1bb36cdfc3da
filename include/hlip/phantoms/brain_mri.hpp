// Synthetic brain MRI studies, four sequences of one head, with reports and labels: geometric
// bodies and template sentences, made so that two of the findings cannot be told from any single
// sequence. They say nothing about patients.
#pragma once

#include <hlip/phantoms/parts/brain_reports.hpp>
#include <hlip/phantoms/parts/options.hpp>

#include <string>
#include <vector>

HLIP_BEGIN

/// Settings of the generator. The defaults are the ones the demo's recipe was measured with.
struct BrainPhantomOptions {
  /// Axial slices of each scan; the head keeps its size, so more slices are thinner ones
  index_t slices = 12;
  index_t pixels = 32;  ///< rows and columns of a slice, likewise
  /// In the order of BrainFinding. Of a pair of single lesions a study has one or none, so a pair
  /// adds up to 1 at most. Where the second of a pair is as frequent as none, each sequence is
  /// changed in half of the studies with the first and of those without it.
  std::array<double, brain_finding_count> prevalence = {.30, .35, .30, .35, .25, .25};
};

/// Throws unless the settings are possible; the grid's limits keep a mistyped number from filling
/// the memory.
HLIP_LAZY void check_phantom_options(const BrainPhantomOptions& options) {
  if (options.slices < 4 || options.slices > 512)
    fail("brain phantom", "{} slices, expected 4 to 512", options.slices);
  if (options.pixels < 8 || options.pixels > 1024)
    fail("brain phantom", "{} pixels a row, expected 8 to 1024", options.pixels);
  for (std::size_t f = 0; f < options.prevalence.size(); ++f) {
    if (!(options.prevalence[f] >= 0 && options.prevalence[f] <= 1))
      fail("brain phantom", "prevalence of {} is {}, expected a probability",
           brain_finding_names[f], options.prevalence[f]);
  }
  for (std::size_t f = 0; f < brain_focus_count; f += 2)
    if (const double pair = options.prevalence[f] + options.prevalence[f + 1]; pair > 1 + 1e-9)
      fail("brain phantom",
           "the prevalences of {} and {} add up to {}, a study has at most one of them",
           brain_finding_names[f], brain_finding_names[f + 1], pair);
}

/// One synthetic study. All scans are axial and nearly aligned.
struct BrainPhantomStudy {
  /// voxels of each scan: slices, rows, columns
  Shape dhw;
  /// grey values, in the order of BrainSequence
  std::array<std::vector<std::uint8_t>, brain_sequence_count> scans;
  /// what was drawn, by BrainFinding
  std::array<BrainFindingNote, brain_finding_count> notes{};
  std::array<int, brain_finding_count> labels{};  ///< 0 or 1, by BrainFinding
  std::vector<std::string> report;                ///< sentences
};

namespace detail {
// Who draws. Findings use findings + their number.
enum class BrainStream : std::uint32_t {
  labels = 1,
  head,
  warp,
  report,
  scans = 16,
  noise = 32,
  findings = 48
};
}  // namespace detail

/// Draws study `i` of a split. Everything depends on the arguments only: not on earlier calls,
/// threads or the machine's state. Each finding has its own random numbers, so the rest of the
/// study stays as it was when its prevalence is set to 0 or 1.
/// @throws hlip::error if the options are impossible
HLIP_LAZY BrainPhantomStudy make_brain_phantom(const BrainPhantomOptions& options,
                                               std::uint64_t data_seed, std::string_view split,
                                               index_t i) {
  using namespace detail;
  check_phantom_options(options);
  const std::string name = "brain/" + std::string(split);
  const auto key = [&](BrainStream use, int number = 0) {
    return phantom_key(data_seed, name, i,
                       static_cast<std::uint32_t>(use) + static_cast<std::uint32_t>(number));
  };
  RandomStream head(key(BrainStream::head));
  BrainPlan plan;
  plan.size = static_cast<float>(std::clamp(1 + 0.04 * head.normal(), 0.9, 1.1));
  plan.thickness = head.uniform(11, 12) * 12 / static_cast<double>(options.slices);
  plan.pixel = head.uniform(6.2, 6.6) * 32 / static_cast<double>(options.pixels);
  plan.brain = PatientPoint{66 * draw(head, 0.97, 1.03), 82 * draw(head, 0.97, 1.03), 62} *
               plan.size;
  plan.fluid_width = draw(head, 3, 6), plan.ventricles = draw(head, 0.8, 1.15);
  const float degree = std::numbers::pi_v<float> / 180;
  plan.turn = degree * draw_about(head, 4), plan.tip = degree * draw_about(head, 3);
  plan.shift = {draw_about(head, 4), draw_about(head, 4), draw_about(head, 4)};

  BrainPhantomStudy study;
  for (int f = 0; f < brain_finding_count; ++f) {
    const auto at = static_cast<std::size_t>(f);
    // One lot decides which lesion of a pair there is: the first below its prevalence, the second
    // behind it.
    const bool second = f < brain_focus_count && f % 2 == 1;
    const double lot = uniform_at(key(BrainStream::labels), second ? at - 1 : at),
                 taken = second ? options.prevalence[at - 1] : 0;
    const bool present = lot >= taken && lot < taken + options.prevalence[at];
    if (!present) continue;
    RandomStream own(key(BrainStream::findings, f));
    const auto finding = static_cast<BrainFinding>(f);
    study.notes[at] = finding == BrainFinding::white_matter_lesions
                          ? plan_white_matter_lesions(plan, own)
                      : finding == BrainFinding::atrophy ? plan_atrophy(plan, own)
                                                         : plan_focus(plan, own, finding);
    study.notes[at].present = true;
    study.labels[at] = 1;
  }
  study.dhw = {options.slices, options.pixels, options.pixels};
  RandomStream folds(key(BrainStream::warp));
  auto warp = smooth_noise(folds, {options.slices, options.pixels, options.pixels}, {6, 10, 10});
  for (float& w : warp) w *= 0.06f;
  for (int s = 0; s < brain_sequence_count; ++s) {
    RandomStream own(key(BrainStream::scans, s));
    const auto grey = paint_head(plan, static_cast<BrainSequence>(s), own,
                                 key(BrainStream::noise, s), options.slices, options.pixels, warp);
    auto& scan = study.scans[static_cast<std::size_t>(s)];
    scan.resize(grey.size());
    for (std::size_t v = 0; v < grey.size(); ++v)
      scan[v] = static_cast<std::uint8_t>(std::nearbyint(255 * std::clamp(grey[v], 0.f, 1.f)));
  }
  study.report = write_brain_report(study.notes, RandomStream(key(BrainStream::report)));
  return study;
}

HLIP_END
