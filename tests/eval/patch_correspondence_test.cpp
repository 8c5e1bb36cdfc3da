#include <hlip/backend/cpu.hpp>
#include <hlip/eval/patch_correspondence.hpp>

#include <doctest/doctest.h>

using namespace hlip;

namespace {
using Table = Tensor<float>;
using Queries = Tensor<std::int64_t>;

/// Four directions; the second picture has them in another order and of another length.
const Table a = Table::from_values({4, 2}, {1, 0, 0, 2, -3, 0, 0, -1});
const Table b = Table::from_values({4, 2}, {0, -5, 2, 0, -1, 0, 0, 1});
}  // namespace

TEST_CASE("cosine_similarity: length does not count, a row of zeros is at right angles to all") {
  const auto s = cosine_similarity(a, b).to_vector();
  const std::vector<float> want = {0, 1, -1, 0, -1, 0, 0, 1, 0, -1, 1, 0, 1, 0, 0, -1};
  REQUIRE(s.size() == want.size());
  for (std::size_t i = 0; i < s.size(); ++i) CHECK(s[i] == doctest::Approx(want[i]));
  const auto zero = cosine_similarity(Table::zeros({1, 2}), b).to_vector();
  CHECK(zero == std::vector<float>(4, 0.f));
  CHECK_THROWS_AS(cosine_similarity(a, Table::zeros({4, 3})), error);
  CHECK_THROWS_AS(cosine_similarity(a, Table::zeros({2})), error);
}

TEST_CASE("patch_at: the patch that holds a point; what is outside is refused") {
  CHECK(patch_at(0, 0, 14, 3, 4) == 0);
  CHECK(patch_at(13.9, 14, 14, 3, 4) == 1);
  CHECK(patch_at(41.9, 55.9, 14, 3, 4) == 11);
  CHECK_THROWS_WITH_AS(patch_at(42, 0, 14, 3, 4), doctest::Contains("is outside of 3 x 4"), error);
  CHECK_THROWS_AS(patch_at(0, -0.1, 14, 3, 4), error);
  CHECK_THROWS_AS(patch_at(std::nan(""), 0, 14, 3, 4), error);
  CHECK_THROWS_AS(patch_at(1e300, 0, 14, 3, 4), error);
  CHECK_THROWS_AS(patch_at(0, 0, 0, 3, 4), error);
}

TEST_CASE("similarity_maps, best_patches, heat_maps: a map for each query, brought to pixels") {
  const auto maps = similarity_maps(a, b, Queries::from_values({2}, {3, 1}), 2, 2);
  CHECK(maps.shape() == Shape{2, 2, 2});
  CHECK(best_patches(maps) == std::vector<std::int64_t>{0, 3});
  const auto heat = heat_maps(maps, 4, 4);
  CHECK(heat.shape() == Shape{2, 4, 4});
  // rows 1, 0 / 0, -1: a quarter of the way between centres
  const auto values = heat.to_vector();
  CHECK(values[0] == doctest::Approx(1));
  CHECK(values[1] == doctest::Approx(0.75));
  CHECK(values[15] == doctest::Approx(-1));
  CHECK_THROWS_AS(similarity_maps(a, b, Queries::from_values({1}, {4}), 2, 2), error);
  CHECK_THROWS_AS(similarity_maps(a, b, Queries::from_values({1}, {0}), 2, 3), error);
}

TEST_CASE("nearest_patches: mutual where both choose each other, of equals the first") {
  const auto n = nearest_patches(cosine_similarity(a, b));
  CHECK(n.of_a == std::vector<std::int64_t>{1, 3, 2, 0});
  CHECK(n.of_b == std::vector<std::int64_t>{3, 0, 2, 1});
  CHECK(n.mutual == std::vector<std::uint8_t>{1, 1, 1, 1});
  const Table twice = Table::from_values({2, 2}, {1, 0, 1, 0});
  const auto tied = nearest_patches(cosine_similarity(twice, twice));
  CHECK(tied.of_a == std::vector<std::int64_t>{0, 0});
  CHECK(tied.mutual == std::vector<std::uint8_t>{1, 0});
  CHECK_THROWS_AS(nearest_patches(Table::zeros({0, 3})), error);
}
