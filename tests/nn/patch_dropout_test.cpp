#include "../support/gradients.hpp"

#include <hlip/nn/patch_dropout.hpp>

using namespace test;

TEST_CASE("patch dropout: every row keeps max(1, floor(L·(1-rate))) different tokens") {
  const RandomKey key{1, 2, 3};
  for (const auto& [patches, rate, kept] : std::vector<std::tuple<index_t, double, index_t>>{
           {196, 0.5, 98}, {7, 0.5, 3}, {10, 0.75, 2}, {3, 0.9, 1}, {1, 0.5, 1}, {5, 0, 5}}) {
    const auto index = patch_dropout_indices<Cpu>(6, patches, rate, key);
    CHECK(index.shape() == Shape{6, kept});
    for (index_t r = 0; r < 6; ++r) {
      std::set<std::int64_t> seen;
      for (index_t i = 0; i < kept; ++i) seen.insert(index.at({r, i}));
      CHECK(static_cast<index_t>(seen.size()) == kept);
      CHECK(*seen.begin() >= 0);
      CHECK(*seen.rbegin() < patches);
    }
  }
}

TEST_CASE("patch dropout: rows differ, every token has its chance, and the key decides") {
  const auto index = patch_dropout_indices<Cpu>(400, 8, 0.5, {1, 2, 3});
  std::vector<int> count(8);
  for (std::int64_t i : index.to_vector()) ++count[static_cast<std::size_t>(i)];
  for (int c : count) CHECK(std::abs(c - 200) < 5 * 10);  // five standard deviations
  CHECK(same_bits(index, patch_dropout_indices<Cpu>(400, 8, 0.5, {1, 2, 3})));
  CHECK_FALSE(same_bits(index, patch_dropout_indices<Cpu>(400, 8, 0.5, {1, 2, 4})));
  CHECK_FALSE(same_bits(index.select(0, 0), index.select(0, 1)));
}

TEST_CASE("patch dropout: a rate of 1 is an error") {
  CHECK(error_of([] { patch_dropout_indices<Cpu>(1, 4, 1.0, {}); }) ==
        "patch_dropout: rate 1, expected 0 <= rate < 1");
}
