#include <hlip/backend/cpu.hpp>

#include <hlip/distributed/tensors.hpp>
#include <hlip/distributed/thread_group.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

using namespace hlip;

namespace {

template <class Fn> void on_ranks(const ThreadGroup& group, Fn fn) {
  std::vector<std::thread> threads;
  for (int r = 0; r < group.size(); ++r) threads.emplace_back([&, r] { fn(group.rank(r)); });
  for (auto& t : threads) t.join();
}

/// `rows` rows whose numbers say the rank they are of.
Tensor<float> of_rank(int rank, index_t rows) {
  return Tensor<float>::full({rows, 2}, static_cast<float>(rank + 1));
}

}  // namespace

TEST_CASE("tensors of one process: the tensor itself, its rows and its largest element") {
  const SingleProcess alone;
  const auto x = Tensor<float>::from_values({2, 2}, {1, -5, 3, 2});
  CHECK(sum_over_ranks(x, alone).data() == x.data());
  CHECK(count_over_ranks(7, alone) == 7);
  const auto most = max_over_ranks(x, alone);
  CHECK(most.shape() == Shape{1, 1});
  CHECK(most.item() == 3);
}

TEST_CASE("tensors of several ranks: sums, counts and maxima are alike on all of them") {
  for (const int size : {2, 4}) {
    const ThreadGroup group(size);
    std::atomic<int> wrong = 0;
    on_ranks(group, [&](auto c) {
      const auto sums = sum_over_ranks(of_rank(c.rank(), 3), c);
      wrong += !(sums.shape() == Shape{3, 2});
      for (const float v : sums.to_vector())
        wrong += v != static_cast<float>(size * (size + 1) / 2);
      wrong += count_over_ranks(c.rank(), c) != size * (size - 1) / 2;
      wrong += max_over_ranks(of_rank(c.rank(), 3), c).item() != static_cast<float>(size);
    });
    CHECK(wrong == 0);
  }
}

TEST_CASE("tensors of several ranks: one that has none takes part, below every number") {
  const ThreadGroup group(2);
  std::atomic<int> wrong = 0;
  on_ranks(group, [&](auto c) {
    const auto x = c.rank() == 0 ? Tensor<float>::full({1, 2}, -1e30f)
                                 : Tensor<float>::empty({0, 2});
    wrong += max_over_ranks(x, c).item() != -1e30f;
  });
  CHECK(wrong == 0);
}
