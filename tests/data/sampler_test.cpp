#include <hlip/data/sampler.hpp>

#include <doctest/doctest.h>

#include <map>
#include <set>

using namespace hlip;
using Indices = std::vector<index_t>;

namespace {
Indices counted(index_t n) {
  Indices all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), index_t{0});
  return all;
}
Indices sorted(Indices v) {
  std::sort(v.begin(), v.end());
  return v;
}
}  // namespace

TEST_CASE("sampler: every epoch is another permutation, a function of seed and epoch alone") {
  const Sampler a(50, {.batch_size = 8, .seed = 3}), b(50, {.batch_size = 8, .seed = 3}),
      c(50, {.batch_size = 8, .seed = 4});
  std::set<Indices> seen;
  for (index_t epoch = 0; epoch < 10; ++epoch) {
    CHECK(sorted(a.order(epoch)) == counted(50));
    CHECK(a.order(epoch) == b.order(epoch));
    seen.insert(a.order(epoch));
    seen.insert(c.order(epoch));
  }
  CHECK(seen.size() == 20);
  CHECK(Sampler(50, {.shuffle = false}).order(7) == counted(50));
}

TEST_CASE("sampler: permutations of few samples are about equally frequent") {
  const Sampler s(3, {});
  std::map<Indices, int> frequency;
  for (index_t epoch = 0; epoch < 6000; ++epoch) ++frequency[s.order(epoch)];
  CHECK(frequency.size() == 6);
  // five standard deviations
  for (const auto& [order, count] : frequency) CHECK(std::abs(count - 1000) < 150);
}

TEST_CASE("sampler: processes together see the batches one process would") {
  const Sampler whole(100, {.batch_size = 12, .seed = 1});
  const auto order = whole.order(2);
  Indices together;
  std::vector<Indices> parts;
  for (index_t r = 0; r < 3; ++r) {
    const Sampler part(100, {.batch_size = 4, .seed = 1, .rank = r, .world_size = 3});
    CHECK(part.batches_per_epoch() == whole.batches_per_epoch());
    parts.push_back(part.order(2));
    CHECK(parts.back().size() == 32);
  }
  for (std::size_t b = 0; b < 8; ++b)
    for (const auto& p : parts)
      together.insert(together.end(), p.begin() + static_cast<long>(4 * b),
                      p.begin() + static_cast<long>(4 * b + 4));
  CHECK(together == Indices(order.begin(), order.begin() + 96));
}

TEST_CASE("sampler: without drop_last every sample is seen once by one process") {
  for (const index_t n : {1, 5, 23, 24, 25}) {
    Indices all;
    for (index_t r = 0; r < 3; ++r) {
      const Sampler s(n, {.batch_size = 4, .drop_last = false, .rank = r, .world_size = 3});
      const auto own = s.order(0);
      CHECK(s.batches_per_epoch() == (static_cast<index_t>(own.size()) + 3) / 4);
      all.insert(all.end(), own.begin(), own.end());
    }
    CHECK(sorted(all) == counted(n));
  }
}

TEST_CASE("sampler: senseless options are refused") {
  CHECK_THROWS_WITH_AS(Sampler(10, {.batch_size = 16}),
                       doctest::Contains("10 samples make no full batch of 16"), error);
  CHECK_THROWS_AS(Sampler(0, {}), error);
  CHECK_THROWS_AS(Sampler(10, {.batch_size = 0}), error);
  CHECK_THROWS_AS(Sampler(10, {.rank = 2, .world_size = 2}), error);
  CHECK_THROWS_AS(Sampler(10, {}).order(-1), error);
  CHECK(Sampler(10, {.batch_size = 16, .drop_last = false}).batches_per_epoch() == 1);
}
