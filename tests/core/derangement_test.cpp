#include "../support/errors.hpp"

#include <hlip/core/derangement.hpp>

#include <doctest/doctest.h>

#include <set>

using namespace hlip;
using namespace test;

TEST_CASE("derangement: everybody gets something, nobody their own, by the seed") {
  for (std::size_t n = 2; n < 40; ++n)
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      const auto from = derangement(n, seed);
      std::set<std::size_t> taken(from.begin(), from.end());
      CHECK((taken.size() == n && *taken.rbegin() == n - 1));
      for (std::size_t i = 0; i < n; ++i) CHECK(from[i] != i);
    }
  CHECK(derangement(9, 1) == derangement(9, 1));
  CHECK(derangement(9, 1) != derangement(9, 2));
  CHECK(derangement(0, 1).empty());
  CHECK(error_of([] { derangement(1, 0); }) ==
        "derangement: there is one, expected two or more, or none");
}
