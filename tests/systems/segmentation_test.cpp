// Radiographs with masks as samples, what their masks are worth, and masks as files have them;
// whole runs are in tests/scripts/segmentation.sh.
#include "../support/errors.hpp"

#include <doctest/doctest.h>
#include <hlip/systems/rad_dino/segmentation/segment_pictures.hpp>

using namespace hlip;

namespace {

constexpr index_t side = 24;

/// A bright disc, and three masks: the disc, nothing, and one that is not known.
MaskedPicture disc() {
  MaskedPicture x{side, side, BytePicture::of_size(1, side, side), {}};
  x.masks.levels.assign(3 * side * side, 0), x.masks.known = {1, 1, 0};
  for (index_t i = 0; i < side * side; ++i) {
    const bool inside = std::hypot(static_cast<double>(i / side) - 9,
                                   static_cast<double>(i % side) - 11) < 6;
    x.grey.levels[static_cast<std::size_t>(i)] = inside ? 200 : 0;
    x.masks.levels[static_cast<std::size_t>(i)] = inside ? 255 : 0;
  }
  return x;
}

}  // namespace

TEST_CASE("masked pictures: a picture and its masks change alike, by the key alone") {
  int moved = 0;
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    MaskedPicture x = disc(), again = disc();
    augment_masked(x, mask_augmentation(1, 0.5), {seed, 0, 2});
    augment_masked(again, mask_augmentation(1, 0.5), {seed, 0, 2});
    CHECK(x.grey.levels == again.grey.levels);
    CHECK(x.masks.levels == again.masks.levels);
    moved += x.masks.levels != disc().masks.levels;
    // wherever the disc went, its mask is there; the empty and the unknown one stay empty
    int wrong = 0;
    const int half = *std::max_element(x.grey.levels.begin(), x.grey.levels.end()) / 2;
    for (std::size_t i = 0; i < side * side; ++i)
      wrong += (x.masks.levels[i] == 255) != (x.grey.levels[i] > half);
    CHECK(wrong < 30);  // the edge alone, where contrast and gamma move the half
    CHECK(std::count(x.masks.levels.begin() + side * side, x.masks.levels.end(), 255) == 0);
  }
  CHECK(moved == 6);
  MaskedPicture still = disc();
  augment_masked(still, mask_augmentation(0, 0), {1});
  CHECK(still.grey.levels == disc().grey.levels);
}

TEST_CASE("masked pictures: a batch has NaN where a mask is not known") {
  const auto batch = collate_masks<Cpu>({disc(), disc()}, LevelScale{}, 3);
  CHECK(batch.pictures.shape() == Shape{2, 3, side, side});
  CHECK(batch.pictures.at({1, 2, 9, 11}) == doctest::Approx(200.0 / 255));
  CHECK(batch.masks.at({1, 0, 9, 11}) == 1);
  CHECK(batch.masks.at({1, 1, 9, 11}) == 0);
  CHECK(std::isnan(batch.masks.at({1, 2, 9, 11})));
}

TEST_CASE("masked pictures: what is known is counted by picture and class, and asked of files") {
  MaskedPicture none = disc();
  none.masks.known = {0, 0, 0};
  CHECK(known_masks({disc(), none, disc()}) == 4);
  CHECK(known_masks({none}) == 0);
  MaskedFiles files{{"a", "b"}, {"a.png", "b.png"}, {{"", ""}, {"", "b_mask.png"}}, {}};
  CHECK(files.knows_any());
  CHECK(!files.subset({0}).knows_any());
  files.masks.clear();
  CHECK(!files.knows_any());
}

TEST_CASE("mask scores: two empty masks are 1, one empty is 0, what is not known counts nowhere") {
  MaskScores scores(mask_structures("disc,none,unknown"));
  const MaskedPicture x = disc();
  const std::size_t pixels = side * side;
  std::vector<float> logits(3 * pixels, -1);
  for (std::size_t i = 0; i < pixels; ++i) logits[i] = x.masks.levels[i] ? 1.f : -1.f;
  auto values = scores.add("a", x, logits);
  CHECK(values[0] == 1);
  CHECK(values[1] == 1);
  CHECK(std::isnan(values[2]));
  std::fill(logits.begin(), logits.begin() + static_cast<std::ptrdiff_t>(pixels), -1.f);
  logits[pixels] = 1;
  values = scores.add("b", x, logits);
  CHECK(values[0] == 0);
  CHECK(values[1] == 0);
  CHECK(scores.any());
  const DiceTable table = scores.table();
  CHECK(table.rows()[0].dice.mean == 0.5);
  CHECK(table.rows()[1].present == 0);
  CHECK(table.rows()[2].pictures == 0);
}

TEST_CASE("masks in the file's pixels: what was cut off is outside, labels are of the likeliest") {
  RadiographPreparation p;
  p.shorter_side = p.crop = side;
  const std::vector<float> inside(side * side, 1.f);
  const auto wide = mask_in_file(inside, 1, 2 * side, 3 * side, p);
  for (std::size_t y = 0; y < 2 * side; ++y)
    for (std::size_t x = 0; x < 3 * side; ++x)
      REQUIRE(wide[y * 3 * side + x] == (x >= side / 2 && x < 5 * side / 2 ? 255 : 0));
  std::vector<float> three(3 * side * side, -1.f);
  three[0] = 1, three[side * side] = 2, three[2 * side * side + 1] = 0.5f;
  const auto labels = mask_in_file(three, 3, side, side, p);
  CHECK(labels[0] == 2);
  CHECK(labels[1] == 3);
  CHECK(labels[2] == 0);
}
