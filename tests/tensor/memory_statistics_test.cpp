#include <hlip/backend/cpu.hpp>
#include <hlip/backend/reference.hpp>
#include <hlip/ops/elementwise.hpp>

#include <doctest/doctest.h>

#include <thread>
#include <vector>

using namespace hlip;

namespace {
constexpr MemoryCategory activations = MemoryCategory::activations,
                         gradients = MemoryCategory::gradients;
using F = Tensor<float>;
constexpr std::size_t kib = 1024;
}  // namespace

TEST_CASE_TEMPLATE(
    "memory statistics: a tensor counts under the category of its scope until its last handle is "
    "gone",
    B, Cpu, Reference) {
  MemoryStatistics& statistics = memory_statistics<B>();
  const MemoryUse before = statistics.now();
  {
    const MemoryScope outer(activations);
    Tensor<float, B> x = Tensor<float, B>::zeros({256});
    {
      const MemoryScope inner(MemoryCategory::data);
      const auto y = Tensor<double, B>::zeros({256});
      CHECK(statistics.now()[MemoryCategory::data] == before[MemoryCategory::data] + 2 * kib);
    }
    const Tensor<float, B> view = x.slice(0, 0, 3);
    x = {};
    CHECK(statistics.now()[activations] == before[activations] + kib);
    CHECK(statistics.now().total() == before.total() + kib);
  }
  CHECK(statistics.now().bytes == before.bytes);
}

TEST_CASE(
    "memory statistics: the peak is the highest total, with what each category held at that "
    "moment") {
  MemoryStatistics s;
  s.add(activations, 100);
  s.add(gradients, 10);
  s.remove(activations, 100);
  s.add(gradients, 60);  // more gradients than at the peak, but less in all
  CHECK(s.peak().total() == 110);
  CHECK(s.peak()[activations] == 100);
  CHECK(s.peak()[gradients] == 10);
  s.reset_peak();
  CHECK(s.peak().total() == 70);
  s.add(activations, 5);
  // Nothing came or went since the peak: it gets the category too
  s.move(activations, gradients, 5);
  CHECK(s.peak()[gradients] == 75);
  CHECK(s.peak()[activations] == 0);
}

TEST_CASE("memory statistics: memory moves to another category; wrapped memory counts nowhere") {
  const MemoryUse before = memory_statistics<Cpu>().now();
  {
    const F x = F::zeros({256});
    recategorise<Cpu>(x.storage(), gradients);
    recategorise<Cpu>(x.slice(0, 1, 2).storage(), gradients);  // the same memory: no second time
    CHECK(memory_statistics<Cpu>().now()[gradients] == before[gradients] + kib);
    CHECK(memory_statistics<Cpu>().now()[MemoryCategory::other] == before[MemoryCategory::other]);

    float own[4] = {};
    const F wrapped = F::wrap(std::shared_ptr<float>(own, [](float*) {}), own, {4});
    recategorise<Cpu>(wrapped.storage(), gradients);
    CHECK(memory_statistics<Cpu>().now().total() == before.total() + kib);
  }
  CHECK(memory_statistics<Cpu>().now().bytes == before.bytes);
}

TEST_CASE("memory statistics: threads have categories of their own and lose no byte") {
  const MemoryUse before = memory_statistics<Cpu>().now();
  const MemoryScope scope(activations);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([] {
      for (int i = 0; i < 500; ++i) {
        const F x = F::empty({1 + i % 7});
        recategorise<Cpu>(x.storage(), gradients);
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(memory_statistics<Cpu>().now().bytes == before.bytes);
}
