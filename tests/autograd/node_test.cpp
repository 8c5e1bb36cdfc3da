#include "../support/gradients.hpp"

#include <hlip/autograd/functions/shape.hpp>

#include <pthread.h>

using namespace test;

namespace {

/// Runs fn in a thread whose stack is much smaller than a walk by recursion over the graphs below
/// would need.
template <class Fn> void with_small_stack(Fn fn) {
  pthread_attr_t attributes;
  REQUIRE(pthread_attr_init(&attributes) == 0);
  REQUIRE(pthread_attr_setstacksize(&attributes, 512 * 1024) == 0);
  pthread_t thread;
  const auto body = [](void* f) -> void* {
    (*static_cast<Fn*>(f))();
    return nullptr;
  };
  REQUIRE(pthread_create(&thread, &attributes, body, &fn) == 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

Variable chain(const Variable& x, int length) {
  Variable y = x;
  for (int i = 0; i < length; ++i) y = reshape(y, i % 2 ? Shape{} : Shape{1});
  return y;
}

}  // namespace

TEST_CASE("graph: a chain of 1,000,000 nodes runs backwards and is freed without recursion") {
  const Variable x(Array::scalar(2), true);
  with_small_stack([&] {
    const Variable y = chain(x, 1'000'000);
    y.backward();
  });
  CHECK(x.grad().item() == 1);
  CHECK(x.node().use_count() == 1);
}

TEST_CASE("graph: a chain of 1,000,000 nodes that never ran backwards is freed without recursion") {
  const Variable x(Array::scalar(2), true);
  std::weak_ptr<Node<double, Cpu>> last;
  with_small_stack([&] {
    const Variable y = chain(x, 1'000'000);
    last = y.node();
  });
  CHECK(last.expired());
  CHECK(x.node().use_count() == 1);
}

TEST_CASE("graph: a chain of fused statements is walked with a loop too") {
  const Variable x(Array::scalar(1), true);
  with_small_stack([&] {
    Variable y = x;
    for (int i = 0; i < 100'000; ++i) y = y + 1;
    y.backward();
  });
  CHECK(x.grad().item() == 1);
}

TEST_CASE("graph: shared parts are pulled once, however many paths lead to them") {
  const Variable x(Array::scalar(1), true);
  Variable y = x;
  for (int i = 0; i < 60; ++i) y = y * 0.5 + y * 0.5;  // 2^60 paths
  CHECK(operations_behind(y) == 60);
  y.backward();
  CHECK(x.grad().item() == 1);
  Variable z = x;
  for (int i = 0; i < 60; ++i) {
    const Variable left = reshape(z, {1}), right = reshape(z, {});
    z = left * right * 0.5 + right * 0.5;
  }
  z.backward();
  CHECK(std::isfinite(x.grad().item()));
}

TEST_CASE("graph: a wide graph is released completely") {
  const Variable x(Array::scalar(1), true);
  {
    std::vector<Variable> parts;
    for (int i = 0; i < 1000; ++i) parts.push_back(reshape(x, {1}));
    const Variable y = concat(parts, 0);
    CHECK(x.node().use_count() == 1001);
  }
  CHECK(x.node().use_count() == 1);
}

TEST_CASE("graph: backward frees what it has used, unless the graph is kept") {
  const Variable x(numbers({3}, 1), true);
  Variable y = exp(x);
  std::weak_ptr<double> saved = y.value().storage();
  const Variable z = sum(Variable(square(y)));
  y = {};
  CHECK_FALSE(saved.expired());
  z.backward(true);
  CHECK_FALSE(saved.expired());
  z.backward();
  CHECK(saved.expired());
  CHECK(x.node().use_count() == 1);
}

TEST_CASE("graph: results only keep what lies behind them") {
  const Variable x(numbers({3}, 1), true);
  std::weak_ptr<Node<double, Cpu>> forgotten;
  const Variable y = x * 2;
  {
    const Variable side = y * 3;
    forgotten = side.node();
  }
  CHECK(forgotten.expired());
  CHECK(y.node().use_count() == 1);
}
