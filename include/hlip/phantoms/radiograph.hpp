// Synthetic chest radiographs with masks, labels and reports, for demonstrations and tests: line
// integrals through geometric bodies, and template sentences. They say nothing about patients.
#pragma once

#include <hlip/phantoms/parts/radiograph_findings.hpp>
#include <hlip/phantoms/parts/radiograph_reports.hpp>

#include <string>
#include <vector>

HLIP_BEGIN

/// What is marked in a phantom radiograph.
enum class RadiographMask {
  right_lung,
  left_lung,
  right_upper_zone,
  right_middle_zone,
  right_lower_zone,
  left_upper_zone,
  left_middle_zone,
  left_lower_zone,
  ribs,
  tube,
  air_rim
};
inline constexpr int radiograph_mask_count = 11;
inline constexpr std::array<std::string_view, radiograph_mask_count> radiograph_mask_names = {
    "right_lung",
    "left_lung",
    "right_upper_zone",
    "right_middle_zone",
    "right_lower_zone",
    "left_upper_zone",
    "left_middle_zone",
    "left_lower_zone",
    "ribs",
    "tube",
    "air_rim"};

/// One synthetic radiograph.
struct PhantomRadiograph {
  index_t size = 0;                  ///< rows and columns
  std::vector<std::uint8_t> pixels;  ///< grey, row-major from the top; dense is bright
  double pixel_mm = 0;               ///< side of a pixel
  /// 255 inside, 0 outside, as large as the picture, by RadiographMask. A lung is where rays meet
  /// it and neither heart nor diaphragm (in a lateral picture: where they meet it at all), with its
  /// fluid and its air rim; zones are its thirds from top to bottom.
  std::array<std::vector<std::uint8_t>, radiograph_mask_count> masks;
  /// what was drawn, by RadiographFinding
  std::array<PhantomFindingNote, radiograph_finding_count> notes{};
  std::vector<std::string> findings_sentences, impression_sentences;
  std::string findings, impression;  ///< the same sentences, joined by blanks

  const std::vector<std::uint8_t>& mask(RadiographMask m) const {
    return masks[static_cast<std::size_t>(m)];
  }
};

namespace detail {

inline void check_radiograph_size(std::string_view where, index_t size) {
  if (size < 16 || size > 2048) fail(where, "{} pixels a row, expected 16 to 2048", size);
}

/// The picture's place about the body, and the pixel's size: about 300 mm fill it.
HLIP_LAZY ProjectionPose draw_pose(const RadiographPlan& plan, index_t size) {
  RandomStream random(radiograph_key(plan, RadiographOwner::picture, RadiographStream::pose));
  const float degree = std::numbers::pi_v<float> / 180;
  ProjectionPose pose;
  const float turn = degree * draw_about(random, 4);
  pose.ray = RayDirection(
      turn + (plan.view == RadiographView::lateral ? 0.5f * std::numbers::pi_v<float> : 0.f));
  pose.roll = degree * draw_about(random, 3.5);
  pose.pixel = 300 * draw(random, 0.95, 1.08) / static_cast<float>(size);
  pose.shift_s = draw_about(random, 11), pose.shift_z = draw_about(random, 12) - 6;
  return pose;
}

/// The zones of one lung: thirds of the heights that its field has.
HLIP_LAZY void mark_zones(PhantomRadiograph& picture, std::size_t side) {
  const auto n = static_cast<std::size_t>(picture.size);
  const auto& lung = picture.masks[side];
  std::size_t first = n, last = 0;
  for (std::size_t row = 0; row < n; ++row)
    if (std::find(lung.begin() + static_cast<std::ptrdiff_t>(row * n),
                  lung.begin() + static_cast<std::ptrdiff_t>((row + 1) * n),
                  255) != lung.begin() + static_cast<std::ptrdiff_t>((row + 1) * n))
      first = std::min(first, row), last = row + 1;
  for (std::size_t row = first; row < last; ++row) {
    auto& zone = picture.masks[2 + 3 * side + 3 * (row - first) / (last - first)];
    for (std::size_t at = row * n; at < (row + 1) * n; ++at) zone[at] = lung[at];
  }
}

/// What film and detector make of the line integrals: the number of photons that come through, its
/// noise, a curve like film's, eight bits.
HLIP_LAZY void expose(const RadiographPlan& plan, RadiographScene& s, PhantomRadiograph& picture) {
  RandomStream random(radiograph_key(plan, RadiographOwner::picture, RadiographStream::exposure));
  auto& sum = s.canvas.sum;
  // lateral rays have a longer way
  const float low = draw(random, 0.1, 0.5) + (s.lateral ? 0.5f : 0.f),
              high = low + draw(random, 4.1, 5.1) + (s.lateral ? 0.9f : 0.f);
  const float dose = std::exp(draw(random, std::log(2e4), std::log(1.6e5))) *
                     (s.lateral ? 2.5f : 1.f),
              steep = draw(random, 2.2, 3.4), middle = draw(random, 0.36, 0.48),
              scatter = draw(random, 0.002, 0.008);
  const auto& normal = normal_table();
  const RandomKey noise = radiograph_key(plan, RadiographOwner::picture, RadiographStream::noise);
  const auto film = [&](float x) { return 1 / (1 + std::exp(-steep * 2 * (x - middle))); };
  const float black = film(0), white = film(1);
  picture.pixels.resize(sum.size());
  for (std::size_t i = 0; i < sum.size(); i += 8) {
    const auto words = philox(noise, i / 8);
    for (std::size_t k = 0; k < 8 && i + k < sum.size(); ++k) {
      const float photons = dose * (std::exp(-sum[i + k]) + scatter);
      const float seen = photons +
                         std::sqrt(photons) * normal[(words[k / 2] >> (k % 2 ? 20 : 4)) & 4095u];
      const float density = -std::log(std::max(seen, 1.f) / dose);
      const float value = (film((density - low) / (high - low)) - black) / (white - black);
      picture.pixels[i + k] = static_cast<std::uint8_t>(
          std::nearbyint(255 * std::clamp(value, 0.f, 1.f)));
    }
  }
}

/// Uneven lungs: a few per cent more or less air, in patches.
HLIP_LAZY void paint_texture(RadiographScene& s, RandomStream& random) {
  auto& c = s.canvas;
  const auto texture = smooth_noise(random, {2, c.size(), c.size()}, {2, 26, 26});
  for (std::size_t side = 0; side < 2; ++side)
    for (std::size_t at = 0; at < c.sum.size(); ++at)
      if (s.field[side][at])
        c.sum[at] += 0.00018f * texture[at + side * c.sum.size()] * c.lung[side][at].length();
}

/// Draws the body and its findings into the scene.
HLIP_LAZY void paint_radiograph(const RadiographPlan& plan, RadiographScene& s,
                                PhantomRadiograph& picture) {
  // One function: a chest from the outside to the inside, as make_phantom.
  using F = RadiographFinding;
  using Owner = RadiographOwner;
  const auto stream = [&](Owner owner, RadiographStream use, int number = 0) {
    return RandomStream(radiograph_key(plan, owner, use, number));
  };
  const auto has = [&](F f) { return plan.labels[static_cast<std::size_t>(f)] == 1; };
  const auto own = [&](F f) {
    return stream(Owner::study, RadiographStream::findings, static_cast<int>(f));
  };
  const auto note = [&](F f) -> PhantomFindingNote& {
    return picture.notes[static_cast<std::size_t>(f)];
  };
  RandomStream body = stream(Owner::subject, RadiographStream::body),
               breath = stream(Owner::study, RadiographStream::breath);
  s.size = static_cast<float>(plan.size);
  s.body = draw_body(body, plan.female, s.size, static_cast<float>(plan.age));
  s.breath = draw_about(breath, 12), s.diaphragm = -88 * s.size + s.breath;
  s.lift = {draw(breath, 8, 16), 0};
  s.canvas.lung_hu = draw(breath, -875, -825);

  RandomStream emphysema = own(F::emphysema), atelectasis = own(F::atelectasis),
               air_rim = own(F::air_rim);
  float severity = 0;
  if (has(F::emphysema)) {
    severity = draw(emphysema, 0.3, 1);
    note(F::emphysema) = emphysema_note(severity);
    s.canvas.lung_hu -= 28 + 40 * severity, s.flat = severity, s.diaphragm -= 16 * severity;
  }
  if (has(F::atelectasis)) note(F::atelectasis) = plan_atelectasis(s, atelectasis);
  if (has(F::air_rim)) note(F::air_rim) = plan_air_rim(s, air_rim);
  paint_trunk(s);
  paint_lungs(s, body);

  float heart = s.body.heart_size, to_left = 0;
  if (has(F::cardiomegaly)) {
    RandomStream cardiomegaly = own(F::cardiomegaly);
    heart = draw(cardiomegaly, 1.24, 1.48), to_left = 6;
    note(F::cardiomegaly).grade = heart < 1.32f ? "mild" : heart < 1.4f ? "moderate" : "marked";
  }
  paint_mediastinum(s, body, heart, to_left);
  paint_spine(s, body);
  // what takes a lung's place comes before what lies in it
  const auto paint = [&](F f, auto painter) {
    if (!has(f)) return;
    RandomStream random = own(f);
    note(f) = painter(random);
  };
  paint(F::hiatal_hernia, [&](RandomStream& r) { return paint_hiatal_hernia(s, r); });
  paint(F::pleural_effusion, [&](RandomStream& r) { return paint_settled_effusion(s, r); });
  if (has(F::air_rim))
    paint_air_rim(s, air_rim, note(F::air_rim),
                  picture.masks[static_cast<std::size_t>(RadiographMask::air_rim)]);
  RandomStream vessels = stream(Owner::subject, RadiographStream::vessels);
  paint_vessels(s, vessels);
  paint_branches(s, vessels);
  RandomStream texture = stream(Owner::subject, RadiographStream::texture);
  paint_texture(s, texture);
  if (has(F::emphysema)) paint_cysts(s, emphysema, severity);
  std::vector<float> warp;
  if (has(F::lung_opacity) || has(F::consolidation)) {
    RandomStream random = stream(Owner::picture, RadiographStream::warp);
    warp = smooth_noise(random, {2, picture.size, picture.size}, {2, 12, 12});
    for (float& w : warp) w *= 0.28f;
  }
  paint(F::lung_opacity, [&](RandomStream& r) { return paint_opacity(s, r, warp.data()); });
  paint(F::consolidation, [&](RandomStream& r) { return paint_consolidation(s, r, warp.data()); });
  if (has(F::atelectasis)) paint_atelectasis(s, atelectasis, note(F::atelectasis));
  paint(F::lung_nodule, [&](RandomStream& r) { return paint_nodules(s, r); });
  paint_bones(s);
  paint(F::tube, [&](RandomStream& r) {
    return paint_tube(s, r, picture.masks[static_cast<std::size_t>(RadiographMask::tube)]);
  });
  for (std::size_t f = 0; f < picture.notes.size(); ++f)
    picture.notes[f].present = plan.labels[f] == 1;
}

}  // namespace detail

/// Draws a planned radiograph. The picture depends on plan and size alone; a finding has random
/// numbers of its own, so that with its label set the other way the rest stays as it was.
/// @param size rows and columns, 16 to 2048
/// @throws hlip::error if the size is impossible
HLIP_LAZY PhantomRadiograph draw_radiograph(const RadiographPlan& plan, index_t size) {
  using namespace detail;
  check_radiograph_size("draw_radiograph", size);
  const auto n = static_cast<std::size_t>(size * size);
  PhantomRadiograph picture;
  picture.size = size;
  for (auto& mask : picture.masks) mask.assign(n, 0);
  const ProjectionPose pose = draw_pose(plan, size);
  picture.pixel_mm = static_cast<double>(pose.pixel);
  RadiographScene scene(size, pose);
  scene.lateral = plan.view == RadiographView::lateral;
  scene.ribs.assign(n, 0);
  for (auto& field : scene.field) field.assign(n, 0);
  paint_radiograph(plan, scene, picture);
  expose(plan, scene, picture);
  for (std::size_t side = 0; side < 2; ++side) {
    picture.masks[side] = std::move(scene.field[side]);
    mark_zones(picture, side);
  }
  picture.masks[static_cast<std::size_t>(RadiographMask::ribs)] = std::move(scene.ribs);
  auto report = write_report(
      radiograph_words, picture.notes, plan.options.prevalence, plan.options.mention,
      RandomStream(radiograph_key(plan, RadiographOwner::study, RadiographStream::report)));
  picture.findings = join_sentences(report.findings);
  picture.impression = join_sentences(report.impression);
  picture.findings_sentences = std::move(report.findings);
  picture.impression_sentences = std::move(report.impression);
  return picture;
}

HLIP_END
