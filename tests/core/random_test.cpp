#include <hlip/core/random.hpp>

#include <doctest/doctest.h>

#include <algorithm>

using namespace hlip;

namespace {
using Words = std::array<std::uint32_t, 4>;
}

TEST_CASE("Philox 4x32-10: the known answers of its authors") {
  // Counter words (c0, c1, c2, c3) = (index low, index high, step low, step high), key words =
  // (seed low, seed high), stream 0. Source: Random123, known-answer tests of philox4x32-10.
  CHECK(philox({0, 0, 0}, 0) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({~0ull, 0, ~0ull}, ~0ull) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x299f31d0a4093822ull, 0, 0x0370734413198a2eull}, 0x85a308d3243f6a88ull) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("random keys: every field counts, and equal keys draw the same") {
  const RandomKey key{1, 2, 3};
  CHECK(philox(key, 4) == philox({1, 2, 3}, 4));
  for (const RandomKey& other : {RandomKey{2, 2, 3}, RandomKey{1, 3, 3}, RandomKey{1, 2, 4},
                                 RandomKey{1ull << 32, 2, 3}, RandomKey{1, 2, 3 + (1ull << 32)}})
    CHECK(philox(other, 4) != philox(key, 4));
  CHECK(philox(key, 4 + (1ull << 32)) != philox(key, 4));
  CHECK(philox(key.with_stream(9), 4) == philox({1, 9, 3}, 4));
}

TEST_CASE("random numbers: uniform and normal have their moments and limits") {
  const int n = 100'000;
  double sum = 0, squares = 0, low = 1, high = 0, normal_sum = 0, normal_squares = 0, fourth = 0;
  for (std::uint64_t i = 0; i < n; ++i) {
    const double u = uniform_at({7, 0, 0}, i), z = normal_at({7, 1, 0}, i);
    sum += u, squares += u * u, low = std::min(low, u), high = std::max(high, u);
    normal_sum += z, normal_squares += z * z, fourth += z * z * z * z;
  }
  const double root = std::sqrt(n);  // five standard errors each
  CHECK(std::abs(sum / n - 0.5) < 5 * std::sqrt(1.0 / 12) / root);
  CHECK(std::abs(squares / n - 1.0 / 3) < 5 * std::sqrt(4.0 / 45) / root);
  CHECK(low >= 0);
  CHECK(high < 1);
  CHECK(std::abs(normal_sum / n) < 5 / root);
  CHECK(std::abs(normal_squares / n - 1) < 5 * std::sqrt(2.0) / root);
  CHECK(std::abs(fourth / n - 3) < 5 * std::sqrt(96.0) / root);
}

TEST_CASE("random streams: replay, stay in range, and shuffle without loss") {
  RandomStream a({1, 2, 3}), b({1, 2, 3});
  for (int i = 0; i < 10; ++i) CHECK(a.uniform() == b.uniform());
  RandomStream late({1, 2, 3}, 10);  // begins where they are
  const double next = a.normal();
  CHECK(next == b.normal());
  CHECK(next == late.normal());
  std::array<int, 5> count{};
  for (int i = 0; i < 5000; ++i) {
    const auto k = a.below(5);
    REQUIRE(k >= 0);
    REQUIRE(k < 5);
    ++count[static_cast<std::size_t>(k)];
    const double u = a.uniform(-2, 3);
    REQUIRE((u >= -2 && u < 3));
  }
  for (int c : count) CHECK(std::abs(c - 1000) < 5 * std::sqrt(5000 * 0.2 * 0.8));
  int yes = 0;
  for (int i = 0; i < 5000; ++i) yes += a.chance(0.3);
  CHECK(std::abs(yes - 1500) < 5 * std::sqrt(5000 * 0.3 * 0.7));
  std::vector<int> items(100);
  for (int i = 0; i < 100; ++i) items[static_cast<std::size_t>(i)] = i;
  auto shuffled = items, again = items;
  RandomStream({1, 2, 3}).shuffle(shuffled);
  RandomStream({1, 2, 3}).shuffle(again);
  CHECK(shuffled == again);
  CHECK(shuffled != items);
  std::sort(shuffled.begin(), shuffled.end());
  CHECK(shuffled == items);
}
