#include "../support/gradients.hpp"

#include <hlip/autograd/functions/drop_path.hpp>

using namespace test;

namespace {
const RandomKey key{8, 9, 10};
}

TEST_CASE(
    "drop path: whole sequences are dropped, prefix rows with their patch rows, at the given "
    "rate") {
  const TokenLayout layout{4000, 1, 2, 8000, 0};
  const Array x = Array::zeros({layout.rows(), 1}), branch = Array::ones({layout.rows(), 1});
  const Array y = drop_path_add(Variable(x), Variable(branch), 0.2, layout, key,
                                Array::empty(x.shape()))
                      .value();
  index_t dropped = 0, torn = 0;
  for (index_t r = 0; r < layout.sequences; ++r) {
    const double prefix = y.at({layout.prefix_begin + r, 0}), a = y.at({2 * r, 0}),
                 b = y.at({2 * r + 1, 0});
    torn += !(prefix == a && a == b && (a == 0 || a == 1.25));
    dropped += a == 0;
  }
  CHECK(torn == 0);
  // five standard deviations
  CHECK(std::abs(static_cast<double>(dropped) - 800) < 5 * std::sqrt(4000 * 0.2 * 0.8));
}

TEST_CASE("drop path: draw number r of the key decides sequence r") {
  const TokenLayout layout = TokenLayout::plain(50, 3);
  const Variable y = drop_path_add(Variable(Array::zeros({150, 2})),
                                   Variable(Array::ones({150, 2})), 0.5, layout, key,
                                   Array::empty({150, 2}));
  for (index_t r = 0; r < 50; ++r)
    CHECK((y.value().at({3 * r, 1}) == 0) ==
          (uniform_at(key, static_cast<std::uint64_t>(r)) < 0.5));
}

TEST_CASE("drop path: sequences of later layouts take the draws behind those of earlier ones") {
  const TokenLayouts layouts(
      std::vector<TokenLayout>{TokenLayout::plain(20, 2), {30, 1, 2, 40, 70}});
  const Array y = drop_path_add(Variable(Array::zeros({130, 1})), Variable(Array::ones({130, 1})),
                                0.5, layouts, key, Array::empty({130, 1}))
                      .value();
  const auto kept = [&](index_t sequence) {
    return uniform_at(key, static_cast<std::uint64_t>(sequence)) < 0.5 ? 0.0 : 2.0;
  };
  index_t wrong = 0;
  for (index_t r = 0; r < 40; ++r) wrong += y.at({r, 0}) != kept(r / 2);
  for (index_t s = 0; s < 30; ++s) {
    wrong += y.at({40 + s, 0}) != kept(20 + s);
    wrong += y.at({70 + 2 * s, 0}) != kept(20 + s) || y.at({71 + 2 * s, 0}) != kept(20 + s);
  }
  CHECK(wrong == 0);
}

TEST_CASE("drop path: the gradient is that of x + kept branch") {
  const TokenLayout layout{4, 1, 2, 0, 4};
  check_gradient("drop path",
                 [&](const std::vector<Variable>& v) {
                   return drop_path_add(v[0], v[1], 0.5, layout, key, Array::empty({12, 2}));
                 },
                 {numbers({12, 2}, 1), numbers({12, 2}, 2)});
}

TEST_CASE("drop path: a rate of 1 or less than 0 is an error") {
  const TokenLayout layout = TokenLayout::plain(1, 1);
  const Variable x(Array::ones({1, 1}));
  CHECK(error_of([&] {
          drop_path_add(x, x, 1.0, layout, key, Array::empty({1, 1}));
        }) == "drop_path: rate 1, expected 0 <= rate < 1");
  CHECK_THROWS_AS(drop_path_add(x, x, -0.5, layout, key, Array::empty({1, 1})), error);
}
