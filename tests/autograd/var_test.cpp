#include "../support/gradients.hpp"

#include <hlip/autograd/functions/shape.hpp>

#include <thread>

using namespace test;

TEST_CASE("var: nothing is recorded in a NoGrad scope, and again inside EnableGrad") {
  const Variable x(numbers({3}, 1), true);
  {
    NoGrad outer;
    const Variable y = x * 2;
    CHECK_FALSE(y.requires_grad());
    CHECK_FALSE(sum(x).requires_grad());
    {
      EnableGrad inner;
      const Variable z = x * 2;
      CHECK(z.requires_grad());
      CHECK(sum(z).requires_grad());
    }
    CHECK_FALSE(sum(x).requires_grad());
  }
  CHECK(sum(x).requires_grad());
}

TEST_CASE("var: NoGrad concerns its own thread only") {
  const Variable x(numbers({3}, 1), true);
  NoGrad guard;
  bool recorded = false;
  std::thread([&] { recorded = sum(x).requires_grad(); }).join();
  CHECK(recorded);
}

TEST_CASE("var: detach cuts the graph and shares the value") {
  const Variable x(numbers({3}, 1), true);
  const Variable y = x * 3, cut = y.detach();
  CHECK_FALSE(cut.requires_grad());
  CHECK(cut.value().shares_storage(y.value()));
  const Variable z = cut * x;
  sum(z).backward();
  CHECK(same_bits(x.grad(), cut.value()));
}

TEST_CASE("var: gradients add up over backward calls until zero_grad") {
  const Variable x(Array::from_values({2}, {1, 2}), true);
  sum(Variable(x * 3)).backward();
  sum(Variable(x * x)).backward();
  CHECK(x.grad().to_vector() == std::vector<double>{5, 7});
  Variable same = x;
  same.zero_grad();
  CHECK_FALSE(x.has_grad());
  sum(x).backward();
  CHECK(x.grad().to_vector() == std::vector<double>{1, 1});
}

TEST_CASE("var: accumulating never writes into a tensor someone else holds") {
  const Variable x(Array::zeros({2}), true);
  const Array seed = Array::from_values({2}, {1, 2});
  const Variable y = reshape(x, {2});  // passes its gradient on as it is
  y.backward(seed);
  const Array first = x.grad();
  sum(Variable(x * 10)).backward();
  CHECK(seed.to_vector() == std::vector<double>{1, 2});
  CHECK(first.to_vector() == std::vector<double>{1, 2});
  CHECK(x.grad().to_vector() == std::vector<double>{11, 12});
}

TEST_CASE("var: a graph serves once, or as often as wanted with retain_graph") {
  const Variable x(numbers({4}, 1), true);
  const Variable y = sum(Variable(exp(x)));
  y.backward(true);
  y.backward(true);
  const Array twice = x.grad();
  CHECK(largest_difference(twice, 2 * exp(x.value())) < 1e-15);
  y.backward();
  CHECK(error_of([&] { y.backward(); }) ==
        "backward: the graph through 'sum' was already used (hint: backward(true) keeps it)");
}

TEST_CASE("var: a part shared by two results can be used again only while it is kept") {
  const Variable x(numbers({4}, 1), true);
  const Variable shared = exp(x), a = sum(shared), b = sum(Variable(shared * 2));
  a.backward();
  CHECK(
      error_of([&] { b.backward(); }) ==
      "backward: the graph through 'elementwise' was already used (hint: backward(true) keeps it)");
}

TEST_CASE("var: a backward that fails leaves no trace in what is used afterwards") {
  const Variable x(numbers({4}, 1), true), other(numbers({4}, 2), true);
  // The newer one is pulled first, while the other waits
  const Variable waiting = other * 3, later = x * 2;
  sum(later).backward();
  const Variable both = waiting + later;
  CHECK_THROWS_AS(sum(both).backward(), error);
  sum(waiting).backward();
  REQUIRE(other.has_grad());
  CHECK(other.grad().to_vector() == std::vector<double>(4, 3.0));
}

TEST_CASE("var: what cannot be done is said") {
  const Variable x(numbers({2, 3}, 1), true), c(numbers({1}, 1));
  Variable y = x * 2;
  CHECK(error_of([&] { y.backward(); }) ==
        "backward: called on shape (2, 3), expected one element (hint: give dL/dy as "
        "backward(seed))");
  CHECK(error_of([&] {
          y.backward(Array::ones({3, 2}));
        }) == "backward: seed is (3, 2), expected (2, 3)");
  CHECK(error_of([&] { c.backward(); }) == "backward: nothing here requires a gradient");
  CHECK(error_of([&] { x.grad(); }) ==
        "grad: no gradient here (hint: is requires_grad set, and has backward() run?)");
  CHECK(error_of([&] { y.set_requires_grad(false); }) ==
        "requires_grad: only leaves can be switched, this is the result of elementwise");
}

TEST_CASE("var: a leaf is switched off and on") {
  Variable x(numbers({2}, 1), true);
  x.set_requires_grad(false);
  CHECK_FALSE(sum(x).requires_grad());
  x.set_requires_grad(true);
  CHECK(sum(x).requires_grad());
}

TEST_CASE("var: a gradient that is set may be any view and is added to like any other") {
  Variable x(numbers({2, 3}, 1), true);
  x.set_grad(Array::arange(6).reshape({3, 2}).permute({1, 0}));
  CHECK(x.grad().is_contiguous());
  sum(Variable(x * 10)).backward();
  CHECK(x.grad().to_vector() == std::vector<double>{10, 12, 14, 11, 13, 15});
  CHECK_THROWS_AS(x.set_grad(Array::zeros({2})), error);
}

TEST_CASE(
    "var: the value of a function that records keeps its graph after the arguments are gone") {
  const Variable x(Array::from_values({2}, {3, 4}), true);
  const auto length = [](const Variable& v) {
    const Variable squares = v * v;
    return Variable(sqrt(sum(squares)));
  };
  const Variable y = length(x);
  y.backward();
  CHECK(y.item() == 5);
  CHECK(largest_difference(x.grad(), Array::from_values({2}, {0.6, 0.8})) < 1e-15);
}
