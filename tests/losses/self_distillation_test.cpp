#include "../support/gradients.hpp"

#include <hlip/distributed/thread_group.hpp>
#include <hlip/losses/self_distillation.hpp>

#include <thread>

using namespace test;

namespace {

/// Calls fn(rank) on threads, one for each.
template <class Fn> void on_ranks(int size, Fn fn) {
  const ThreadGroup group(size);
  std::vector<std::thread> threads;
  for (int r = 0; r < size; ++r) threads.emplace_back([&, r] { fn(group.rank(r)); });
  for (auto& t : threads) t.join();
}

}  // namespace

TEST_CASE("centred targets: softmax of what is above the centre, sharper when colder") {
  const Array logits = numbers({3, 5}, 1), centre = numbers({1, 5}, 2);
  const Array p = centred_targets(logits, centre, 0.1);
  CHECK(largest_difference(sum(p, {1}), Array::ones({3})) < 1e-14);
  for (index_t r = 0; r < 3; ++r) {
    double total = 0;
    for (index_t k = 0; k < 5; ++k)
      total += std::exp((logits.at({r, k}) - centre.at({0, k})) / 0.1);
    for (index_t k = 0; k < 5; ++k)
      CHECK(p.at({r, k}) ==
            doctest::Approx(std::exp((logits.at({r, k}) - centre.at({0, k})) / 0.1) / total)
                .epsilon(1e-12));
  }
  CHECK(max(p, {}).item() > max(centred_targets(logits, centre, 1.0), {}).item());
  CHECK(error_of([&] {
          centred_targets(logits, numbers({1, 4}, 2), 0.1);
        }) == "centred_targets: centre is (1, 4), expected (1 = 1, prototypes = 5)");
}

TEST_CASE("sinkhorn: rows sum to 1, and prototypes are used alike") {
  const Array logits = numbers({12, 4}, 1);
  for (const int iterations : {1, 3, 50}) {
    const Array q = sinkhorn_knopp(logits, 0.5, iterations);
    CHECK(largest_difference(sum(q, {1}), Array::ones({12})) < 1e-14);
    if (iterations == 50) CHECK(largest_difference(sum(q, {0}), Array::full({4}, 12.0 / 4)) < 1e-9);
  }
  CHECK(error_of([] { sinkhorn_knopp(Array::empty({0, 4}), 0.5); }) == "sinkhorn_knopp: no rows");
}

TEST_CASE(
    "sinkhorn: what all logits have in common does not matter, and large ones do not overflow") {
  const auto logits = numbers({6, 4}, 1).to<float>();
  const auto q = sinkhorn_knopp(logits, 0.05);
  const auto high = sinkhorn_knopp(Tensor<float>(logits + 64.0f), 0.05);
  for (index_t i = 0; i < q.numel(); ++i) {
    CHECK(std::isfinite(high.data()[i]));
    CHECK(high.data()[i] == doctest::Approx(q.data()[i]).epsilon(1e-3));
  }
}

TEST_CASE("sinkhorn and mean rows: ranks with different numbers of rows give what one has of all") {
  const Array logits = numbers({10, 4}, 1);
  const Array want = sinkhorn_knopp(logits, 0.3), mean_want = mean_row(logits);
  // 7 and 3 rows; 4, 4, 2 and 0
  for (const std::vector<index_t>& ends :
       {std::vector<index_t>{0, 7, 10}, std::vector<index_t>{0, 4, 8, 10, 10}}) {
    const int size = static_cast<int>(ends.size()) - 1;
    std::vector<Array> parts(static_cast<std::size_t>(size)), means(parts.size());
    on_ranks(size, [&](auto c) {
      const auto r = static_cast<std::size_t>(c.rank());
      const Array mine = logits.slice(0, ends[r], ends[r + 1]).clone();
      parts[r] = sinkhorn_knopp(mine, 0.3, 3, c);
      means[r] = mean_row(mine, c);
    });
    for (std::size_t r = 0; r < parts.size(); ++r) {
      CHECK(largest_difference(parts[r], want.slice(0, ends[r], ends[r + 1])) < 1e-14);
      CHECK(largest_difference(means[r], mean_want) < 1e-15);
      CHECK(same_bits(means[r], means[0]));
    }
  }
}

TEST_CASE("soft cross-entropy: against targets that sum to 1, to 2, and to nothing") {
  const Array logits = numbers({3, 5}, 1, -3, 3),
              one = centred_targets(numbers({3, 5}, 2), numbers({1, 5}, 3), 0.5),
              other = centred_targets(numbers({3, 5}, 4), numbers({1, 5}, 3), 0.5);
  const auto loss = [&](const Array& targets) {
    return soft_cross_entropy(Variable(logits), targets, 0.2).value();
  };
  const Array first = loss(one);
  for (index_t r = 0; r < 3; ++r) {
    double total = 0, want = 0;
    for (index_t k = 0; k < 5; ++k) total += std::exp(logits.at({r, k}) / 0.2);
    for (index_t k = 0; k < 5; ++k)
      want -= one.at({r, k}) * (logits.at({r, k}) / 0.2 - std::log(total));
    CHECK(first.at({r, 0}) == doctest::Approx(want).epsilon(1e-12));
  }
  // a row that is compared with two
  CHECK(largest_difference(loss(Array(one + other)), first + loss(other)) < 1e-13);
  CHECK(largest_difference(loss(Array::zeros({3, 5})), Array::zeros({3, 1})) == 0);
}

TEST_CASE("soft cross-entropy: gradient, with targets that sum to 1 and to 2") {
  for (const double mass : {1.0, 2.0}) {
    const Array targets = centred_targets(numbers({3, 5}, 2), numbers({1, 5}, 3), 0.5) * mass;
    check_gradient(
        "soft cross-entropy",
        [&](const std::vector<Variable>& v) { return soft_cross_entropy(v[0], targets, 0.3); },
        {numbers({3, 5}, 1)});
  }
}

TEST_CASE("soft cross-entropy: logits of any size give finite numbers, and shapes are named") {
  const Variable logits(Array::from_values({1, 3}, {1e4, -1e4, 0}), true);
  const Variable loss = soft_cross_entropy(logits, Array::from_values({1, 3}, {0, 1, 0}), 0.1);
  CHECK(loss.item() == doctest::Approx(2e5));
  sum(loss).backward();
  CHECK(largest_difference(logits.grad(), Array::from_values({1, 3}, {10, -10, 0})) < 1e-12);
  CHECK(error_of([&] {
          soft_cross_entropy(logits, Array::ones({2, 3}), 0.1);
        }) == "soft_cross_entropy: targets is (2, 3), expected (rows = 1, prototypes = 3)");
}
