#include "../support/sanitizers.hpp"

#include <hlip/datasets/brain_mri/dataset.hpp>
#include <hlip/phantoms/brain_mri.hpp>
#include <hlip/phantoms/brain_mri_writer.hpp>

#include "../io/temp_folder.hpp"

#include <doctest/doctest.h>

using namespace hlip;

namespace {

BrainPhantomOptions only(std::initializer_list<BrainFinding> findings) {
  BrainPhantomOptions options;
  options.prevalence.fill(0);
  for (const auto f : findings) options.prevalence[static_cast<std::size_t>(f)] = 1;
  return options;
}

// How much brighter each sequence is with the finding than without, summed over the scan; noise
// cancels, because it is the same.
std::array<double, brain_sequence_count> difference(BrainFinding finding, index_t i,
                                                    int* stage = nullptr) {
  const auto with = make_brain_phantom(only({finding}), 5, "train", i),
             without = make_brain_phantom(only({}), 5, "train", i);
  std::array<double, brain_sequence_count> out{};
  for (std::size_t s = 0; s < out.size(); ++s)
    for (std::size_t v = 0; v < with.scans[s].size(); ++v)
      out[s] += static_cast<double>(with.scans[s][v]) - static_cast<double>(without.scans[s][v]);
  if (stage) *stage = with.notes[static_cast<std::size_t>(finding)].stage;
  return out;
}

// -1 darker, 0 not a voxel changed, 1 brighter.
int sign(double d) { return d > 300 ? 1 : d < -300 ? -1 : d == 0 ? 0 : 9; }
using Signs = std::array<int, brain_sequence_count>;
Signs signs(const std::array<double, brain_sequence_count>& d) {
  return {sign(d[0]), sign(d[1]), sign(d[2]), sign(d[3])};
}

}  // namespace

TEST_CASE("brain phantom: a study depends on seed, split and number, and on nothing else") {
  const auto a = make_brain_phantom({}, 3, "train", 4);
  make_brain_phantom({}, 3, "train", 9);
  const auto b = make_brain_phantom({}, 3, "train", 4);
  CHECK(a.scans == b.scans);
  CHECK(a.report == b.report);
  CHECK(a.labels == b.labels);
  CHECK(a.scans != make_brain_phantom({}, 4, "train", 4).scans);
  CHECK(a.scans != make_brain_phantom({}, 3, "valid", 4).scans);
  CHECK(a.scans != make_brain_phantom({}, 3, "train", 5).scans);
  CHECK(a.scans[0].size() == 12 * 32 * 32);
}

TEST_CASE("brain phantom: each lesion is bright, dark or absent on each sequence as documented") {
  std::array<int, 2> strokes{}, bleeds{};
  for (index_t i = 0; i < 12; ++i) {
    int stage = 0;
    const Signs stroke = signs(difference(BrainFinding::ischaemic_stroke, i, &stage));
    CHECK(stroke == (stage == 0 ? Signs{0, 0, 0, 1} : Signs{0, 0, 1, 0}));
    ++strokes[static_cast<std::size_t>(stage)];
    const Signs blood = signs(difference(BrainFinding::haemorrhage, i, &stage));
    CHECK(blood == (stage == 0 ? Signs{0, -1, 0, 0} : Signs{1, 0, 0, 0}));
    ++bleeds[static_cast<std::size_t>(stage)];
    CHECK(signs(difference(BrainFinding::encephalitis, i)) == Signs{0, 0, 1, 1});
    CHECK(signs(difference(BrainFinding::metastasis, i)) == Signs{1, -1, 0, 0});
    CHECK(difference(BrainFinding::white_matter_lesions, i)[2] > 300);
    CHECK(difference(BrainFinding::atrophy, i)[1] > 3000);  // more fluid
  }
  for (const auto* both : {&strokes, &bleeds}) CHECK((*both)[0] * (*both)[1] > 0);
}

TEST_CASE("brain phantom: no single scan tells stroke or haemorrhage, two of them do") {
  // A perfect reader of single scans: it sees whether a lesion changed a voxel, and nothing better
  // can be seen, for lesions of a pair have the same size, place and grey values. The AUC of a yes
  // or no is (1 + |its rate in studies with the finding - without|) / 2.
  constexpr int studies = test::under_sanitizers ? 40 : 400, pairs = brain_focus_count / 2;
  constexpr std::array<std::array<BrainSequence, 2>, pairs> shown = {
      {{BrainSequence::flair, BrainSequence::dwi}, {BrainSequence::t1, BrainSequence::t2}}};
  // studies with the finding whose first, second scan of the pair is changed
  std::array<std::array<double, 2>, brain_focus_count> with{};
  std::array<double, 2> changed[pairs] = {};
  std::array<double, brain_focus_count> positives{};
  BrainPhantomOptions without;
  for (std::size_t f = 0; f < brain_focus_count; ++f) without.prevalence[f] = 0;
  for (index_t i = 0; i < studies; ++i) {
    const auto study = make_brain_phantom({}, 11, "train", i),
               plain = make_brain_phantom(without, 11, "train", i);
    for (std::size_t p = 0; p < pairs; ++p) {
      std::array<bool, 2> seen{};
      for (std::size_t k = 0; k < 2; ++k) {
        const auto scan = static_cast<std::size_t>(shown[p][k]);
        seen[k] = study.scans[scan] != plain.scans[scan];
        changed[p][k] += seen[k];
        for (std::size_t f = 2 * p; f < 2 * p + 2; ++f)
          with[f][k] += seen[k] && study.labels[f] == 1;
      }
      for (std::size_t f = 2 * p; f < 2 * p + 2; ++f) positives[f] += study.labels[f];
      // Together they tell both findings without a fault
      CHECK((seen[0] != seen[1]) == (study.labels[2 * p] == 1));
      CHECK((seen[0] && seen[1]) == (study.labels[2 * p + 1] == 1));
    }
  }
  if (test::under_sanitizers) return;  // too few to say more
  const auto auc = [&](std::size_t f, std::size_t k) {
    return (1 + std::abs(with[f][k] / positives[f] -
                         (changed[f / 2][k] - with[f][k]) / (studies - positives[f]))) /
           2;
  };
  for (const std::size_t f : {0, 2})
    for (const std::size_t k : {0, 1}) {
      CAPTURE(brain_finding_names[f]);
      CHECK(auc(f, k) < 0.58);      // three standard deviations of 400 studies above 0.5
      CHECK(auc(f + 1, k) > 0.83);  // the other of the pair is seen on each of them
    }
}

TEST_CASE(
    "brain phantom: labels follow the prevalences, and the report names what is there and nothing "
    "else") {
  std::array<int, brain_finding_count> count{};
  for (index_t i = 0; i < 60; ++i) {
    const auto study = make_brain_phantom({4, 8, BrainPhantomOptions{}.prevalence}, 1, "train", i);
    std::string report;
    for (const auto& s : study.report) report += s + " ";
    int findings = 0;
    for (std::size_t f = 0; f < brain_focus_count; f += 2)
      CHECK(study.labels[f] + study.labels[f + 1] <= 1);
    for (std::size_t f = 0; f < count.size(); ++f) {
      count[f] += study.labels[f];
      findings += study.labels[f];
      CHECK((study.labels[f] == 1) == study.notes[f].present);
      bool named = false;
      for (const auto sentence : detail::brain_sentences[f].named)
        named = named ||
                report.find(detail::fill_sentence(sentence, study.notes[f])) != std::string::npos;
      CHECK(named == study.notes[f].present);
    }
    CHECK((report.find("No significant abnormalities.") != std::string::npos) == (findings == 0));
    CHECK(report.find('{') == std::string::npos);
  }
  for (std::size_t f = 0; f < count.size(); ++f) {  // four standard deviations of 60 draws
    const double p = BrainPhantomOptions{}.prevalence[f], expected = 60 * p,
                 spread = 4 * std::sqrt(60 * p * (1 - p));
    CHECK(count[f] > expected - spread);
    CHECK(count[f] < expected + spread);
  }
}

TEST_CASE("brain phantom: impossible settings are refused") {
  CHECK_THROWS_AS(make_brain_phantom({1, 32, {}}, 0, "train", 0), error);
  CHECK_THROWS_AS(make_brain_phantom({12, 1 << 20, {}}, 0, "train", 0), error);
  BrainPhantomOptions options;
  options.prevalence[5] = 1.5;
  CHECK_THROWS_AS(make_brain_phantom(options, 0, "train", 0), error);
  options.prevalence = {.5, .5, .5, .6, 0, 0};
  CHECK_THROWS_AS(make_brain_phantom(options, 0, "train", 0), error);
}

TEST_CASE(
    "brain phantom writer: the tree reads back as the studies it came from, for any number of "
    "threads") {
  const TempFolder folder;
  const BrainPhantomOptions options{4, 8, BrainPhantomOptions{}.prevalence};
  const auto set = write_brain_phantom_dataset(folder / "set", options, 3, 5, 2, 2);
  CHECK_FALSE(set.reused);
  const auto train = read_brain_mri(set.root, set.train_json, {.check = VolumeCheck::voxels}),
             valid = read_brain_mri(set.root, set.valid_json, {.labels = set.valid_labels});
  CHECK(train.problems.empty());
  CHECK(valid.problems.empty());
  REQUIRE(train.studies.size() == 5);
  REQUIRE(valid.studies.size() == 2);
  CHECK(valid.findings ==
        std::vector<std::string>(brain_finding_names.begin(), brain_finding_names.end()));
  for (std::size_t i = 0; i < 2; ++i) {
    const auto study = make_brain_phantom(options, 3, "valid", static_cast<index_t>(i));
    CHECK(valid.studies[i].report == study.report);
    CHECK(std::equal(study.labels.begin(), study.labels.end(), valid.studies[i].labels.begin()));
    REQUIRE(valid.studies[i].scans.size() == 4);
    const std::array<int, 4> order{3, 2, 0, 1};  // DWI, FLAIR, T1, T2
    for (std::size_t s = 0; s < 4; ++s) {
      const auto& want = study.scans[static_cast<std::size_t>(order[s])];
      const auto stored =
          SafetensorsFile(valid.studies[i].scans[s].path).values<std::uint8_t>("img");
      CHECK(stored == want);
    }
  }
  CHECK(read_file(folder / "set/README.txt").find("SYNTHETIC") != std::string::npos);
  CHECK(write_brain_phantom_dataset(folder / "set", options, 3, 5, 2, 1).reused);
  CHECK_THROWS_AS(write_brain_phantom_dataset(folder / "set", options, 4, 5, 2, 1), error);

  write_brain_phantom_dataset(folder / "one", options, 3, 5, 2, 1);
  for (const char* file : {"train_phantom.json", "valid_labels.csv", "phantom.json"})
    CHECK(read_file(folder / "one/" + file) == read_file(folder / "set/" + file));
  std::filesystem::create_directories(folder / "other/train/study");
  CHECK_THROWS_AS(write_brain_phantom_dataset(folder / "other", options, 3, 1, 1, 1), error);
}
