// Block programs (backend/cuda/block.hpp), in the builds that have the Cuda backend.
#if defined(HLIP_WITH_DEVICE)

#include <hlip/backend/cuda.hpp>
#include <hlip/tensor/tensor.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

using namespace hlip;

namespace block_test {

/// y[b, t] = x[b, 63 − t] · (1 + t) + the sum of x over the eight threads around t + the largest of
/// x in the 32 around t.
struct Mixed {
  static constexpr int threads = 64;
  const std::int64_t* x;
  std::int64_t* y;

  template <class Block> HLIP_FN void operator()(Block& block) const {
    std::int64_t* all = block.template shared<std::int64_t>(threads);
    auto own = block.template per_thread<std::int64_t, 2>();
    auto most = block.template per_thread<std::int64_t, 1>();
    block.phase([&](int t) {
      all[t] = x[block.index() * threads + t];
      own(t)[0] = all[t];
      own(t)[1] += 1;  // starts at 0
      most(t)[0] = all[t];
    });
    block.template reduce<8>(own, detail::Plus{});
    block.template reduce<32>(most, detail::Larger{});
    block.each([&](int t) {
      y[block.index() * threads + t] = all[threads - 1 - t] * (1 + t) + own(t)[0] + most(t)[0] +
                                       1000000 * own(t)[1];
    });
  }
};

}  // namespace block_test

TEST_CASE(
    "block programs: phases see what others wrote, reductions the whole group, for any number of "
    "blocks") {
  for (index_t blocks : {0, 1, 3, 100}) {
    CAPTURE(blocks);
    std::vector<std::int64_t> x(static_cast<std::size_t>(64 * blocks)), want(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<std::int64_t>(i * 37 % 101);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const auto first = x.begin() + static_cast<std::ptrdiff_t>(i / 64 * 64);
      const auto t = static_cast<std::ptrdiff_t>(i % 64);
      want[i] = first[63 - t] * (1 + t) +
                std::accumulate(first + t / 8 * 8, first + t / 8 * 8 + 8, std::int64_t{0}) +
                *std::max_element(first + t / 32 * 32, first + t / 32 * 32 + 32) + 8000000;
    }
    const auto from = Tensor<std::int64_t, Cuda>::from_values({64 * blocks},
                                                              std::span<const std::int64_t>(x));
    const auto to = Tensor<std::int64_t, Cuda>::zeros({64 * blocks});
    detail::launch_blocks(Cuda{}, blocks, block_test::Mixed::threads * sizeof(std::int64_t),
                          block_test::Mixed{from.data(), to.data()});
    CHECK(to.to_vector() == want);
  }
}

TEST_CASE(
    "block programs: a label outside the classes is passed over, and named once, when the host "
    "reads a value the next time") {
  const auto logits = Tensor<float, Cuda>::zeros({2, 3}), loss = Tensor<float, Cuda>::zeros({2}),
             lse = Tensor<float, Cuda>::zeros({2});
  const auto labels = Tensor<std::int64_t, Cuda>::from_values({2}, {0, 3});
  cross_entropy_forward(Cuda{}, logits.data(), labels.data(), loss.data(), lse.data(), 2, 3);
  CHECK_THROWS_WITH_AS(loss.to_vector(), "cross_entropy: label 1 is 3, expected 0 to 2", error);
  const auto values = loss.to_vector();
  CHECK(values[0] == doctest::Approx(std::log(3.0)));
  CHECK(std::isnan(values[1]));
}

#endif
