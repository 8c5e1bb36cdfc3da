#include "../support/gradients.hpp"
#include "../support/sanitizers.hpp"

#include <hlip/distributed/thread_group.hpp>
#include <hlip/losses/prototype_cross_entropy.hpp>
#include <hlip/ops/shape.hpp>

#if defined(_OPENMP)
#include <omp.h>
#endif

#include <thread>

using namespace test;

namespace {

using Teacher = Prototypes<double, Cpu>;
using Targets = PrototypeTargets<double, Cpu>;

constexpr index_t width = 3;
constexpr index_t more_than_a_piece = normalised_rows_at_a_time + 5;

Teacher prototypes(index_t k, std::uint32_t stream) {
  return {numbers({k, 1}, stream, 0.5, 1.5), numbers({k, width}, stream + 1)};
}

/// features · prototypesᵀ, the plain way.
Array logits_of(const Array& features, const Teacher& p) {
  const auto y = Array::zeros({features.dim(0), p.count()});
  for (index_t i = 0; i < y.dim(0); ++i)
    for (index_t j = 0; j < y.dim(1); ++j) {
      double dot = 0, squares = 0;
      for (index_t c = 0; c < width; ++c) {
        dot += features.at({i, c}) * p.v.at({j, c});
        squares += p.v.at({j, c}) * p.v.at({j, c});
      }
      y.data()[i * y.dim(1) + j] = p.g.at({j, 0}) * dot / std::sqrt(squares);
    }
  return y;
}
Array softmax_of(const Array& logits, double temperature) {
  const Array z = logits * (1.0 / temperature);
  return exp(z - logsumexp(z, {1}, true));
}
Array all_of(const Targets& t) {
  std::vector<Array> pieces;
  for_normalised_rows(t.prototypes.count(), [&](index_t first, index_t end) {
    pieces.push_back(t.probabilities(first, end));
  });
  return concat(pieces, 1);
}

/// The rounds on the whole matrix.
Array plain_sinkhorn(const Array& logits, double temperature, int iterations) {
  const auto k = static_cast<double>(logits.dim(1)), rows = static_cast<double>(logits.dim(0));
  Array q = exp((logits - max(logits, {0, 1}, true)) * (1.0 / temperature));
  q = Array(q / sum(q, {0, 1}, true));
  for (int i = 0; i < iterations; ++i) {
    q = Array(q / (sum(q, {0}, true) * k));
    q = Array(q / (sum(q, {1}, true) * rows));
  }
  return q * rows;
}

/// Each of the student's rows against one or two of the teacher's.
const ComparedRows some_pairs{{1, 0, 2, 2}, {-1, -1, 1, 0}};

Array plain_loss(const Array& logits, const Array& p, const ComparedRows& compared,
                 double temperature) {
  const Array q = softmax_of(logits, temperature);
  const auto loss = Array::zeros({logits.dim(0), 1});
  for (index_t i = 0; i < logits.dim(0); ++i)
    for (const auto* list : {&compared.first, &compared.second}) {
      if (list->empty() || (*list)[static_cast<std::size_t>(i)] < 0) continue;
      for (index_t j = 0; j < logits.dim(1); ++j)
        loss.data()[i] -= p.at({(*list)[static_cast<std::size_t>(i)], j}) * std::log(q.at({i, j}));
    }
  return loss;
}

/// Runs fn(communicator) for each rank of a group, in threads.
template <class Fn> void on_ranks(int ranks, Fn fn) {
  const ThreadGroup group(ranks);
  std::vector<std::thread> threads;
  for (int r = 0; r < ranks; ++r) threads.emplace_back([&, r] { fn(group.rank(r)); });
  for (auto& t : threads) t.join();
}

}  // namespace

TEST_CASE("targets: with a centre, the softmax of centred logits over temperature") {
  for (const index_t k : {index_t{7}, more_than_a_piece}) {
    const Array features = numbers({4, width}, 1), centre = numbers({1, k}, 2);
    const Teacher teacher = prototypes(k, 3);
    const Targets t = centred_targets(features, teacher, centre, 0.04);
    const Array wanted = softmax_of(logits_of(features, teacher) - centre, 0.04);
    CHECK(largest_difference(all_of(t), wanted) < 1e-12);
    CHECK(largest_difference(t.probabilities(2, 5), wanted.slice(1, 2, 5).contiguous()) < 1e-12);
  }
}

TEST_CASE("targets: Sinkhorn-Knopp gives what its rounds give on the whole matrix") {
  for (const index_t k : {index_t{7}, more_than_a_piece}) {
    const Array features = numbers({5, width}, 5);
    const Teacher teacher = prototypes(k, 6);
    for (const int rounds : {0, 1, 3})
      CHECK(largest_difference(all_of(sinkhorn_targets(features, teacher, 0.06, rounds)),
                               plain_sinkhorn(logits_of(features, teacher), 0.06, rounds)) < 1e-12);
  }
}

TEST_CASE(
    "targets: Sinkhorn-Knopp of prototypes that nothing is near, and of rows far below others") {
  using F = Tensor<float, Cpu>;
  // logits from -400 to 400 at this temperature: most of exp is zero in floats
  const auto features = F::from_values({3, 2}, {1, 0, 0.9F, 0.1F, -1, 0});
  const Prototypes<float, Cpu> p{F::full({4, 1}, 4),
                                 F::from_values({4, 2}, {1, 0, 1, 0.1F, -1, 0.2F, -1, -1})};
  const F all = sinkhorn_targets(features, p, 0.01).probabilities(0, 4);
  for (const float x : all.to_vector()) CHECK(std::isfinite(x));
  for (const float x : sum(all, {1}).to_vector()) CHECK(x == doctest::Approx(1).epsilon(1e-4));
}

TEST_CASE("targets: rounds of Sinkhorn-Knopp lead to prototypes that are used alike") {
  const Array features = numbers({12, width}, 44);
  const Array q = all_of(sinkhorn_targets(features, prototypes(4, 45), 0.5, 50));
  CHECK(largest_difference(sum(q, {1}), Array::ones({12})) < 1e-12);
  CHECK(largest_difference(sum(q, {0}), Array::full({4}, 12.0 / 4)) < 1e-9);
}

TEST_CASE("targets: ranks with different numbers of rows, and one with none, give what one gives") {
  const Array features = numbers({5, width}, 8), centre = numbers({1, more_than_a_piece}, 9);
  const Teacher teacher = prototypes(more_than_a_piece, 10);
  const Array all = all_of(sinkhorn_targets(features, teacher, 0.06)),
              total = summed_logits(features, teacher);
  CHECK(largest_difference(total, sum(logits_of(features, teacher), {0}, true)) < 1e-13);
  const index_t begin[] = {0, 2, 2, 5};
  on_ranks(3, [&](const auto& rank) {
    const index_t from = begin[rank.rank()], to = begin[rank.rank() + 1];
    const Array own = features.slice(0, from, to);
    const Targets t = sinkhorn_targets(own, teacher, 0.06, 3, rank);
    CHECK(t.rows() == to - from);
    if (to > from)
      CHECK(largest_difference(all_of(t), all.slice(0, from, to).contiguous()) < 1e-12);
    CHECK(largest_difference(summed_logits(own, teacher, rank), total) < 1e-13);
  });
}

TEST_CASE("targets: their mean entropy is 1 where all are alike, and that of the matrix") {
  const index_t k = more_than_a_piece;
  const Array features = numbers({4, width}, 12), centre = Array::zeros({1, k});
  const Teacher teacher = prototypes(k, 13);
  CHECK(mean_entropy(centred_targets(Array::zeros({2, width}), teacher, centre, 0.1)).item() ==
        doctest::Approx(1).epsilon(1e-12));
  const Array sure = Array::full({2, width}, 1e3);
  CHECK(mean_entropy(centred_targets(sure, teacher, centre, 0.1)).item() == doctest::Approx(0));
  const Array p = softmax_of(logits_of(features, teacher), 0.1), terms = p * log(p);
  const double wanted = -sum(terms).item() / (4 * std::log(static_cast<double>(k)));
  CHECK(mean_entropy(centred_targets(features, teacher, centre, 0.1)).item() ==
        doctest::Approx(wanted).epsilon(1e-12));
}

TEST_CASE("prototype_cross_entropy: that of the whole matrices") {
  for (const index_t k : {index_t{7}, more_than_a_piece}) {
    const Teacher teacher = prototypes(k, 15), student = prototypes(k, 17);
    const Array features = numbers({4, width}, 19);
    const Targets t = centred_targets(numbers({4, width}, 20), teacher, Array::zeros({1, k}), 0.2);
    const Array p = all_of(t), logits = logits_of(features, student);
    const auto loss = [&](const ComparedRows& compared) {
      return prototype_cross_entropy(Variable(features), Variable(student.g), Variable(student.v),
                                     t, compared, 0.1)
          .value();
    };
    CHECK(largest_difference(loss(some_pairs), plain_loss(logits, p, some_pairs, 0.1)) < 1e-12);
    const ComparedRows own{{0, 1, 2, 3}, {}};
    CHECK(largest_difference(loss({}), plain_loss(logits, p, own, 0.1)) < 1e-12);
    CHECK(same_bits(loss({}), loss(own)));
  }
}

TEST_CASE("prototype_cross_entropy: gradients of features, lengths and directions") {
  for (const index_t k : {index_t{6}, more_than_a_piece}) {
    if (k > 6 && under_sanitizers) continue;  // a matrix that large passes below, once
    const index_t rows = k == 6 ? 4 : 2;
    const ComparedRows compared = k == 6 ? some_pairs : ComparedRows{{1, 0}, {0, -1}};
    const Targets t = sinkhorn_targets(numbers({3, width}, 21), prototypes(k, 22), 0.3);
    const Teacher student = prototypes(k, 24);
    check_gradient("prototype_cross_entropy",
                   [&](const std::vector<Variable>& x) {
                     return prototype_cross_entropy(x[0], x[1], x[2], t, compared, 0.2);
                   },
                   {numbers({width, rows}, 26).transpose(0, 1), student.g, student.v});
  }
}

TEST_CASE("prototype_cross_entropy: only what is wanted gets a gradient, and gradients add up") {
  const Targets t = sinkhorn_targets(numbers({4, width}, 27), prototypes(5, 28), 0.3);
  const Teacher student = prototypes(5, 30);
  const Variable x(numbers({4, width}, 32), true), g(student.g), v(student.v, true);
  const auto once = [&] {
    const Variable each = prototype_cross_entropy(x, g, v, t, {}, 0.2);
    sum(each).backward();
  };
  once();
  CHECK(!g.has_grad());
  const Array dx = x.grad().clone(), dv = v.grad().clone();
  once();
  CHECK(largest_difference(x.grad(), dx * 2.0) < 1e-13);
  CHECK(largest_difference(v.grad(), dv * 2.0) < 1e-13);
}

TEST_CASE("prototype_cross_entropy: no matrix of rows by prototypes, forward or back") {
  using F = Tensor<float, Cpu>;
  const index_t rows = 96, k = 16 * normalised_rows_at_a_time, d = 16;
  const std::size_t matrix = static_cast<std::size_t>(rows * k) * sizeof(float);
  const auto draw = [](const Shape& shape, std::uint32_t stream) {
    return numbers(shape, stream).to<float>();
  };
  const Prototypes<float, Cpu> teacher{F::ones({k, 1}), draw({k, d}, 33)};
  const Var<float, Cpu> x(draw({rows, d}, 34), true), g(F::ones({k, 1}), true),
      v(draw({k, d}, 35), true);
  const F features = draw({rows, d}, 36), centre = F::zeros({1, k});
  const auto run = [&] {
    const auto t = centred_targets(features, teacher, centre, 0.04);
    const Var<float, Cpu> each = prototype_cross_entropy(x, g, v, t, {}, 0.1);
    sum(each).backward();
  };
  run();  // the gradients are there now
  memory_statistics<Cpu>().reset_peak();
  const std::size_t before = memory_statistics<Cpu>().now().total();
  run();
  CHECK(memory_statistics<Cpu>().peak().total() - before < matrix / 2);
#if defined(_OPENMP)
  const int threads = omp_get_max_threads();
  std::vector<F> gradients[2];
  for (const int n : {1, 3}) {
    omp_set_num_threads(n);
    for (const auto* leaf : {&x, &g, &v}) Var<float, Cpu>(*leaf).zero_grad();
    run();
    for (const auto* leaf : {&x, &g, &v}) gradients[n / 2].push_back(leaf->grad().clone());
  }
  omp_set_num_threads(threads);
  for (std::size_t i = 0; i < 3; ++i) CHECK(same_bits(gradients[0][i], gradients[1][i]));
#endif
}

TEST_CASE("prototypes: what does not fit is named") {
  const Array features = numbers({4, width}, 37);
  const Teacher teacher = prototypes(5, 38);
  const Targets t = sinkhorn_targets(features, teacher, 0.1);
  const auto loss = [&](const Array& x, const Teacher& p, const ComparedRows& compared,
                        double temperature = 0.1) {
    return error_of([&] {
      prototype_cross_entropy(Variable(x), Variable(p.g), Variable(p.v), t, compared, temperature);
    });
  };
  CHECK(loss(numbers({4, 2}, 1), teacher, {}) ==
        "prototype_cross_entropy: weight_v is (5, 3), expected (prototypes, width = 2)");
  CHECK(loss(features, {numbers({4, 1}, 1), teacher.v}, {}) ==
        "prototype_cross_entropy: weight_g is (4, 1), expected (prototypes = 5, 1 = 1)");
  CHECK(loss(features, prototypes(6, 40), {}) ==
        "prototype_cross_entropy: the teacher has 5 prototypes, expected 6");
  CHECK(loss(numbers({3, width}, 1), teacher, {}) ==
        "prototype_cross_entropy: 4 rows of the teacher for 3 rows of the student");
  CHECK(loss(features, teacher, {{0, 1}, {}}) ==
        "prototype_cross_entropy: 2 rows of the teacher named first for 4 rows of the student");
  CHECK(loss(features, teacher, {{0, 1, 2, 3}, {1}}) ==
        "prototype_cross_entropy: 1 rows of the teacher named second for 4 rows of the student");
  CHECK(loss(features, teacher, {{0, 1, 2, 4}, {}}).find("4") != std::string::npos);
  CHECK(loss(features, teacher, {}, 0) ==
        "prototype_cross_entropy: temperature is 0, expected a positive number");
  CHECK(error_of([&] {
          centred_targets(features, teacher, Array::zeros({1, 4}), 0.1);
        }) == "centred_targets: centre is (1, 4), expected (1 = 1, prototypes = 5)");
  CHECK(error_of([&] { sinkhorn_targets(features, teacher, -1); }) ==
        "sinkhorn_targets: temperature is -1, expected a positive number");
  CHECK(error_of([&] {
          sinkhorn_targets(Array::zeros({0, width}), teacher, 0.1);
        }) == "sinkhorn_targets: no rows");
}
