#include <doctest/doctest.h>

#include <hlip/phantoms/chest_ct.hpp>

#include <thread>

using namespace hlip;

namespace {

using F = PhantomFinding;
using S = PhantomStructure;

PhantomOptions mapped(std::initializer_list<PhantomFinding> findings) {
  PhantomOptions options;
  options.prevalence.fill(0), options.label_maps = true;
  for (const auto f : findings) options.prevalence[static_cast<std::size_t>(f)] = 1;
  return options;
}

// Where a structure lies, in mm about the grid's centre: x to the left, y to the back, z up.
struct Place {
  double ml = 0, x = 0, y = 0, z = 0;
  double hu = 0;     // mean
  double right = 0;  // share on the right of the grid
};

Place place(const PhantomStudy& s, S structure) {
  Place p;
  double n = 0;
  std::size_t at = 0;
  for (index_t z = 0; z < s.dhw[0]; ++z)
    for (index_t y = 0; y < s.dhw[1]; ++y)
      for (index_t x = 0; x < s.dhw[2]; ++x, ++at) {
        if (s.label_map[at] != static_cast<std::uint8_t>(structure)) continue;
        const double mm = (static_cast<double>(x) - 31.5) * s.spacing[2];
        p.x += mm, p.right += mm < 0, p.hu += s.hu[at];
        p.y += (static_cast<double>(y) - 31.5) * s.spacing[1];
        p.z += (static_cast<double>(z) - 16.5) * s.spacing[0];
        ++n;
      }
  if (n > 0) p.x /= n, p.y /= n, p.z /= n, p.hu /= n, p.right /= n;
  p.ml = n * s.spacing[0] * s.spacing[1] * s.spacing[2] / 1000;
  return p;
}

double lesion_share(const PhantomStudy& s) {
  const auto n = std::count(s.label_map.begin(), s.label_map.end(),
                            static_cast<std::uint8_t>(S::lesion));
  return static_cast<double>(n) / static_cast<double>(s.label_map.size());
}

}  // namespace

TEST_CASE("phantom labels: a study with a map is the study without it") {
  PhantomOptions usual, all;
  all.prevalence.fill(1);
  for (const PhantomOptions& plain : {usual, all, PhantomOptions(mapped({}))}) {
    PhantomOptions off = plain, on = plain;
    off.label_maps = false, on.label_maps = true;
    for (index_t i = 0; i < 6; ++i) {
      const auto a = make_phantom(off, 31, "train", i), b = make_phantom(on, 31, "train", i);
      CHECK(a.hu == b.hu);
      CHECK(a.findings == b.findings);
      CHECK(a.impression == b.impression);
      CHECK(a.label_map.empty());
      REQUIRE(b.label_map.size() == b.hu.size());
      CHECK(*std::max_element(b.label_map.begin(), b.label_map.end()) < phantom_structure_count);
    }
  }
}

TEST_CASE("phantom labels: threads do not matter") {
  PhantomOptions options;
  options.label_maps = true;
  std::vector<PhantomStudy> alone(4), threaded(4);
  for (std::size_t i = 0; i < 4; ++i)
    alone[i] = make_phantom(options, 9, "valid", static_cast<index_t>(i));
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 4; ++i)
    threads.emplace_back(
        [&, i] { threaded[i] = make_phantom(options, 9, "valid", static_cast<index_t>(i)); });
  for (auto& t : threads) t.join();
  for (std::size_t i = 0; i < 4; ++i) CHECK(alone[i].label_map == threaded[i].label_map);
}

TEST_CASE("phantom labels: organs have the size, place and HU of organs") {
  for (index_t i = 0; i < 12; ++i) {
    const auto s = make_phantom(mapped({}), 14, "train", i);
    CAPTURE(i);
    const Place right = place(s, S::right_lung), left = place(s, S::left_lung),
                heart = place(s, S::heart), aorta = place(s, S::aorta), liver = place(s, S::liver);
    for (const Place* lung : {&right, &left}) {
      CHECK(lung->ml > 700);
      CHECK(lung->ml < 2800);
      CHECK(lung->hu > -900);
      CHECK(lung->hu < -700);
    }
    CHECK(right.ml > left.ml);  // the heart takes its place on the left
    CHECK(right.right == 1);    // stored x runs to the patient's left
    CHECK(left.right == 0);
    CHECK(heart.ml > 200);
    CHECK(heart.ml < 600);
    CHECK(heart.x > right.x + 30);
    CHECK(heart.x < left.x - 30);
    CHECK(heart.y < 0);  // in front
    CHECK(heart.z < std::min(right.z, left.z));
    CHECK(aorta.ml > 80);
    CHECK(aorta.ml < 350);
    CHECK(aorta.z > heart.z);
    CHECK(aorta.y > heart.y);
    CHECK(liver.ml > 300);
    CHECK(liver.ml < 2000);
    CHECK(liver.z < heart.z - 20);
    CHECK(liver.right > 0.8);  // it ends 12 mm left of the midline
    // soft tissue, with a little fat or lung at the edge
    for (const Place* organ : {&heart, &aorta, &liver}) {
      CHECK(organ->hu > 10);
      CHECK(organ->hu < 75);
    }
    CHECK(lesion_share(s) == 0);
  }
}

TEST_CASE("phantom labels: whatever has a class lies inside of the body") {
  PhantomOptions options;
  options.label_maps = true;
  for (index_t i = 0; i < 6; ++i) {
    const auto s = make_phantom(options, 15, "train", i);
    const auto width = static_cast<std::size_t>(s.dhw[2]);
    std::size_t outside = 0;
    for (std::size_t row = 0; row < s.hu.size(); row += width) {
      std::size_t first = 0, last = width;  // the body's part of a row
      while (first < width && s.hu[row + first] < -500) ++first;
      while (last > first && s.hu[row + last - 1] < -500) --last;
      for (std::size_t x = 0; x < width; ++x)
        outside += s.label_map[row + x] != 0 && (x <= first || x + 1 >= last);
    }
    CHECK(outside == 0);
  }
}

TEST_CASE("phantom labels: there are lesions exactly where a lesion was found") {
  PhantomOptions options;
  options.label_maps = true;
  int with = 0, without = 0;
  for (index_t i = 0; i < 60; ++i) {
    const auto s = make_phantom(options, 16, "train", i);
    bool found = false;
    for (int f = 0; f < phantom_finding_count; ++f)
      found = found || (s.notes[static_cast<std::size_t>(f)].present &&
                        phantom_is_lesion(static_cast<F>(f)));
    CHECK((lesion_share(s) > 0) == found);
    ++(found ? with : without);
  }
  CHECK(with > 20);
  CHECK(without > 2);
  // one by one
  for (int f = 0; f < phantom_finding_count; ++f) {
    CAPTURE(phantom_finding_names[static_cast<std::size_t>(f)]);
    for (index_t i = 0; i < 12; ++i) {
      const auto s = make_phantom(mapped({static_cast<F>(f)}), 17, "train", i);
      CHECK((lesion_share(s) > 0) == phantom_is_lesion(static_cast<F>(f)));
    }
  }
}

TEST_CASE("phantom labels: a lesion's voxels are those it fills") {
  for (const F f : {F::consolidation, F::lung_nodule}) {
    const double gain = f == F::consolidation ? 0.95 : 1;
    for (index_t i = 0; i < 6; ++i) {
      const auto off = make_phantom(mapped({}), 18, "train", i),
                 on = make_phantom(mapped({f}), 18, "train", i);
      std::size_t wrong = 0, lesions = 0, elsewhere = 0;
      for (std::size_t k = 0; k < on.hu.size(); ++k) {
        const bool lesion = on.label_map[k] == static_cast<std::uint8_t>(S::lesion);
        lesions += lesion;
        elsewhere += !lesion && on.label_map[k] != off.label_map[k];
        if (off.hu[k] > -700) continue;
        // How much of a voxel of lung is filled, give or take noise and the density of a nodule
        // (30 to 90 HU); the centre is inside when it is more than a half
        const double filled = (on.hu[k] - off.hu[k]) / gain / (40 - off.hu[k]);
        wrong += filled > 0.6 && !lesion;
        wrong += filled < 0.4 && lesion;
      }
      CHECK(lesions > 4);
      CHECK(wrong == 0);
      CHECK(elsewhere == 0);
    }
  }
}

TEST_CASE("phantom labels: what is no lesion leaves the classes or takes them away") {
  for (index_t i = 0; i < 4; ++i) {
    const auto healthy = make_phantom(mapped({}), 19, "train", i);
    for (const F part : {F::emphysema, F::arterial_wall_calcification})
      CHECK(make_phantom(mapped({part}), 19, "train", i).label_map == healthy.label_map);
    const auto hernia = make_phantom(mapped({F::hiatal_hernia}), 19, "train", i);
    std::size_t cleared = 0, other = 0;
    for (std::size_t k = 0; k < healthy.label_map.size(); ++k)
      if (hernia.label_map[k] != healthy.label_map[k])
        ++(hernia.label_map[k] == 0 ? cleared : other);
    CHECK(cleared > 0);
    CHECK(other == 0);
    const auto large = make_phantom(mapped({F::cardiomegaly}), 19, "train", i);
    CHECK(place(large, S::heart).ml > 1.3 * place(healthy, S::heart).ml);
    // the bands lie in the lung, below which the diaphragm has risen
    const auto bands = make_phantom(mapped({F::atelectasis}), 19, "train", i);
    for (const S lung : {S::right_lung, S::left_lung})
      CHECK(place(bands, lung).ml > 0.6 * place(healthy, lung).ml);
  }
}

TEST_CASE("phantom labels: lesions are on the side that the report says") {
  int right = 0, left = 0, both = 0;
  for (const F f : {F::lung_nodule, F::lung_opacity, F::consolidation, F::pleural_effusion})
    for (index_t i = 0; i < 16; ++i) {
      const auto s = make_phantom(mapped({f}), 20, "train", i);
      const auto& note = s.notes[static_cast<std::size_t>(f)];
      if (note.count > 1) continue;  // several nodules are reported by the largest only
      const double share = place(s, S::lesion).right;
      CAPTURE(note.side);
      if (note.side == "right") CHECK(share == 1);
      if (note.side == "left") CHECK(share == 0);
      if (note.side == "both") CHECK(std::abs(share - 0.5) < 0.49);
      right += note.side == "right", left += note.side == "left", both += note.side == "both";
    }
  CHECK(right > 5);
  CHECK(left > 5);
  CHECK(both > 3);
}

TEST_CASE("phantom labels: lesions are small") {
  const auto mean = [](F f) {
    double sum = 0;
    for (index_t i = 0; i < 30; ++i)
      sum += lesion_share(make_phantom(mapped({f}), 21, "train", i)) / 30;
    return sum;
  };
  // the means of 400 studies are 0.065 %, 0.59 %, 1.1 % and 0.55 %, and the deviation of a mean of
  // 30 is below a fifth of that
  CHECK(std::abs(mean(F::lung_nodule) - 0.00065) < 0.0004);
  CHECK(std::abs(mean(F::consolidation) - 0.0059) < 0.0035);
  CHECK(std::abs(mean(F::lung_opacity) - 0.0114) < 0.007);
  CHECK(std::abs(mean(F::pleural_effusion) - 0.0055) < 0.0035);
}

TEST_CASE("phantom labels: a finer grid has the same bodies") {
  PhantomOptions coarse, fine;
  coarse.label_maps = fine.label_maps = true;
  fine.slices = 68, fine.pixels = 128;
  const auto a = make_phantom(coarse, 22, "train", 0), b = make_phantom(fine, 22, "train", 0);
  for (std::uint8_t c = 1; c < phantom_structure_count; ++c) {
    const auto n = static_cast<double>(std::count(a.label_map.begin(), a.label_map.end(), c)),
               m = static_cast<double>(std::count(b.label_map.begin(), b.label_map.end(), c));
    CAPTURE(phantom_structure_names[c]);
    CHECK(std::abs(m / 8 - n) < 0.1 * n + 20);
  }
}
