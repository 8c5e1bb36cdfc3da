#include "../support/errors.hpp"

#include <hlip/imaging/augment/corrupt_volume.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

using namespace hlip;
using test::error_of;

namespace {

using Volume = Tensor<float, Cpu>;

/// Values in [0, 1], each another.
Volume volume_of(const Shape& shape) {
  auto volume = Volume::empty(shape);
  for (index_t i = 0; i < volume.numel(); ++i)
    volume.data()[i] = static_cast<float>(std::fmod(0.618034 * static_cast<double>(i + 1), 1.0));
  return volume;
}
/// Everything happens.
CorruptionOptions all() {
  CorruptionOptions o;
  o.shuffle = o.nonlinear = o.painting = o.cut_out = o.patch_drop = 1;
  o.patch = 4;
  return o;
}
/// Nothing does.
CorruptionOptions none() {
  CorruptionOptions o;
  o.shuffle = o.nonlinear = o.painting = o.cut_out = o.patch_drop = 0;
  return o;
}
bool same(const Volume& a, const Volume& b) {
  return a.shape() == b.shape() && a.to_vector() == b.to_vector();
}
index_t ones(const Tensor<std::uint8_t, Cpu>& mask) {
  const auto v = mask.to_vector();
  return std::count(v.begin(), v.end(), std::uint8_t{1});
}
/// What is not marked is as it was.
bool rest_is_clean(const Volume& clean, const Volume& volume,
                   const Tensor<std::uint8_t, Cpu>& changed) {
  for (index_t i = 0; i < clean.numel(); ++i)
    if (changed.data()[i] == 0 && volume.data()[i] != clean.data()[i]) return false;
  return true;
}
std::string refusal(void (*spoil)(CorruptionOptions&)) {
  CorruptionOptions o;
  spoil(o);
  return error_of([&] { static_cast<void>(corrupt_volume(volume_of({2, 2, 2}), o, {})); });
}

}  // namespace

TEST_CASE("corruptions: boxes lie inside and have the share of the sides that was asked") {
  const Shape shape{12, 16, 21};
  RandomStream random({3, 1, 0});
  std::vector<index_t> least(3, 100), most(3, 0);
  for (const VoxelBox& box :
       sample_boxes(shape, 500, {1.0 / 6, 1.0 / 3}, [&] { return random.uniform(); }))
    for (std::size_t d = 0; d < 3; ++d) {
      least[d] = std::min(least[d], box.size[d]), most[d] = std::max(most[d], box.size[d]);
      REQUIRE(box.from[d] >= 0);
      REQUIRE(box.from[d] + box.size[d] <= shape[static_cast<int>(d)]);
    }
  CHECK(least == std::vector<index_t>{2, 2, 3});
  CHECK(most == std::vector<index_t>{4, 5, 7});
  const auto of = [&](index_t count, double low, double high) {
    return error_of([&] { sample_boxes(shape, count, {low, high}, [] { return 0.0; }); });
  };
  CHECK(of(-1, 0.1, 0.2) == "sample_boxes: count is -1, expected at least 0");
  CHECK(of(1, 0.3, 0.2).find("share is 0.3 to 0.2") != std::string::npos);
  CHECK(of(1, 0, 0.2).find("above 0") != std::string::npos);
}

TEST_CASE("corruptions: painting inside and outside of the same boxes changes all voxels once") {
  const Volume clean = volume_of({12, 12, 12});
  const std::array<double, 2> share = {0.3, 0.5};
  RandomStream a({1, 2, 3}), b({1, 2, 3});
  const Corrupted inside = paint_inside(clean, 3, share, [&] { return a.uniform(); }),
                  outside = paint_outside(clean, 3, share, [&] { return b.uniform(); });
  CHECK(ones(inside.changed) + ones(outside.changed) == clean.numel());
  CHECK(inside.boxes.size() == 3);
  CHECK(rest_is_clean(clean, inside.volume, inside.changed));
  CHECK(rest_is_clean(clean, outside.volume, outside.changed));
  index_t kept = 0;
  for (index_t i = 0; i < clean.numel(); ++i) kept += inside.volume.data()[i] == clean.data()[i];
  CHECK(kept == ones(outside.changed));
}

TEST_CASE("corruptions: cut-out and dropped patches are zeros, the rest stays") {
  const Volume clean = volume_of({5, 6, 7});
  RandomStream random({1, 2, 3});
  const auto uniform = [&] { return random.uniform(); };
  const Corrupted cut = cut_out(clean, 2, {0.2, 0.4}, uniform);
  CHECK(rest_is_clean(clean, cut.volume, cut.changed));
  const auto zeros = cut.volume.to_vector();
  CHECK(std::count(zeros.begin(), zeros.end(), 0.0f) == ones(cut.changed));

  // 3 x 3 x 4 patches of 2, those at the end cut off
  CHECK(patch_grid(clean.shape(), 2) == Shape{3, 3, 4});
  std::vector<std::uint8_t> last(36);
  last.back() = 1;
  const Corrupted corner = drop_patches(clean, 2, last);
  CHECK(ones(corner.changed) == 2);  // 1 x 2 x 1
  CHECK(corner.boxes.at(0).from == std::array<index_t, 3>{4, 4, 6});
  CHECK(error_of([&] {
          drop_patches(clean, 2, std::span(last).first(35));
        }).find("dropped has 35 elements, expected 36") != std::string::npos);
  CHECK(error_of([&] { patch_grid(clean.shape(), 0); }).find("patch is 0") != std::string::npos);

  const auto drawn = sample_patches(36, 0.25, uniform);
  CHECK(std::count(drawn.begin(), drawn.end(), 1) == 9);
  CHECK(sample_patches(36, 0.25, uniform) != drawn);
  CHECK(error_of([&] { sample_patches(36, 1.5, uniform); }).find("1.5 of 36") != std::string::npos);
}

TEST_CASE("corruptions: to shuffle moves voxels within blocks and loses none") {
  const Volume clean = volume_of({12, 18, 24});
  RandomStream random({1, 2, 3});
  const auto uniform = [&] { return random.uniform(); };
  const Corrupted one = shuffle_voxels(clean, 1, uniform);
  auto before = clean.to_vector(), after = one.volume.to_vector();
  std::sort(before.begin(), before.end()), std::sort(after.begin(), after.end());
  CHECK(before == after);
  const Corrupted many = shuffle_voxels(clean, 300, uniform);
  CHECK(many.boxes.size() == 300);
  CHECK_FALSE(same(many.volume, clean));
  CHECK(rest_is_clean(clean, many.volume, many.changed));
  for (const VoxelBox& box : many.boxes) {
    REQUIRE(box.size[0] <= 2);
    REQUIRE(box.size[1] <= 3);
    REQUIRE(box.size[2] <= 4);
  }
  // sides below 12 have blocks of one voxel, which has no other place
  const Volume small = volume_of({11, 11, 11});
  const Corrupted still = shuffle_voxels(small, 50, uniform);
  CHECK(same(still.volume, small));
  CHECK(ones(still.changed) == 0);
}

TEST_CASE("corruptions: curves rise from 0 to 1, and descend when told so") {
  const IntensityCurve curve = bezier_curve({0.8, 0.1}, {0.3, 0.5});
  CHECK(curve.x.size() == 1000);
  CHECK(std::is_sorted(curve.x.begin(), curve.x.end()));
  CHECK(std::is_sorted(curve.y.begin(), curve.y.end()));
  const auto rising = Volume::from_values({5}, {0.0f, 0.25f, 0.5f, 0.75f, 1.0f});
  const auto up = apply_curve(rising, curve).to_vector(),
             down = apply_curve(rising, curve, true).to_vector();
  CHECK(std::is_sorted(up.begin(), up.end()));
  CHECK(std::is_sorted(down.rbegin(), down.rend()));
  CHECK(up.front() == 0);
  CHECK(up.back() == 1);
  CHECK(down.front() == 1);
  CHECK(down.back() == 0);
  // a straight line changes nothing; what lies outside counts as the nearer end
  const IntensityCurve line = bezier_curve({1.0 / 3, 1.0 / 3}, {2.0 / 3, 2.0 / 3});
  const auto odd = Volume::from_values({4}, {-3.0f, 0.3f, 7.0f, std::nanf("")});
  const auto kept = apply_curve(odd, line).to_vector();
  CHECK(kept[0] == 0);
  CHECK(kept[1] == doctest::Approx(0.3));
  CHECK(kept[2] == 1);
  CHECK(kept[3] == 0);
  // steps: many samples of one x
  const IntensityCurve steps{{0, 0, 0.5, 0.5, 0.5, 1, 1}, {0, 0.1, 0.2, 0.3, 0.4, 0.9, 1}};
  const auto stepped = apply_curve(rising, steps).to_vector();
  CHECK(stepped[0] == doctest::Approx(0.1));
  CHECK(stepped[2] == doctest::Approx(0.4));
  CHECK(stepped[3] == doctest::Approx(0.65));
  CHECK(stepped[4] == 1);
  CHECK(error_of([] { bezier_curve({0.5, 1.5}, {0, 0}); }).find("has 1.5") != std::string::npos);
  CHECK(error_of([&] {
          apply_curve(rising, IntensityCurve{{0, 1}, {0}});
        }).find("2 x and 1 y") != std::string::npos);
}

TEST_CASE("corrupt_volume: the same key, the same bits; another study, epoch or view, others") {
  const Volume clean = volume_of({16, 16, 16});
  const RandomKey key{.seed = 7, .stream = 2, .step = 11};
  const CorruptedVolume first = corrupt_volume(clean, all(), key, 1);
  CHECK(same(first.volume, corrupt_volume(clean, all(), key, 1).volume));
  CHECK(same(clean, volume_of({16, 16, 16})));  // is not written to
  CHECK_FALSE(same(first.volume, corrupt_volume(clean, all(), key, 0).volume));
  CHECK_FALSE(same(first.volume, corrupt_volume(clean, all(), key.with_stream(3), 1).volume));
  CHECK_FALSE(same(first.volume, corrupt_volume(clean, all(), {7, 2, 12}, 1).volume));
  // an operator's numbers do not depend on whether another one happens
  CorruptionOptions painted = none(), also_cut = none();
  painted.painting = also_cut.painting = also_cut.shuffle = 1;
  const auto a = corrupt_volume(clean, painted, key), b = corrupt_volume(clean, also_cut, key);
  CHECK(a.painted_inside == b.painted_inside);
  CHECK(ones(a.changed) <= ones(b.changed));
}

TEST_CASE("corrupt_volume: with all probabilities 0 the volume stays as it is") {
  const Volume clean = volume_of({7, 8, 9});
  const CorruptedVolume out = corrupt_volume(clean, none(), {.seed = 1});
  CHECK(same(out.volume, clean));
  CHECK(ones(out.changed) == 0);
  CHECK_FALSE((out.shuffled || out.bent || out.painted_inside || out.painted_outside || out.cut ||
               out.patches_dropped));
  out.volume.data()[0] = 5;  // its own storage
  CHECK(clean.data()[0] != 5);
}

TEST_CASE("corrupt_volume: as often as its options say, within 0 and 1, and marked") {
  const Volume clean = volume_of({12, 12, 12});
  const int draws = 2000;
  double shuffled = 0, bent = 0, inside = 0, outside = 0, cut = 0, dropped = 0;
  CorruptionOptions o;
  o.cut_out = 0.3, o.patch_drop = 0.1, o.patch = 4;
  for (int i = 0; i < draws; ++i) {
    const auto out = corrupt_volume(clean, o, {.seed = 5, .step = static_cast<std::uint64_t>(i)});
    REQUIRE_FALSE((out.painted_inside && out.painted_outside));
    shuffled += out.shuffled, bent += out.bent, inside += out.painted_inside;
    outside += out.painted_outside, cut += out.cut, dropped += out.patches_dropped;
    const auto v = out.volume.to_vector();
    REQUIRE(*std::min_element(v.begin(), v.end()) >= 0);
    REQUIRE(*std::max_element(v.begin(), v.end()) <= 1);
    REQUIRE(rest_is_clean(clean, out.volume, out.changed));
    if (out.bent) REQUIRE(ones(out.changed) == clean.numel());
  }
  const auto expected = [&](double count, double p) {  // four standard errors
    return std::abs(count / draws - p) < 4 * std::sqrt(p * (1 - p) / draws);
  };
  CHECK(expected(shuffled, 0.5));
  CHECK(expected(bent, 0.9));
  CHECK(expected(inside, 0.9 * 0.2));
  CHECK(expected(outside, 0.9 * 0.8));
  CHECK(expected(cut, 0.3));
  CHECK(expected(dropped, 0.1));
}

TEST_CASE("corrupt_volume: blocks to shuffle grow with the volume") {
  CHECK(detail::shuffle_blocks_of({96, 96, 96}, 10000) == 10000);
  CHECK(detail::shuffle_blocks_of({32, 32, 32}, 10000) == 370);
  CHECK(detail::shuffle_blocks_of({16, 16, 16}, 10000) == 46);
  CHECK(detail::shuffle_blocks_of({1, 1, 1}, 10000) == 25);
}

TEST_CASE("corrupt_volume: tiny volumes, and views that are not contiguous") {
  for (const Shape& shape : {Shape{1, 1, 1}, Shape{2, 3, 4}, Shape{1, 40, 1}})
    for (std::uint64_t i = 0; i < 50; ++i) {
      const auto out = corrupt_volume(volume_of(shape), all(), {.step = i});
      REQUIRE(out.volume.shape() == shape);
      REQUIRE(out.changed.shape() == shape);
    }
  const Volume whole = volume_of({13, 14, 15});
  const Volume part = whole.slice(2, 1, 14).transpose(0, 1);
  CHECK(same(corrupt_volume(part, all(), {.seed = 3}).volume,
             corrupt_volume(part.contiguous(), all(), {.seed = 3}).volume));
}

TEST_CASE("corrupt_volume: what cannot be carried out is refused") {
  CHECK(refusal([](auto& o) { o.shuffle = 90; }) ==
        "corrupt_volume: shuffle is 90, expected a probability or share of 0 to 1 (hint: 0.5 is 50 "
        "%)");
  CHECK(refusal([](auto& o) { o.inside = -0.1; }).find("inside is -0.1") != std::string::npos);
  CHECK(refusal([](auto& o) { o.nonlinear = std::nan(""); }).find("nonlinear is nan") !=
        std::string::npos);
  CHECK(refusal([](auto& o) { o.shuffle_blocks = 0; }) ==
        "corrupt_volume: shuffle_blocks is 0, expected 1 to 1000000 (hint: a probability of 0 "
        "turns an operator off)");
  CHECK(refusal([](auto& o) { o.patch = 0; }).find("patch is 0") != std::string::npos);
  CHECK(refusal([](auto& o) {
          o.kept_share = {0.5, 0.4};
        }).find("kept_share is 0.5 to 0.4") != std::string::npos);
  CHECK(error_of([] {
          static_cast<void>(corrupt_volume(volume_of({3, 4}), {}, {}));
        }) == "corrupt_volume: volume is (3, 4), expected (D, H, W)");
  CHECK(error_of([] {
          static_cast<void>(corrupt_volume(Volume::empty({3, 0, 4}), {}, {}));
        }).find("has no voxels") != std::string::npos);
}
