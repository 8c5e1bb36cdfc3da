// What a phantom radiograph is asked for, and what is decided before it is drawn: which subject and
// view, sex, age and size, and which findings.
#pragma once

#include <hlip/phantoms/parts/options.hpp>

#include <algorithm>
#include <array>
#include <string_view>

HLIP_BEGIN

/// What a phantom radiograph can show: findings of the chest CT that a projection shows, and two
/// thin ones.
enum class RadiographFinding {
  emphysema,
  atelectasis,
  lung_nodule,
  lung_opacity,
  pleural_effusion,
  consolidation,
  cardiomegaly,
  hiatal_hernia,
  tube,
  air_rim
};
inline constexpr int radiograph_finding_count = 10;

/// Names of the findings: the chest CT's, "Tube" (any tube or catheter) and "Air rim" (a
/// pneumothorax).
inline constexpr std::array<std::string_view, radiograph_finding_count> radiograph_finding_names =
    [] {
      constexpr auto ct = [](PhantomFinding f) {
        return phantom_finding_names[static_cast<std::size_t>(f)];
      };
      using F = PhantomFinding;
      return std::array<std::string_view, radiograph_finding_count>{ct(F::emphysema),
                                                                    ct(F::atelectasis),
                                                                    ct(F::lung_nodule),
                                                                    ct(F::lung_opacity),
                                                                    ct(F::pleural_effusion),
                                                                    ct(F::consolidation),
                                                                    ct(F::cardiomegaly),
                                                                    ct(F::hiatal_hernia),
                                                                    "Tube",
                                                                    "Air rim"};
    }();

/// Settings of the generator.
struct RadiographPhantomOptions {
  /// Probability of each finding, in the order of RadiographFinding. The hernia is the rare one. A
  /// finding of probability 0 is not mentioned in reports at all.
  std::array<double, radiograph_finding_count> prevalence = {.25, .25, .30, .25, .30,
                                                             .25, .25, .02, .35, .25};
  double lateral = 0.2;  ///< share of lateral pictures, at most 0.5
  double mention = 0.7;  ///< probability that a report says an absent finding is absent
};

/// @throws hlip::error unless the settings are possible
inline void check_phantom_options(const RadiographPhantomOptions& options) {
  constexpr std::string_view where = "radiograph phantom";
  if (!(options.lateral >= 0 && options.lateral <= 0.5))
    fail(where, "a share of {} lateral pictures, expected 0 to 0.5", options.lateral);
  if (!(options.mention >= 0 && options.mention <= 1))
    fail(where, "mention is {}, expected a probability", options.mention);
  for (std::size_t f = 0; f < options.prevalence.size(); ++f)
    if (!(options.prevalence[f] >= 0 && options.prevalence[f] <= 1))
      fail(where, "prevalence of {} is {}, expected a probability", radiograph_finding_names[f],
           options.prevalence[f]);
}

/// From the back to the front (PA), or from the side with the patient looking to the left.
enum class RadiographView { frontal, lateral };
/// "PA" or "L"
inline std::string_view to_string(RadiographView view) {
  return view == RadiographView::frontal ? "PA" : "L";
}

/// All that is known of a phantom radiograph before it is drawn.
struct RadiographPlan {
  std::uint64_t seed = 0;
  index_t index = 0;    ///< of the picture
  index_t subject = 0;  ///< two pictures in a row are of one subject
  /// The picture whose findings are shown: its own, or of a lateral picture the frontal one before
  /// it, which was taken at the same visit.
  index_t study = 0;
  RadiographView view = RadiographView::frontal;
  bool female = false;
  int age = 0;      ///< years, 20 to 90
  double size = 1;  ///< of the body: 0.84 to 1.16, men larger by 0.05 on average
  std::array<int, radiograph_finding_count> labels{};  ///< 0 or 1, by RadiographFinding
  RadiographPhantomOptions options;
};

namespace detail {

// Who draws. Findings use findings + their number.
enum class RadiographStream : std::uint32_t {
  subject = 1,
  body,
  vessels,
  view,
  labels,
  breath,
  warp,
  pose,
  texture,
  exposure,
  noise,
  report,
  findings = 32
};

/// What belongs to a subject, to a study and to a picture has names of its own.
enum class RadiographOwner { subject, study, picture };

inline RandomKey radiograph_key(const RadiographPlan& plan, RadiographOwner owner,
                                RadiographStream stream, int number = 0) {
  const auto use = static_cast<std::uint32_t>(stream) + static_cast<std::uint32_t>(number);
  if (owner == RadiographOwner::subject)
    return phantom_key(plan.seed, "radiograph/subject", plan.subject, use);
  if (owner == RadiographOwner::study)
    return phantom_key(plan.seed, "radiograph/study", plan.study, use);
  return phantom_key(plan.seed, "radiograph/picture", plan.index, use);
}

}  // namespace detail

/// Decides what picture `index` shows, as a function of options, seed and index alone.
/// @throws hlip::error if the options are impossible or the index is negative
HLIP_LAZY RadiographPlan plan_radiograph(const RadiographPhantomOptions& options,
                                         std::uint64_t seed, index_t index) {
  using namespace detail;
  check_phantom_options(options);
  if (index < 0) fail("radiograph phantom", "picture {}, expected 0 or more", index);
  RadiographPlan plan;
  plan.options = options, plan.seed = seed, plan.index = index, plan.subject = index / 2;
  RandomStream subject(radiograph_key(plan, RadiographOwner::subject, RadiographStream::subject));
  plan.female = subject.chance(0.5);
  plan.age = static_cast<int>(std::clamp(56 + 18 * subject.normal(), 20., 90.));
  plan.size = std::clamp((plan.female ? 0.975 : 1.025) + 0.055 * subject.normal(), 0.84, 1.16);
  const double lot = uniform_at(
      radiograph_key(plan, RadiographOwner::subject, RadiographStream::view), 0);
  const bool lateral = index % 2 == 1 && lot < 2 * options.lateral;
  plan.view = lateral ? RadiographView::lateral : RadiographView::frontal;
  plan.study = lateral ? index - 1 : index;
  for (std::size_t f = 0; f < plan.labels.size(); ++f)
    plan.labels[f] = uniform_at(
                         radiograph_key(plan, RadiographOwner::study, RadiographStream::labels),
                         f) < options.prevalence[f];
  return plan;
}

HLIP_END
