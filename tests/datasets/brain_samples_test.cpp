#include "../io/temp_folder.hpp"

#include <hlip/datasets/brain_mri/samples.hpp>
#include <hlip/phantoms/brain_mri_writer.hpp>

#include <doctest/doctest.h>

#include <set>

using namespace hlip;

namespace {

const MriPreset small{4, 8, 8};

std::shared_ptr<const WordPieceTokenizer> tokenizer() {
  std::vector<std::string> words{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "this",
                                 "mri",   "study", "shows", ":",     "."};
  for (char c = 'a'; c <= 'z'; ++c)
    words.push_back(std::string(1, c)), words.push_back("##" + std::string(1, c));
  return std::make_shared<const WordPieceTokenizer>(WordPieceTokenizer(Vocabulary(words)));
}

}  // namespace

TEST_CASE(
    "draw_scans: real scans in random order, repeated to the number wanted, every one before any "
    "comes again") {
  std::set<std::vector<std::size_t>> orders;
  for (std::uint64_t i = 0; i < 60; ++i) {
    RandomStream random({1, 0, i});
    const auto drawn = draw_scans(3, 7, random);
    REQUIRE(drawn.size() == 7);
    CHECK(std::set<std::size_t>(drawn.begin(), drawn.begin() + 3).size() == 3);
    for (std::size_t k = 3; k < 7; ++k) CHECK(drawn[k] == drawn[k - 3]);
    orders.insert({drawn.begin(), drawn.begin() + 3});
    RandomStream again({2, 0, i});
    const auto few = draw_scans(5, 2, again);
    CHECK(few.size() == 2);
    CHECK(few[0] != few[1]);
  }
  CHECK(orders.size() == 6);
}

TEST_CASE(
    "brain samples: the same key gives the same scans and text, with and without a cache; "
    "evaluation takes all scans by name") {
  TempFolder folder;
  const auto set = write_brain_phantom_dataset(
      folder / "set", {4, 8, BrainPhantomOptions{}.prevalence}, 1, 6, 1, 1);
  const auto studies = read_brain_mri(set.root, set.train_json).studies;
  BrainSamples::Options options{{.context_length = 64}, small, 6};
  const BrainSamples plain(studies, tokenizer(), options);
  options.cache = true;
  const BrainSamples cached(studies, tokenizer(), options);
  CHECK(plain.size() == 6);
  std::set<std::vector<std::int64_t>> texts;
  for (std::uint64_t step = 0; step < 8; ++step) {
    const RandomKey key{9, 0, step};
    const auto a = plain.get(2, key), b = plain.get(2, key), c = cached.get(2, key);
    REQUIRE(a.volume.shape() == Shape{6, 4, 8, 8});
    CHECK(a.volume.to_vector() == b.volume.to_vector());
    CHECK(a.ids == b.ids);
    CHECK(a.ids == c.ids);
    // float16
    for (index_t i = 0; i < a.volume.numel(); ++i)
      CHECK(std::abs(a.volume.data()[i] - c.volume.data()[i]) <= 2e-3f);
    texts.insert(a.ids);
  }
  CHECK(texts.size() > 1);  // sentences are shuffled

  const BrainVolumes all(studies, small);
  const auto x = all.get(0);
  REQUIRE(x.shape() == Shape{4, 4, 8, 8});
  for (std::size_t s = 0; s < 4; ++s)
    CHECK(
        x.slice(0, static_cast<index_t>(s), static_cast<index_t>(s) + 1).contiguous().to_vector() ==
        load_brain_scan(studies[0].scans[s], small).to_vector());
  const auto batch = CollateImageText{}(
      std::vector<StudySample>{plain.get(0, {1, 0, 0}), plain.get(1, {1, 0, 0})});
  CHECK(batch.volumes.shape() == Shape{2, 6, 1, 4, 8, 8});
  CHECK(batch.ids.dim(0) == 2);
}

TEST_CASE("brain samples: the control deals the reports out anew, and nothing else changes") {
  TempFolder folder;
  const auto set = write_brain_phantom_dataset(
      folder / "set", {4, 8, BrainPhantomOptions{}.prevalence}, 1, 12, 1, 1);
  const auto studies = read_brain_mri(set.root, set.train_json).studies;
  BrainSamples::Options options{{.context_length = 64, .seed = 3}, small, 4};
  const BrainSamples plain(studies, tokenizer(), options);
  options.shuffle_reports = true;
  const BrainSamples shuffled(studies, tokenizer(), options);
  std::multiset<std::string> before, after;
  int moved = 0;
  for (index_t i = 0; i < 12; ++i) {
    RandomStream a({1, 0, 0}), b({1, 0, 0});
    const auto x = plain.text_pair(i, a).second, y = shuffled.text_pair(i, b).second;
    before.insert(x), after.insert(y);
    moved += x != y;
    CHECK(plain.get(i, {1, 0, 0}).volume.to_vector() ==
          shuffled.get(i, {1, 0, 0}).volume.to_vector());
  }
  CHECK(before == after);
  CHECK(moved >= 8);
}

TEST_CASE(
    "brain samples: a scan that shows nothing is a fault in training, however loosely the tree was "
    "checked") {
  const TempFolder folder;
  write_brain_scan(folder / "img.safetensors", Tensor<float>::zeros({4, 8, 8}), {});
  const std::vector<BrainStudy> studies{
      {"s1", {{"T1", folder.string(), folder / "img.safetensors"}}, {"text"}, {}}};
  const BrainSamples samples(studies, tokenizer(), {{.context_length = 256}, small, 1});
  CHECK_THROWS_WITH_AS(
      samples.get(0, {1, 0, 0}),
      doctest::Contains("img.safetensors: as the network's input, all voxels are equal"), error);
}
