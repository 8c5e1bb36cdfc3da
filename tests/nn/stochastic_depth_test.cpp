#include "../support/gradients.hpp"

#include <hlip/nn/stochastic_depth.hpp>

#include <algorithm>
#include <map>

using namespace test;

namespace {

/// Seven sequences of one prefix and two patch rows, and four plain ones of two rows.
const TokenLayouts layouts(std::vector<TokenLayout>{{7, 1, 2, 14, 0},
                                                    TokenLayout::plain(4, 2, 21)});
constexpr index_t rows = 29;

/// The sequence of a row, counted over both layouts.
index_t sequence_of(index_t row) {
  if (row < 14) return row / 2;
  return row < 21 ? row - 14 : 7 + (row - 21) / 2;
}

/// x + 1 for the rows of the subset, times its factor.
Array with_ones(const Array& x, double rate, const RandomKey& key) {
  return add_branch_of_subset(Variable(x), layouts, rate, key, Array::empty(x.shape()),
                              [](const Variable& kept, const TokenLayouts&) {
                                return Variable(Array::ones(kept.shape()));
                              })
      .value();
}

}  // namespace

TEST_CASE(
    "stochastic depth: of each layout max(1, floor(n·(1 - rate))) whole sequences take part, the "
    "others keep their bits") {
  for (const double rate : {0.0, 0.3, 0.5, 0.9}) {
    const index_t want[] = {std::max<index_t>(1, static_cast<index_t>(7 * (1 - rate))),
                            std::max<index_t>(1, static_cast<index_t>(4 * (1 - rate)))};
    const Array x = numbers({rows, 1}, 1), y = with_ones(x, rate, {4, 5, 6});
    std::map<index_t, int> touched;  // rows of each sequence
    for (index_t r = 0; r < rows; ++r) {
      if (y.at({r, 0}) == x.at({r, 0})) continue;
      const index_t s = sequence_of(r), part = s < 7 ? 0 : 1;
      const double factor = (part == 0 ? 7.0 : 4.0) / static_cast<double>(want[part]);
      CHECK(y.at({r, 0}) == doctest::Approx(x.at({r, 0}) + factor).epsilon(1e-14));
      ++touched[s];
    }
    index_t got[] = {0, 0};
    for (const auto& [s, count] : touched) {
      CHECK(count == (s < 7 ? 3 : 2));
      ++got[s < 7 ? 0 : 1];
    }
    CAPTURE(rate);
    CHECK(got[0] == want[0]);
    CHECK(got[1] == want[1]);
  }
}

TEST_CASE("stochastic depth: the rows of the subset lie as its layouts say") {
  const auto subset = draw_subset<double, Cpu>(layouts, 0.4, {4, 5, 6});
  const auto picked = subset.rows.to_vector();
  CHECK(static_cast<index_t>(picked.size()) == subset.layouts.rows());
  for (std::size_t i = 0; i < 2; ++i) {
    const TokenLayout& of = subset.layouts[i];
    CHECK(of.prefix == layouts[i].prefix);
    CHECK(of.patches == layouts[i].patches);
    for (index_t s = 0; s < of.sequences; ++s) {
      const auto at = [&](index_t row) { return picked[static_cast<std::size_t>(row)]; };
      const index_t first = sequence_of(at(of.patch_begin + s * of.patches));
      for (index_t p = 0; p < of.patches; ++p) {
        const index_t row = at(of.patch_begin + s * of.patches + p);
        CHECK(sequence_of(row) == first);
        CHECK((row - layouts[i].patch_begin) % of.patches == p);  // in their order
      }
      for (index_t p = 0; p < of.prefix; ++p)
        CHECK(sequence_of(at(of.prefix_begin + s * of.prefix + p)) == first);
    }
  }
}

TEST_CASE("stochastic depth: on average the whole branch is added, by layouts that draw apart") {
  constexpr int draws = 4000;
  const Array x = Array::zeros({rows, 1}), total = Array::zeros({rows, 1});
  int alike = 0;
  for (std::uint64_t step = 0; step < draws; ++step) {
    const Array y = with_ones(x, 0.5, {4, 5, step});
    total.assign(total + y);
    // sequence 0 of either layout; independent: 3/7 · 1/2 of both, 4/7 · 1/2 of neither
    alike += (y.at({0, 0}) > 0) == (y.at({21, 0}) > 0);
  }
  for (index_t r = 0; r < rows; ++r) {
    // kept k of n with the factor n/k: the variance of a draw is n/k - 1
    const double n = r < 21 ? 7 : 4, k = r < 21 ? 3 : 2;
    CHECK(std::abs(total.at({r, 0}) / draws - 1) < 5 * std::sqrt((n / k - 1) / draws));
  }
  CHECK(std::abs(alike / static_cast<double>(draws) - 0.5) < 5 * std::sqrt(0.25 / draws));
}

TEST_CASE("stochastic depth: one key draws one subset, another another") {
  const Array x = numbers({rows, 1}, 1);
  CHECK(same_bits(with_ones(x, 0.5, {4, 5, 6}), with_ones(x, 0.5, {4, 5, 6})));
  int other = 0;
  for (std::uint64_t step = 0; step < 20; ++step)
    other += !same_bits(with_ones(x, 0.5, {4, 5, 6}), with_ones(x, 0.5, {4, 5, 100 + step}));
  CHECK(other > 10);
}

TEST_CASE("stochastic depth: gradients of the rows, those in the branch and those beside it") {
  check_gradient("subset",
                 [](const std::vector<Variable>& v) {
                   return add_branch_of_subset(v[0], layouts, 0.5, RandomKey{4, 5, 6},
                                               Array::empty({rows, 2}),
                                               [&](const Variable& kept, const TokenLayouts&) {
                                                 return Variable(square(kept) * v[1]);
                                               });
                 },
                 {numbers({rows, 2}, 1), numbers({2}, 2)});
}

TEST_CASE("stochastic depth: a rate of 1 or less than 0 is an error") {
  CHECK(error_of([] { draw_subset<double, Cpu>(layouts, 1.0, {}); }) ==
        "drop_path: rate 1, expected 0 <= rate < 1");
  CHECK_THROWS_AS((draw_subset<double, Cpu>(layouts, -0.1, {})), error);
}
