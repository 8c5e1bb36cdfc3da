#include <hlip/train/run_length.hpp>

#include <doctest/doctest.h>

using namespace hlip;

TEST_CASE(
    "run length: a run that goes on unchanged ends where it would have ended, also when studies "
    "were left out on the way") {
  const RunLength length{.epochs = 10, .studies = 25, .batch = 8, .accum_freq = 1};
  CHECK(length.steps_of_epoch() == 3);
  CHECK(last_step(length, {15, 30, {5, 0}, length}) == 30);
  // A study of the batch could not be read
  CHECK(last_step(length, {16, 30, {5, 9}, length}) == 30);
  // A checkpoint that does not say how long the run was
  CHECK(last_step(length, {16, 30, {5, 9}, {}}) == 30);
}

TEST_CASE("run length: with steps of another size, what is left is counted in studies") {
  const RunLength before{.epochs = 10, .studies = 24, .batch = 8, .accum_freq = 1};
  for (const bool says : {true, false}) {  // old checkpoints do not say their length
    const RunLength said = says ? before : RunLength{};
    RunLength now = before;
    now.batch = 24;
    CHECK(last_step(now, {15, 30, {5, 0}, said}) == 15 + 5);
    CHECK(last_step(now, {16, 30, {5, 8}, said}) == 16 + 4);  // too few are left of the sixth epoch
    now.batch = 4;
    CHECK(last_step(now, {15, 30, {5, 0}, said}) == 15 + 30);
    CHECK(last_step(now, {16, 30, {5, 8}, said}) == 16 + 28);
    now.accum_freq = 3;
    CHECK(last_step(now, {16, 30, {5, 8}, said}) == 16 + 1 + 8);
    now = before;
    now.epochs = 12;
    CHECK(last_step(now, {15, 30, {5, 0}, said}) == 36);
    now.epochs = 5;
    CHECK(last_step(now, {15, 30, {5, 0}, said}) == 15);
    now.epochs = 3;
    CHECK(last_step(now, {15, 30, {5, 0}, said}) == 15);
  }
}

TEST_CASE("run length: a run whose steps have changed twice ends where the second part said") {
  RunLength first{.epochs = 10, .studies = 24, .batch = 8, .accum_freq = 1}, second = first;
  second.batch = 4;
  const std::int64_t steps = last_step(second, {15, 30, {5, 0}, first});
  CHECK(steps == 45);
  CHECK(last_step(second, {27, steps, {7, 0}, second}) == 45);
  CHECK(last_step(first, {27, steps, {7, 0}, second}) == 27 + 9);
}
