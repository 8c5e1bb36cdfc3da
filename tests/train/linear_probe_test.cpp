#include <hlip/backend/cpu.hpp>
#include <hlip/train/linear_probe.hpp>

#include <doctest/doctest.h>
#include <omp.h>

#include <set>

using namespace hlip;
using Table = Tensor<float>;

namespace {
constexpr index_t pictures = 50, width = 4;

/// Feature k says label k, the others are noise.
Table features() {
  RandomStream random({3, 1, 4});
  std::vector<float> v;
  for (index_t i = 0; i < pictures; ++i)
    for (index_t k = 0; k < width; ++k)
      v.push_back(static_cast<float>((i >> k & 1) + 0.1 * random.normal()));
  return Table::from_values({pictures, width}, std::span<const float>(v));
}
/// Two labels: bits 0 and 1 of the picture's number.
Table labels() {
  std::vector<float> v;
  for (index_t i = 0; i < pictures; ++i)
    for (index_t k = 0; k < 2; ++k) v.push_back(static_cast<float>(i >> k & 1));
  return Table::from_values({pictures, 2}, std::span<const float>(v));
}
/// The same batch at every step.
auto rows(std::vector<std::int64_t> batch) {
  return [batch = std::move(batch)](std::int64_t) { return batch; };
}
LinearProbeOptions quick() {
  LinearProbeOptions o;
  o.lr = 0.1, o.epochs = 20, o.batch_size = 16;
  return o;
}
}  // namespace

TEST_CASE(
    "train_linear_probe: learns what the features say, the same bits again and at any "
    "number of threads") {
  const auto head = train_linear_probe(features(), labels(), quick());
  const auto scores = linear_probe_scores(head, features());
  const auto truth = labels().to_vector();
  for (std::size_t i = 0; i < scores.size(); ++i) CHECK((scores[i] > 0) == (truth[i] == 1));
  const int before = omp_get_max_threads();
  for (const int threads : {1, 4}) {
    omp_set_num_threads(threads);
    CHECK(train_linear_probe(features(), labels(), quick()).weight.value().to_vector() ==
          head.weight.value().to_vector());
  }
  omp_set_num_threads(before);
  LinearProbeOptions other = quick();
  other.seed = 1;
  CHECK(train_linear_probe(features(), labels(), other).weight.value().to_vector() !=
        head.weight.value().to_vector());
}

TEST_CASE("train_linear_probe: an unknown label teaches nothing") {
  Table some = labels().clone();
  for (index_t i = 0; i < pictures; ++i) some.data()[2 * i + 1] = std::nanf("");
  const auto begin = linear_probe_layer<Cpu>(width, 2, 0);
  LinearProbeOptions still = quick();
  still.weight_decay = 0;
  const auto head = train_linear_probe(features(), some, still);
  const auto first = begin.weight.value().to_vector(), last = head.weight.value().to_vector();
  for (std::size_t k = 0; k < width; ++k) {
    CHECK(first[k] != last[k]);
    CHECK(first[width + k] == last[width + k]);
  }
}

TEST_CASE("train_linear_probe: the bias decays like the weights") {
  Table unknown = Table::full({pictures, 1}, std::nanf(""));
  auto head = linear_probe_layer<Cpu>(width, 1, 0);
  head.bias.value().fill(1.f);
  LinearProbeOptions o = quick();
  o.weight_decay = 0.5;
  const auto before = head.weight.value().to_vector();
  train_linear_probe(head, features(), unknown, 1, rows({0, 1}), o);
  CHECK(head.bias.value().to_vector()[0] == doctest::Approx(1 - 0.1 * 0.5));
  CHECK(head.weight.value().to_vector()[0] == doctest::Approx(before[0] * (1 - 0.1 * 0.5)));
}

TEST_CASE("LinearProbeBatches: every picture once an epoch, the last batch what is left") {
  LinearProbeBatches batches(pictures, quick());
  CHECK(batches.steps() == 20 * 4);
  std::set<std::int64_t> seen;
  for (std::int64_t step = 0; step < 4; ++step)
    for (const auto row : batches(step)) CHECK(seen.insert(row).second);
  CHECK(seen.size() == pictures);
  CHECK(batches(3).size() == 2);
  CHECK(batches(0) != batches(4));
  CHECK_THROWS_AS(LinearProbeBatches(0, quick()), error);
}

TEST_CASE("train_linear_probe: senseless input is refused") {
  auto head = linear_probe_layer<Cpu>(width, 2, 0);
  const LinearProbeOptions o = quick();
  CHECK_THROWS_AS(train_linear_probe(head, features(), Table::zeros({3, 2}), 1, rows({0}), o),
                  error);
  CHECK_THROWS_AS(
      train_linear_probe(head, features(), Table::zeros({pictures, 3}), 1, rows({0}), o), error);
  CHECK_THROWS_AS(train_linear_probe(head, features(), labels(), 1, rows({pictures}), o), error);
  CHECK_THROWS_WITH_AS(train_linear_probe(head, Table::full({pictures, width}, std::nanf("")),
                                          labels(), 1, rows({0}), o),
                       doctest::Contains("is not finite at step 1"), error);
}
