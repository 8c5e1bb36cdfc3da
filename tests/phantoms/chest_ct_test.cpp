#include <doctest/doctest.h>

#include <hlip/phantoms/chest_ct.hpp>

#include <map>
#include <thread>

using namespace hlip;

namespace {

constexpr auto number(PhantomFinding f) { return static_cast<std::size_t>(f); }

PhantomOptions only(std::initializer_list<PhantomFinding> findings) {
  PhantomOptions options;
  options.prevalence.fill(0);
  for (const auto f : findings) options.prevalence[number(f)] = 1;
  return options;
}

// What a finding changed in study i, in patient millimetres about the grid's centre (rotation and
// shift, below 1 cm, are ignored).
struct Change {
  PhantomFindingNote note;
  double voxels = 0, up = 0, down = 0;  // changed voxels, HU added and removed in all
  double x = 0, y = 0, z = 0;           // centre of gravity of |change|
  double right = 0;                     // share of |change| on the patient's right
  double lung = 0;                      // share of changed voxels that were lung before
  double lung_up = 0, lung_down = 0;    // HU added and removed in those
};

Change change(PhantomFinding finding, index_t i) {
  static std::map<index_t, PhantomStudy> healthy;
  if (!healthy.contains(i)) healthy[i] = make_phantom(only({}), 5, "train", i);
  const PhantomStudy &off = healthy[i], on = make_phantom(only({finding}), 5, "train", i);
  Change c;
  c.note = on.notes[number(finding)];
  double weight = 0;
  for (index_t z = 0, at = 0; z < off.dhw[0]; ++z)
    for (index_t y = 0; y < off.dhw[1]; ++y)
      for (index_t x = 0; x < off.dhw[2]; ++x, ++at) {
        const auto k = static_cast<std::size_t>(at);
        const double d = on.hu[k] - off.hu[k], w = std::abs(d);
        if (d == 0) continue;
        const double mm = (static_cast<double>(x) - 31.5) * off.spacing[2];
        weight += w, c.x += w * mm, c.right += mm < 0 ? w : 0;
        c.y += w * (static_cast<double>(y) - 31.5) * off.spacing[1];
        c.z += w * (static_cast<double>(z) - 16.5) * off.spacing[0];
        (d > 0 ? c.up : c.down) += w;
        if (off.hu[k] < -500) ++c.lung, (d > 0 ? c.lung_up : c.lung_down) += w;
        ++c.voxels;
      }
  if (weight > 0)
    c.x /= weight, c.y /= weight, c.z /= weight, c.right /= weight, c.lung /= c.voxels;
  return c;
}

}  // namespace

TEST_CASE("phantom: a study depends on seed, split and number only") {
  const PhantomOptions options;
  const auto a = make_phantom(options, 1, "train", 3);
  CHECK(a.hu != make_phantom(options, 2, "train", 3).hu);
  CHECK(a.hu != make_phantom(options, 1, "valid", 3).hu);
  CHECK(a.hu != make_phantom(options, 1, "train", 4).hu);
  const auto b = make_phantom(options, 1, "train", 3);
  CHECK(a.hu == b.hu);
  CHECK(a.findings == b.findings);
  CHECK(a.impression == b.impression);
  CHECK(a.spacing == b.spacing);
  CHECK(a.labels == b.labels);
}

TEST_CASE("phantom: order and threads do not matter") {
  const PhantomOptions options;
  std::vector<PhantomStudy> forwards(6), threaded(6);
  for (std::size_t i = 0; i < 6; ++i)
    forwards[i] = make_phantom(options, 9, "valid", static_cast<index_t>(i));
  std::vector<std::thread> threads;
  for (std::size_t i = 6; i-- > 0;)
    threads.emplace_back(
        [&, i] { threaded[i] = make_phantom(options, 9, "valid", static_cast<index_t>(i)); });
  for (auto& t : threads) t.join();
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(forwards[i].hu == threaded[i].hu);
    CHECK(forwards[i].findings == threaded[i].findings);
  }
}

TEST_CASE("phantom: findings have their prevalence and are independent") {
  const PhantomOptions options;
  constexpr int n = 6000;
  std::array<double, phantom_finding_count> sum{};
  std::array<std::array<double, phantom_finding_count>, phantom_finding_count> both{};
  for (index_t i = 0; i < n; ++i) {
    const auto labels = phantom_labels(options, 21, "train", i);
    const auto has = [&](int f) {
      return labels[static_cast<std::size_t>(phantom_label_column(static_cast<PhantomFinding>(f)))];
    };
    for (int f = 0; f < phantom_finding_count; ++f)
      for (int g = 0; g <= f; ++g)
        both[static_cast<std::size_t>(f)][static_cast<std::size_t>(g)] += has(f) * has(g);
    int drawn = 0;
    for (int f = 0; f < phantom_finding_count; ++f) drawn += has(f);
    int all = 0;
    for (const int l : labels) all += l;
    REQUIRE(all == drawn);  // the columns a phantom cannot draw stay 0
  }
  for (std::size_t f = 0; f < sum.size(); ++f) {
    const double p = options.prevalence[f];
    CHECK(std::abs(both[f][f] / n - p) <= 4 * std::sqrt(p * (1 - p) / n));
    for (std::size_t g = 0; g < f; ++g) {
      const double q = p * options.prevalence[g];
      CHECK(std::abs(both[f][g] / n - q) <= 4.5 * std::sqrt(q * (1 - q) / n));
    }
  }
}

TEST_CASE("phantom: labels drawn alone are those of the study") {
  const PhantomOptions options;
  for (index_t i = 0; i < 4; ++i)
    CHECK(make_phantom(options, 2, "valid", i).labels == phantom_labels(options, 2, "valid", i));
  CHECK(phantom_label_column(PhantomFinding::pleural_effusion) == 12);
}

TEST_CASE("phantom: values are HU of a chest in air") {
  for (index_t i = 0; i < 4; ++i) {
    const auto s = make_phantom({}, 4, "train", i);
    REQUIRE(s.dhw == Shape{34, 64, 64});
    REQUIRE(static_cast<index_t>(s.hu.size()) == s.dhw.numel());
    const auto [low, high] = std::minmax_element(s.hu.begin(), s.hu.end());
    CHECK(*low >= -1024);
    CHECK(*high <= 3071);
    CHECK(*high > 350);  // bone
    double corner = 0, lung = 0;
    for (std::size_t z = 0; z < 34; ++z) corner += s.hu[z * 64 * 64] / 34.;
    for (const auto v : s.hu) lung += v > -940 && v < -700;
    CHECK(corner == doctest::Approx(-1000).epsilon(0.02));
    // litres of air-filled lung
    CHECK(lung * s.spacing[0] * s.spacing[1] * s.spacing[2] * 1e-6 > 1.0);
    CHECK(s.spacing[0] >= 8.4);
    CHECK(s.spacing[0] <= 9.4);
    CHECK(s.spacing[1] == s.spacing[2]);
    // Stored x runs to the left and y to the back, against the affine's right and front; the centre
    // of the grid is the origin
    CHECK(s.affine[0][0] == -s.spacing[2]);
    CHECK(s.affine[1][1] == -s.spacing[1]);
    CHECK(s.affine[2][2] == s.spacing[0]);
    CHECK(s.affine[0][0] * 31.5 + s.affine[0][3] == doctest::Approx(0));
    CHECK(s.affine[2][2] * 16.5 + s.affine[2][3] == doctest::Approx(0));
  }
}

TEST_CASE("phantom: a finer grid shows the same body") {
  PhantomOptions fine;
  fine.slices = 68, fine.pixels = 128;
  const auto a = make_phantom({}, 4, "train", 0), b = make_phantom(fine, 4, "train", 0);
  REQUIRE(b.dhw == Shape{68, 128, 128});
  CHECK(a.spacing[0] == doctest::Approx(2 * b.spacing[0]));
  CHECK(a.findings == b.findings);
  double mean_a = 0, mean_b = 0;
  for (const auto v : a.hu) mean_a += v / static_cast<double>(a.hu.size());
  for (const auto v : b.hu) mean_b += v / static_cast<double>(b.hu.size());
  CHECK(std::abs(mean_a - mean_b) < 10);
}

TEST_CASE("phantom: lung findings appear where the report says") {
  using F = PhantomFinding;
  std::map<std::string_view, int> sides;
  for (const F f :
       {F::atelectasis, F::lung_nodule, F::lung_opacity, F::pleural_effusion, F::consolidation}) {
    CAPTURE(phantom_finding_names[number(f)]);
    for (index_t i = 0; i < 8; ++i) {
      const Change c = change(f, i);
      CAPTURE(c.note.side);
      CAPTURE(c.note.lobe);
      CHECK(c.voxels > 3);
      CHECK(c.lung_up > 20 * c.lung_down);  // denser than lung
      // The rest are its edge, vessels, and the part of the heart that lies within the lung's
      // outline
      CHECK(c.lung > 0.3);
      // Several nodules are reported by the largest only
      if (c.note.side == "right") CHECK(c.right > (f == F::lung_nodule ? 0.2 : 0.99));
      if (c.note.side == "left") CHECK(c.right < (f == F::lung_nodule ? 0.8 : 0.01));
      if (c.note.side == "both") CHECK(std::abs(c.right - 0.5) < 0.48);
      if (c.note.side == "both") CHECK(c.note.lobe != "middle");  // the left lung has none
      if (f != F::lung_nodule && c.note.lobe == "upper") CHECK(c.z > 0);
      if (f != F::lung_nodule && c.note.lobe == "lower") CHECK(c.z < 0);
      if (f == F::pleural_effusion) CHECK(c.y > 20);
      ++sides[c.note.side];
    }
  }
  CHECK(sides.size() == 3);
}

TEST_CASE("phantom: emphysema makes both lungs darker") {
  for (index_t i = 0; i < 4; ++i) {
    const Change c = change(PhantomFinding::emphysema, i);
    CHECK(c.down > 10 * c.up);
    CHECK(c.lung > 0.95);
    CHECK(std::abs(c.right - 0.5) < 0.2);
    CHECK(c.note.side.empty());
  }
}

TEST_CASE("phantom: heart and midline findings appear there") {
  using F = PhantomFinding;
  for (index_t i = 0; i < 5; ++i) {
    const Change heart = change(F::cardiomegaly, i), fluid = change(F::pericardial_effusion, i),
                 hernia = change(F::hiatal_hernia, i),
                 plaques = change(F::arterial_wall_calcification, i);
    for (const Change* c : {&heart, &fluid}) {
      CHECK(c->voxels > 100);
      CHECK(c->x > 0);  // the heart lies to the left, in front, above the diaphragm
      CHECK(c->y < 0);
      CHECK(std::abs(c->z + 42) < 40);
      CHECK(c->up > c->down);
    }
    CHECK(heart.note.grade.size() > 3);
    CHECK(fluid.note.mm >= 8);
    CHECK(fluid.note.mm <= 20);
    CHECK(hernia.voxels > 20);
    CHECK(hernia.down > hernia.up);  // its air
    CHECK(std::abs(hernia.x) < 25);
    CHECK(hernia.y > 20);
    CHECK(plaques.up > 5 * plaques.down);
    CHECK(std::abs(plaques.x) < 60);
  }
}

TEST_CASE("phantom: a finding leaves all other draws as they were") {
  using F = PhantomFinding;
  const auto one = make_phantom(only({F::lung_nodule}), 8, "train", 0),
             two = make_phantom(only({F::lung_nodule, F::hiatal_hernia}), 8, "train", 0);
  CHECK(one.notes[number(F::lung_nodule)].mm == two.notes[number(F::lung_nodule)].mm);
  CHECK(one.notes[number(F::lung_nodule)].side == two.notes[number(F::lung_nodule)].side);
  std::size_t same = 0;
  for (std::size_t k = 0; k < one.hu.size(); ++k) same += one.hu[k] == two.hu[k];
  CHECK(static_cast<double>(same) > 0.98 * static_cast<double>(one.hu.size()));
}

TEST_CASE("phantom: the impression names exactly what is present and denies nothing") {
  const std::array<std::string_view, phantom_finding_count> word = {
      "mphysema",  "telecta",     "odule",      "pacity", "leural",
      "onsolidat", "ardiomegaly", "ericardial", "ernia",  "alcifi"};
  PhantomOptions options;
  options.prevalence[number(PhantomFinding::arterial_wall_calcification)] = 0.3;
  options.slices = 8, options.pixels = 16;  // the text does not depend on the grid
  for (index_t i = 0; i < 250; ++i) {
    const auto s = make_phantom(options, 6, "train", i);
    CAPTURE(s.impression);
    int present = 0;
    for (std::size_t f = 0; f < word.size(); ++f) {
      const bool has = s.labels[static_cast<std::size_t>(
                           phantom_label_column(static_cast<PhantomFinding>(f)))] == 1;
      CHECK(s.notes[f].present == has);
      CHECK((s.impression.find(word[f]) != std::string::npos) == has);
      present += has;
    }
    CHECK(static_cast<int>(s.impression_sentences.size()) == std::max(present, 1));
    if (present) {
      for (const char* negative : {"No ", " no ", "Not ", " not ", "normal"})
        CHECK(s.impression.find(negative) == std::string::npos);
    }
    CHECK(s.findings_sentences.size() >= static_cast<std::size_t>(present + 2));
    for (const auto* text : {&s.impression, &s.findings}) {
      for (const char c : *text) REQUIRE((c >= ' ' && c <= '~'));
      for (const char c : {'{', '}', '"', '\\', '('}) CHECK(text->find(c) == std::string::npos);
      CHECK(text->find("  ") == std::string::npos);
      CHECK(text->back() == '.');
    }
    std::string joined;
    for (const auto& sentence : s.findings_sentences) {
      CHECK(sentence.find(". ") == std::string::npos);
      joined += (joined.empty() ? "" : " ") + sentence;
    }
    CHECK(joined == s.findings);
    CHECK(phantom_annotation(s) ==
          "The volume shows: " + s.impression + " The volume looks like: " + s.findings);
  }
}

TEST_CASE(
    "phantom: where nothing is present the impression says so and the findings deny at most what "
    "could be") {
  PhantomOptions options;
  options.prevalence.fill(1e-12);
  options.mention = 1;
  const auto s = make_phantom(options, 6, "train", 0);
  REQUIRE(s.impression_sentences.size() == 1);
  CHECK((s.impression.find("normal") != std::string::npos || s.impression.find("No ") == 0 ||
         s.impression.find("Normal") == 0));
  CHECK(s.findings_sentences.size() >= phantom_finding_count + 2);
  CHECK(s.findings_sentences.size() <= phantom_finding_count + 4);
}

TEST_CASE("phantom: a finding of prevalence 0 is never mentioned") {
  for (index_t i = 0; i < 20; ++i) {
    const auto s = make_phantom(only({PhantomFinding::emphysema}), 6, "train", i);
    CHECK(s.findings.find("effusion") == std::string::npos);
    CHECK(s.findings.find("mphysema") != std::string::npos);
  }
}

TEST_CASE("phantom: impossible options are named") {
  PhantomOptions options;
  options.slices = 0;
  CHECK_THROWS_WITH_AS(make_phantom(options, 0, "train", 0),
                       "phantom: 0 slices, expected 8 to 1024", error);
  options = {};
  options.pixels = index_t{1} << 40;
  CHECK_THROWS_AS(make_phantom(options, 0, "train", 0), error);
  options = {};
  options.prevalence[2] = 1.5;
  CHECK_THROWS_WITH_AS(phantom_labels(options, 0, "train", 0),
                       "phantom: prevalence of Lung nodule is 1.5, expected a probability", error);
  options = {};
  options.mention = std::nan("");
  CHECK_THROWS_AS(make_phantom(options, 0, "train", 0), error);
}

TEST_CASE("phantom: noise is normal and smooth noise is smooth") {
  std::vector<float> v(200003, 5.f);
  detail::add_white_noise(v, {3, 1, 0}, 10);
  double mean = 0, square = 0, fourth = 0, beside = 0;
  for (const float x : v) mean += x / static_cast<double>(v.size());
  for (std::size_t k = 0; k < v.size(); ++k) {
    const double d = v[k] - mean;
    square += d * d, fourth += d * d * d * d;
    if (k) beside += d * (v[k - 1] - mean);
  }
  const auto n = static_cast<double>(v.size());
  CHECK(std::abs(mean - 5) < 0.1);
  CHECK(std::sqrt(square / n) == doctest::Approx(10).epsilon(0.01));
  CHECK(fourth * n / (square * square) == doctest::Approx(3).epsilon(0.03));
  CHECK(std::abs(beside / square) < 0.01);

  RandomStream random({3, 2, 0});
  const auto g = detail::smooth_noise(random, {8, 16, 32}, {3, 4, 5});
  REQUIRE(g.size() == 8 * 16 * 32);
  RandomStream again({3, 2, 0});
  // The coarse grid's corners are the fine grid's
  CHECK(g.front() == doctest::Approx(again.normal()));
  float step = 0;
  for (std::size_t k = 1; k < 32; ++k) step = std::max(step, std::abs(g[k] - g[k - 1]));
  CHECK(step > 0);
  CHECK(step < 1.5f);
}
