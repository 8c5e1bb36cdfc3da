#include "../support/gradients.hpp"

#include <hlip/systems/rad_dino/collapse.hpp>
#include <hlip/systems/rad_dino/crops.hpp>
#include <hlip/systems/rad_dino/masking.hpp>
#include <hlip/systems/rad_dino/parameter_groups.hpp>
#include <hlip/systems/rad_dino/schedule_warnings.hpp>
#include <hlip/systems/rad_dino/schedules.hpp>

#include <numeric>

using namespace test;

namespace {

index_t count(const std::vector<std::uint8_t>& mask) {
  return std::accumulate(mask.begin(), mask.end(), index_t{0});
}
std::vector<std::uint8_t> mask_of(index_t rows, index_t columns, index_t target,
                                  const MaskingOptions& options, std::uint64_t draw) {
  RandomStream stream({draw, 3, 0});
  return block_mask({1, rows, columns}, target, options, [&] { return stream.uniform(); });
}
BatchMasks masks_of(index_t pictures, index_t rows, index_t columns, const MaskingOptions& options,
                    std::uint64_t draw) {
  RandomStream stream({draw, 4, 0});
  return batch_masks(pictures, {1, rows, columns}, options, [&] { return stream.uniform(); });
}

using Named = std::vector<std::pair<std::string, double>>;

}  // namespace

TEST_CASE("block masks: of any grid and any target they end, and never hide more than was asked") {
  for (const auto& [rows, columns] : std::vector<std::pair<index_t, index_t>>{
           {1, 1}, {1, 2}, {2, 1}, {2, 2}, {1, 9}, {9, 1}, {2, 7}, {3, 3}, {5, 4}, {16, 3}})
    for (const index_t least : {1, 4, 100})
      for (index_t target = -1; target <= rows * columns + 1; ++target)
        for (std::uint64_t draw = 0; draw < 20; ++draw) {
          MaskingOptions options;
          options.min_patches = least;
          const auto mask = mask_of(rows, columns, target, options, draw);
          REQUIRE(static_cast<index_t>(mask.size()) == rows * columns);
          REQUIRE(count(mask) <= std::max<index_t>(target, 0));
        }
}

TEST_CASE("block masks: grids of a usual size come near the target, in blocks") {
  double hidden = 0, neighbours = 0;
  for (std::uint64_t draw = 0; draw < 200; ++draw) {
    const auto mask = mask_of(16, 16, 80, {}, draw);
    hidden += static_cast<double>(count(mask)) / 200;
    for (std::size_t i = 0; i + 1 < mask.size(); ++i)
      if (i % 16 != 15) neighbours += mask[i] & mask[i + 1];
  }
  CHECK(hidden > 70);
  // of 80 cells strewn at random about 25 have a hidden one on their right
  CHECK(neighbours / 200 > 40);
}

TEST_CASE("block masks: one key draws one mask; a grid without cells is an error") {
  CHECK(mask_of(8, 8, 20, {}, 1) == mask_of(8, 8, 20, {}, 1));
  CHECK(mask_of(8, 8, 20, {}, 1) != mask_of(8, 8, 20, {}, 2));
  CHECK(error_of([] { mask_of(0, 8, 20, {}, 1); }) == "block_mask: a grid of 1 x 0 x 8");
}

TEST_CASE(
    "block masks of volumes: of any grid they end and never hide more than was asked; one key "
    "draws "
    "one mask") {
  for (const MaskGrid& grid :
       std::vector<MaskGrid>{{2, 1, 1}, {9, 1, 2}, {3, 2, 2}, {4, 4, 4}, {2, 14, 14}, {7, 3, 5}})
    for (index_t target = 0; target <= grid.cells(); target += 1 + target / 8)
      for (std::uint64_t draw = 0; draw < 10; ++draw) {
        const auto drawn = [&] {
          return block_mask(grid, target, {},
                            [s = RandomStream({draw, 5, 0})]() mutable { return s.uniform(); });
        };
        const auto mask = drawn();
        REQUIRE(static_cast<index_t>(mask.size()) == grid.cells());
        REQUIRE(count(mask) <= target);
        REQUIRE(mask == drawn());
      }
}

TEST_CASE(
    "block masks of volumes: grids of usual sizes come near the target in boxes, which extend in "
    "depth as well") {
  for (const MaskGrid& grid : {MaskGrid{14, 14, 14}, MaskGrid{4, 4, 4}, MaskGrid{3, 14, 14}}) {
    CAPTURE(grid.depth);
    const index_t target = grid.cells() / 3, slice = grid.rows * grid.columns;
    double hidden = 0, behind = 0, beside = 0, pairs = 0;
    for (std::uint64_t draw = 0; draw < 100; ++draw) {
      RandomStream stream({draw, 6, 0});
      const auto mask = block_mask(grid, target, {}, [&] { return stream.uniform(); });
      hidden += static_cast<double>(count(mask)) / 100;
      for (index_t i = 0; i + slice < grid.cells(); ++i) {
        const auto at = static_cast<std::size_t>(i), next = at + static_cast<std::size_t>(slice);
        behind += mask[at] & mask[next], pairs += mask[at];
        if (i % grid.columns + 1 < grid.columns) beside += mask[at] & mask[at + 1];
      }
    }
    CHECK(hidden > 0.8 * static_cast<double>(target));
    // of cells strewn at random a third have a hidden one behind them
    CHECK(behind / pairs > 0.5);
    CHECK(beside / pairs > 0.4);
  }
}

TEST_CASE(
    "batch masks: floor(pictures · probability) pictures are masked, each within its slice of the "
    "range, in any order") {
  const MaskingOptions options;
  std::vector<int> first(7);  // how often picture i is masked
  for (std::uint64_t draw = 0; draw < 200; ++draw) {
    const BatchMasks batch = masks_of(7, 14, 14, options, draw);
    REQUIRE(batch.masks.size() == 7 * 196);
    index_t masked = 0, cells = 0;
    for (std::size_t i = 0; i < 7; ++i) {
      const std::vector<std::uint8_t> one(batch.masks.begin() + static_cast<long>(i * 196),
                                          batch.masks.begin() + static_cast<long>((i + 1) * 196));
      masked += count(one) > 0;
      first[i] += count(one) > 0;
      cells += count(one);
      CHECK(count(one) <= 98);
    }
    CHECK(masked == 3);
    CHECK(cells == batch.masked);
    CHECK(batch.masked <= batch.upper_bound);
  }
  for (const int times : first)
    CHECK(std::abs(times - 200 * 3.0 / 7) < 5 * std::sqrt(200 * 3.0 / 7 * 4 / 7));
}

TEST_CASE("batch masks: small batches and probabilities of 0 and 1") {
  MaskingOptions options;
  CHECK(masks_of(1, 8, 8, options, 1).masked == 0);  // floor(1/2) pictures
  options.probability = 0;
  CHECK(masks_of(6, 8, 8, options, 1).masked == 0);
  CHECK(masks_of(6, 8, 8, options, 1).upper_bound == 0);
  options.probability = 1;
  CHECK(masks_of(1, 8, 8, options, 1).masked > 0);
  CHECK(masks_of(2, 1, 1, options, 1).masked == 0);  // half a cell
}

TEST_CASE("crops: those of pictures become all first ones, then all second ones") {
  const Array x = numbers({3, 2, 4}, 1), y = crop_major(x);
  REQUIRE(y.shape() == Shape{6, 4});
  for (index_t picture = 0; picture < 3; ++picture)
    for (index_t crop = 0; crop < 2; ++crop)
      CHECK(largest_difference(y.select(0, crop * 3 + picture),
                               x.select(0, picture).select(0, crop)) == 0);
  CHECK(error_of([] { crop_major(numbers({3}, 1)); }) ==
        "crop_major: crops are (3), expected (B, n, …)");
}

TEST_CASE("collapse: spread is 0 for rows of one direction, 1 for rows that cancel") {
  CHECK(feature_spread(Array::from_values({2, 2}, {1, 2, 3, 6})).item() < 1e-3);
  CHECK(feature_spread(Array::from_values({2, 2}, {1, 2, -3, -6})).item() == doctest::Approx(1));
  CHECK(feature_spread(Array::from_values({2, 2}, {2, 0, 0, 5})).item() ==
        doctest::Approx(std::sqrt(0.5)));
}

TEST_CASE("collapse: a run ends after `patience` steps outside in a row, none in the first half") {
  const CollapseLimits limits{.after = 0.5, .patience = 3};
  constexpr std::int64_t steps = 20;
  const Named healthy{{"target_entropy", 0.6}, {"feature_spread", 0.5}},
      certain{{"target_entropy", 0.05}, {"feature_spread", 0.5}},
      flat{{"target_entropy", 0.99}, {"feature_spread", 0.5}},
      alike{{"target_entropy", 0.6}, {"feature_spread", 0.001}};
  CollapseWatch watch;
  for (std::int64_t step = 0; step < 10; ++step) watch.check(limits, flat, step, steps);
  watch.check(limits, flat, 10, steps), watch.check(limits, certain, 11, steps);
  watch.check(limits, healthy, 12, steps);  // counts anew
  watch.check(limits, flat, 13, steps), watch.check(limits, flat, 14, steps);
  CHECK(error_of([&] { watch.check(limits, flat, 15, steps); })
            .find("self_distillation: collapsed: the teacher prefers no prototype for any picture "
                  "(target entropy 0.990 of log K, expected 0.1 to 0.95; feature spread 0.5000, "
                  "expected "
                  "at least 0.01; 3 steps in a row) (hint: ") == 0);
  const auto message_of = [&](const Named& values) {
    CollapseWatch one;
    return error_of([&] {
      for (std::int64_t step = 10; step < 13; ++step) one.check(limits, values, step, steps);
    });
  };
  CHECK(message_of(certain).find("names the same few prototypes") != std::string::npos);
  CHECK(message_of(alike).find("the features of all pictures are alike") != std::string::npos);
  CHECK(message_of(healthy) == "no error");
}

TEST_CASE("parameter groups: learning rates fall by blocks, the patch embedding's further") {
  const LayerwiseSettings settings{.decay = 0.5, .patch_embed_factor = 0.2};
  const auto factor = [&](const char* name) { return layerwise_lr_factor(name, 3, settings); };
  CHECK(factor("backbone.cls_token") == 0.0625);
  CHECK(factor("backbone.pos_embed") == 0.0625);
  CHECK(factor("backbone.patch_embed.proj.weight") == doctest::Approx(0.0125));
  CHECK(factor("backbone.blocks.0.attn.qkv.weight") == 0.125);
  CHECK(factor("backbone.blocks.2.norm1.weight") == 0.5);
  CHECK(factor("backbone.norm.weight") == 1);
  CHECK(factor("dino_head.mlp.0.weight") == 1);
  CHECK(layerwise_lr_factor("backbone.blocks.11.ls1.gamma", 12, settings) == 0.5);
}

TEST_CASE(
    "parameter groups: who decays, who follows the schedule of the last layer, who is clipped "
    "with whom") {
  const std::vector<std::string> names{"backbone.cls_token",
                                       "backbone.blocks.0.norm1.weight",
                                       "backbone.blocks.0.ls1.gamma",
                                       "backbone.blocks.0.mlp.fc1.bias",
                                       "dino_head.mlp.0.weight",
                                       "dino_head.last_layer.weight_g",
                                       "ibot_head.last_layer.weight_v",
                                       "backbone.mask_token"};
  std::vector<Variable> vars;
  for (std::size_t i = 0; i < names.size(); ++i)
    vars.emplace_back(Array::zeros({1}), i + 1 < names.size());
  std::vector<std::pair<std::string, Variable*>> named;
  for (std::size_t i = 0; i < names.size(); ++i) named.emplace_back(names[i], &vars[i]);
  const auto list = self_distillation_parameters(named, 1, {});
  REQUIRE(list.size() == 7);  // the last one does not train
  const double decay[] = {1, 0, 0, 0, 1, 1, 1};
  const std::size_t group[] = {0, 0, 0, 0, 1, 1, 2};
  for (std::size_t i = 0; i < list.size(); ++i) {
    CAPTURE(names[i]);
    CHECK(list[i].name == names[i]);
    CHECK(list[i].weight_decay == decay[i]);
    CHECK(list[i].clip_group == group[i]);
    CHECK(list[i].lr_schedule == (i >= 5 ? "last_layer" : ""));
  }
}

TEST_CASE("schedules: the numbers of RAD-DINO's run at its first, middle and last steps") {
  SelfDistillationSchedule s;
  s.steps = 200, s.batch = 256, s.warmup = 20;
  s.warmup_teacher_temp_steps = 40, s.freeze_last_layer = 20;
  const ScheduleOptions lr = learning_rate_of(s);
  CHECK(learning_rate(lr, 0) == 0);
  CHECK(learning_rate(lr, 19) == doctest::Approx(0.5e-3));  // 1e-3 · √(256/1024)
  CHECK(learning_rate(lr, 199) < 2e-6);
  const auto value = [&](const std::string& name, std::int64_t step) {
    for (const NamedSchedule& each : schedules_of(s))
      if (each.name == name) return each.value(step);
    return -1.0;
  };
  CHECK(value("weight_decay", 0) == doctest::Approx(0.04));
  CHECK(value("weight_decay", 200) == doctest::Approx(0.4));
  CHECK(value("momentum", 100) == doctest::Approx(0.996));
  CHECK(value("teacher_temp", 0) == doctest::Approx(0.04));
  CHECK(value("teacher_temp", 39) == doctest::Approx(0.07));
  CHECK(value("teacher_temp", 150) == doctest::Approx(0.07));
  CHECK(value("last_layer", 19) == 0);
  CHECK(value("last_layer", 20) == 1);
}

TEST_CASE("schedules: what a run is too short for is said with what it gets to") {
  SelfDistillationSchedule s;
  s.steps = 100;
  s.warmup_teacher_temp_steps = 199, s.freeze_last_layer = 100;
  CHECK(too_long_for_run(s) ==
        std::vector<std::string>{
            "the teacher's temperature rises over 199 steps, the run has 100: it gets to 0.055, "
            "not to 0.07 (hint: --warmup-teacher-temp-steps 50)",
            "prototypes begin to move after 100 steps, the run has 100: they never do (hint: "
            "--freeze-last-layer 1)"});
  s.warmup_teacher_temp_steps = 100, s.freeze_last_layer = 99;
  CHECK(too_long_for_run(s).empty());
}
