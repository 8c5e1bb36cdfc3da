#include "../support/errors.hpp"

#include <hlip/phantoms/radiograph.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>
#include <set>
#include <thread>

using namespace hlip;
using F = RadiographFinding;
using M = RadiographMask;
using test::error_of;

namespace {

constexpr auto number(F f) { return static_cast<std::size_t>(f); }

// A picture's plan with these findings and no others.
RadiographPlan only(index_t index, std::initializer_list<F> findings) {
  RadiographPlan plan = plan_radiograph({}, 5, index);
  plan.labels.fill(0);
  for (const F f : findings) plan.labels[number(f)] = 1;
  return plan;
}

std::size_t count(const std::vector<std::uint8_t>& mask) {
  return static_cast<std::size_t>(std::count(mask.begin(), mask.end(), 255));
}

// Mean grey value where the mask is.
double mean(const PhantomRadiograph& p, const std::vector<std::uint8_t>& mask) {
  double sum = 0;
  for (std::size_t i = 0; i < mask.size(); ++i) sum += mask[i] ? p.pixels[i] : 0;
  return sum / static_cast<double>(count(mask));
}

// Columns of the picture that a mask reaches, last less first, mm.
double width(const PhantomRadiograph& p, const std::vector<std::uint8_t>& mask) {
  index_t first = p.size, last = 0;
  for (std::size_t i = 0; i < mask.size(); ++i)
    if (mask[i])
      first = std::min(first, static_cast<index_t>(i) % p.size),
      last = std::max(last, static_cast<index_t>(i) % p.size);
  return static_cast<double>(last - first) * p.pixel_mm;
}

// Mean distance of the lungs from each other, mm: what heart and vessels take.
double gap(const PhantomRadiograph& p) {
  double sum = 0, rows = 0;
  for (index_t row = 0; row < p.size; ++row) {
    index_t right = -1, left = -1;
    for (index_t c = 0; c < p.size; ++c) {
      const auto at = static_cast<std::size_t>(row * p.size + c);
      if (p.masks[0][at]) right = c;
      if (p.masks[1][at] && left < 0) left = c;
    }
    if (right >= 0 && left >= 0) sum += static_cast<double>(left - right), ++rows;
  }
  return sum / rows * p.pixel_mm;
}

// How much brighter ribs are than the lung between them.
double bone(const PhantomRadiograph& p) {
  auto rib = p.mask(M::right_lung), between = rib;
  for (std::size_t k = 0; k < rib.size(); ++k) (p.mask(M::ribs)[k] ? between : rib)[k] = 0;
  return mean(p, rib) - mean(p, between);
}

}  // namespace

TEST_CASE("ray spans: the chord of an ellipsoid is the sum along its ray, at any angle") {
  using namespace detail;
  const PatientPoint c{12, -7, 5}, r{31, 18, 24};
  for (const float angle : {0.f, 0.3f, 1.2f, 1.5707964f}) {
    const RayDirection ray(angle);
    const RayEllipse section(ray, c.x, c.y, r.x, r.y);
    for (const float z : {-15.f, 0.f, 5.f, 27.f})
      for (float s = -60; s < 60; s += 3.7f) {
        constexpr double step = 0.01;
        double sum = 0;
        for (double t = -100; t < 100; t += step) {
          const double x = ray.c * s - ray.s * t, y = ray.s * s + ray.c * t;
          const double u = (x - c.x) / r.x, v = (y - c.y) / r.y, w = (z - c.z) / r.z;
          sum += u * u + v * v + w * w < 1 ? step : 0;
        }
        const float up = (z - c.z) / r.z;
        CHECK(std::abs(section.at(s, 1 - up * up).length() - sum) < 0.03);
      }
  }
}

TEST_CASE("ray spans: what is cut out of a lung is gone, once") {
  using detail::LungSpans, detail::RaySpan;
  LungSpans lung(RaySpan{0, 100});
  CHECK(lung.cut({20, 30}) == 10);
  CHECK(lung.cut({25, 40}) == 10);
  CHECK(lung.cut({-10, 5}) == 5);
  CHECK(lung.cut({95, 200}) == 5);
  CHECK(lung.length() == 70);
  CHECK(lung.length({0, 50}) == 25);
  CHECK(lung.keep({10, 60}) == 40);
  CHECK(lung.length() == 30);
  CHECK(lung.cut({0, 100}) == 30);
  CHECK(lung.length() == 0);
  CHECK(lung.cut({0, 100}) == 0);
}

TEST_CASE("projection: a body's sum over the picture is its volume, a thin tube's at every size") {
  using namespace detail;
  const float water = attenuation(1000) - attenuation(soft_tissue_hu);
  for (const index_t size : {48, 96, 384}) {
    ProjectionPose pose;
    pose.ray = RayDirection(0.2f), pose.pixel = 192 / static_cast<float>(size), pose.roll = 0.1f;
    const auto total = [&](auto paint) {
      ProjectionCanvas<> canvas(size, pose);
      paint(canvas);
      return std::accumulate(canvas.sum.begin(), canvas.sum.end(), 0.) *
             static_cast<double>(pose.pixel * pose.pixel / water);
    };
    const double pi = 3.14159265358979;
    CHECK(total([](auto& c) {
            c.ellipsoid({5, 3, -8}, {30, 20, 25}, 1000);
          }) == doctest::Approx(4 * pi / 3 * 30 * 20 * 25).epsilon(0.01));
    // a tube's ends are round, which adds a little
    CHECK(total([](auto& c) {
            c.tube({-40, 0, -30}, {40, 20, 35}, 1.5f, 1.5f, 1000);
          }) ==
          doctest::Approx(pi * 1.5 * 1.5 * std::sqrt(80. * 80 + 20 * 20 + 65 * 65)).epsilon(0.12));
  }
}

TEST_CASE("projection: a body replaces the lung it lies in and the soft tissue around it") {
  using namespace detail;
  ProjectionPose pose;
  pose.pixel = 2;
  ProjectionCanvas<> canvas(33, pose);
  const std::size_t middle = 16 * 33 + 16;
  canvas.lung[1][middle] = LungSpans({0, 50});
  canvas.ellipsoid({0, 0, 0}, {20, 20, 20}, 60, {1});
  CHECK(canvas.sum[middle] == doctest::Approx(20 * (attenuation(60) - canvas.lung_attenuation(1))));
  CHECK(canvas.lung[1][middle].length() == 50);  // what lies in a lung leaves it a lung
  canvas.sum[middle] = 0;
  canvas.ellipsoid({0, 0, 0}, {20, 20, 20}, 60);
  CHECK(canvas.sum[middle] ==
        doctest::Approx(20 * (attenuation(60) - canvas.lung_attenuation(1)) +
                        20 * (attenuation(60) - attenuation(soft_tissue_hu))));
  CHECK(canvas.lung[1][middle].length() == 30);
}

TEST_CASE("phantom radiograph: depends on seed, number and size only, in any order and thread") {
  std::vector<PhantomRadiograph> forwards(6), threaded(6);
  for (std::size_t i = 0; i < 6; ++i)
    forwards[i] = draw_radiograph(plan_radiograph({}, 9, static_cast<index_t>(i)), 64);
  std::vector<std::thread> threads;
  for (std::size_t i = 6; i-- > 0;)
    threads.emplace_back([&, i] {
      threaded[i] = draw_radiograph(plan_radiograph({}, 9, static_cast<index_t>(i)), 64);
    });
  for (auto& t : threads) t.join();
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(forwards[i].pixels == threaded[i].pixels);
    CHECK(forwards[i].masks == threaded[i].masks);
    CHECK(forwards[i].findings == threaded[i].findings);
    if (i > 0) CHECK(forwards[i].pixels != forwards[i - 1].pixels);
  }
  CHECK(forwards[0].pixels != draw_radiograph(plan_radiograph({}, 8, 0), 64).pixels);
}

TEST_CASE("phantom radiograph: every size shows the same body") {
  const RadiographPlan plan = only(2, {F::tube, F::air_rim});
  std::vector<double> share;
  for (const index_t size : {64, 112, 224, 518}) {
    const auto p = draw_radiograph(plan, size);
    REQUIRE(p.pixels.size() == static_cast<std::size_t>(size * size));
    share.push_back(static_cast<double>(count(p.mask(M::right_lung))) /
                    static_cast<double>(size * size));
    CHECK(count(p.mask(M::tube)) > 0);
    CHECK(count(p.mask(M::air_rim)) > 0);
    CHECK(*std::max_element(p.pixels.begin(), p.pixels.end()) > 200);
    CHECK(*std::min_element(p.pixels.begin(), p.pixels.end()) < 60);
  }
  for (const double s : share) CHECK(s == doctest::Approx(share.back()).epsilon(0.03));
}

TEST_CASE("phantom radiograph: masks lie in the picture and agree with the findings") {
  for (index_t i = 0; i < 60; ++i) {
    const RadiographPlan plan = plan_radiograph({}, 12, i);
    const auto p = draw_radiograph(plan, 112);
    const bool frontal = plan.view == RadiographView::frontal;
    CAPTURE(i);
    for (const auto& mask : p.masks) {
      REQUIRE(mask.size() == p.pixels.size());
      CHECK(count(mask) + static_cast<std::size_t>(std::count(mask.begin(), mask.end(), 0)) ==
            mask.size());
    }
    for (std::size_t side = 0; side < 2; ++side) {
      const auto& lung = p.masks[side];
      CHECK(count(lung) > lung.size() / 50);
      std::vector<std::uint8_t> zones(lung.size());
      std::size_t in_zones = 0;
      for (std::size_t z = 0; z < 3; ++z) {
        const auto& zone = p.masks[2 + 3 * side + z];
        CHECK(count(zone) > 0);
        in_zones += count(zone);
        for (std::size_t k = 0; k < zone.size(); ++k) zones[k] = zones[k] | zone[k];
      }
      CHECK(zones == lung);
      CHECK(in_zones == count(lung));
    }
    double x[2] = {}, both = 0;
    for (std::size_t k = 0; k < p.pixels.size(); ++k) {
      for (std::size_t side = 0; side < 2; ++side)
        if (p.masks[side][k]) x[side] += static_cast<double>(k % 112);
      both += p.masks[0][k] && p.masks[1][k];
    }
    if (frontal) {
      CHECK(both == 0);
      CHECK(x[0] / static_cast<double>(count(p.masks[0])) + 20 <
            x[1] / static_cast<double>(count(p.masks[1])));  // the patient's right is on the left
    } else {
      CHECK(both > 0);
    }
    CHECK(count(p.mask(M::ribs)) > p.pixels.size() / 50);
    CHECK((count(p.mask(M::tube)) > 0) == (plan.labels[number(F::tube)] == 1));
    CHECK((count(p.mask(M::air_rim)) > 0) == (plan.labels[number(F::air_rim)] == 1));
    for (std::size_t f = 0; f < p.notes.size(); ++f)
      CHECK(p.notes[f].present == (plan.labels[f] == 1));
    const auto& rim = p.mask(M::air_rim);
    const auto& lung = p.masks[p.notes[number(F::air_rim)].side == "left" ? 1 : 0];
    std::size_t outside = 0;
    for (std::size_t k = 0; k < rim.size(); ++k) outside += rim[k] && !lung[k];
    CHECK(outside <= count(rim) / 10);
  }
}

TEST_CASE("phantom radiograph: each finding changes the picture as it should, and alone") {
  for (index_t i = 0; i < 12; i += 2) {
    CAPTURE(i);
    const auto plain = draw_radiograph(only(i, {}), 112);
    const auto with = [&](F f) { return draw_radiograph(only(i, {f}), 112); };
    const auto side_of = [&](const PhantomRadiograph& p, F f) {
      return p.notes[number(f)].side == "left" ? M::left_lung : M::right_lung;
    };
    // brighter where it is: the mean grey value of what lies on its side
    for (const F f :
         {F::atelectasis, F::lung_nodule, F::lung_opacity, F::pleural_effusion, F::consolidation}) {
      const auto p = with(f);
      const auto& lung = plain.mask(side_of(p, f));
      CAPTURE(radiograph_finding_names[number(f)]);
      CHECK(mean(p, lung) > mean(plain, lung) + 0.03);
      std::size_t darker = 0;
      for (std::size_t k = 0; k < lung.size(); ++k) darker += p.pixels[k] + 12 < plain.pixels[k];
      CHECK(darker < lung.size() / 20);
    }
    const auto emphysema = with(F::emphysema), rim = with(F::air_rim),
               heart = with(F::cardiomegaly), hernia = with(F::hiatal_hernia), tube = with(F::tube);
    CHECK(mean(emphysema, plain.mask(M::right_upper_zone)) <
          mean(plain, plain.mask(M::right_upper_zone)) - 3);
    CHECK(mean(rim, rim.mask(M::air_rim)) < mean(plain, rim.mask(M::air_rim)) - 3);
    CHECK(mean(tube, tube.mask(M::tube)) > mean(plain, tube.mask(M::tube)) + 2);
    CHECK(count(heart.mask(M::left_lung)) < count(plain.mask(M::left_lung)));
    CHECK(hernia.pixels != plain.pixels);
    CHECK(hernia.masks == plain.masks);
    CHECK(tube.masks[0] == plain.masks[0]);
  }
}

TEST_CASE("phantom radiograph: prevalences, the rare finding's too, views and subjects") {
  const RadiographPhantomOptions options;
  constexpr int n = 8000;
  std::array<double, radiograph_finding_count> sum{};
  double lateral = 0, frontal = 0, women = 0;
  for (index_t i = 0; i < n; ++i) {
    const auto plan = plan_radiograph(options, 21, i);
    REQUIRE(plan.subject == i / 2);
    women += plan.female;
    const bool from_side = plan.view == RadiographView::lateral;
    lateral += from_side;
    if (i % 2 == 1) {
      const auto before = plan_radiograph(options, 21, i - 1);
      CHECK(before.view == RadiographView::frontal);
      CHECK(before.female == plan.female);
      CHECK(before.age == plan.age);
      CHECK(before.size == plan.size);
      if (from_side) CHECK(before.labels == plan.labels);
    }
    if (from_side) continue;
    ++frontal;
    for (std::size_t f = 0; f < sum.size(); ++f) sum[f] += plan.labels[f];
  }
  for (std::size_t f = 0; f < sum.size(); ++f) {
    const double p = options.prevalence[f];
    CAPTURE(radiograph_finding_names[f]);
    CHECK(std::abs(sum[f] / frontal - p) <= 4 * std::sqrt(p * (1 - p) / frontal));
  }
  CHECK(options.prevalence[number(F::hiatal_hernia)] == 0.02);
  CHECK(sum[number(F::hiatal_hernia)] > 0);
  CHECK(lateral / n == doctest::Approx(options.lateral).epsilon(0.1));
  CHECK(women / n == doctest::Approx(0.5).epsilon(0.1));
  for (const auto name : {"Emphysema", "Lung nodule", "Hiatal hernia", "Tube", "Air rim"})
    CHECK(std::count(radiograph_finding_names.begin(), radiograph_finding_names.end(), name) == 1);
}

TEST_CASE("phantom radiograph: sex, age and size move the anatomy") {
  int bright_breast = 0, wide_heart = 0;
  for (index_t i = 0; i < 20; i += 2) {
    CAPTURE(i);
    RadiographPlan plan = only(i, {}), other = plan;
    plan.size = 0.9, other.size = 1.1;
    const auto small = draw_radiograph(plan, 112), large = draw_radiograph(other, 112);
    for (const M m : {M::right_lung, M::left_lung})
      CHECK(width(large, large.mask(m)) > 1.08 * width(small, small.mask(m)));

    plan = other = only(i, {});
    plan.age = 25, other.age = 85;
    const auto young = draw_radiograph(plan, 112), old = draw_radiograph(other, 112);
    wide_heart += gap(old) > gap(young);
    CHECK(bone(old) < bone(young));

    plan = other = only(i, {});
    plan.female = true, other.female = false;
    const auto woman = draw_radiograph(plan, 112), man = draw_radiograph(other, 112);
    const auto contrast = [&](const PhantomRadiograph& p) {
      return mean(p, p.mask(M::right_lower_zone)) - mean(p, p.mask(M::right_upper_zone));
    };
    bright_breast += contrast(woman) > contrast(man);
    CHECK(width(woman, woman.mask(M::ribs)) < width(man, man.mask(M::ribs)));
  }
  CHECK(bright_breast >= 9);
  CHECK(wide_heart >= 9);
}

TEST_CASE("phantom radiograph: the report names what is there and denies nothing of it") {
  std::set<std::string> reports;
  for (index_t i = 0; i < 60; ++i) {
    const auto plan = plan_radiograph({}, 4, i);
    const auto p = draw_radiograph(plan, 32);
    CAPTURE(p.findings);
    CHECK(p.findings.find('{') == std::string::npos);
    int findings = 0;
    for (std::size_t f = 0; f < p.notes.size(); ++f) {
      const auto& sentences = detail::radiograph_finding_sentences[f];
      const auto said = [&](const auto& list, const std::string& text) {
        bool found = false;
        for (const auto sentence : list)
          found = found || (!sentence.empty() &&
                            text.find(detail::fill_sentence(sentence, p.notes[f])) != text.npos);
        return found;
      };
      findings += plan.labels[f];
      CAPTURE(radiograph_finding_names[f]);
      CHECK(said(sentences.described, p.findings) == (plan.labels[f] == 1));
      if (plan.labels[f]) CHECK(said(sentences.concluded, p.impression));
      if (plan.labels[f]) CHECK_FALSE(said(sentences.absent, p.findings));
    }
    if (findings == 0) CHECK(p.impression_sentences.size() == 1);
    if (plan.view == RadiographView::lateral)  // of the same visit
      CHECK(p.findings == draw_radiograph(plan_radiograph({}, 4, i - 1), 32).findings);
    reports.insert(p.findings);
  }
  CHECK(reports.size() > 40);
}

TEST_CASE("phantom radiograph: impossible settings are refused") {
  RadiographPhantomOptions options;
  options.prevalence[number(F::tube)] = 1.5;
  CHECK(error_of([&] { plan_radiograph(options, 1, 0); }).find("Tube") != std::string::npos);
  options = {};
  options.lateral = 0.8;
  CHECK(error_of([&] { plan_radiograph(options, 1, 0); }).find("0.8") != std::string::npos);
  CHECK_THROWS_AS(plan_radiograph({}, 1, -1), error);
  for (const index_t size : {0, 15, 2049, -3})
    CHECK(error_of([&] {
            draw_radiograph(plan_radiograph({}, 1, 0), size);
          }).find("expected 16 to 2048") != std::string::npos);
}
