#include "../support/gradients.hpp"

#include <hlip/optim/adamw.hpp>

#include <array>
#include <map>

using namespace test;

namespace {

/// One number under AdamW, from the definition.
struct Scalar {
  double p, m = 0, v = 0;
  void step(double g, double lr, double b1, double b2, double eps, double decay, int t) {
    p *= 1 - lr * decay;
    m = b1 * m + (1 - b1) * g;
    v = b2 * v + (1 - b2) * g * g;
    p -= lr * (m / (1 - std::pow(b1, t))) / (std::sqrt(v / (1 - std::pow(b2, t))) + eps);
  }
};

}  // namespace

TEST_CASE(
    "AdamW: every number follows the definition over many steps, with decay, changing lr and "
    "clipped gradients") {
  const Variable x(numbers({5, 7}, 1), true), y(numbers({3}, 2), true);
  AdamW<double, Cpu> optimizer({{"x", x, 0.2}, {"y", y, 0.0}},
                               {.beta1 = 0.9, .beta2 = 0.98, .eps = 1e-6});
  std::vector<Scalar> xs, ys;
  for (double p : x.value().to_vector()) xs.push_back({p});
  for (double p : y.value().to_vector()) ys.push_back({p});
  for (int t = 1; t <= 20; ++t) {
    const double lr = 0.01 * t, scale = t % 3 ? 1.0 : 0.25;
    const Array gx = numbers({5, 7}, 100 + static_cast<std::uint32_t>(t)),
                gy = numbers({3}, 200 + static_cast<std::uint32_t>(t));
    optimizer.zero_grad();
    sum(Variable(x * gx)).backward();
    sum(Variable(y * gy)).backward();
    optimizer.step(lr, scale);
    for (std::size_t i = 0; i < xs.size(); ++i)
      xs[i].step(scale * gx.to_vector()[i], lr, 0.9, 0.98, 1e-6, 0.2, t);
    for (std::size_t i = 0; i < ys.size(); ++i)
      ys[i].step(scale * gy.to_vector()[i], lr, 0.9, 0.98, 1e-6, 0.0, t);
  }
  double most = 0;
  for (std::size_t i = 0; i < xs.size(); ++i)
    most = std::max(most, std::abs(xs[i].p - x.value().to_vector()[i]));
  for (std::size_t i = 0; i < ys.size(); ++i)
    most = std::max(most, std::abs(ys[i].p - y.value().to_vector()[i]));
  CHECK(most < 1e-12);
  CHECK(optimizer.steps() == 20);
}

TEST_CASE(
    "AdamW: each parameter has its factor of the learning rate, its decay times the step's, and "
    "the clipping of its group") {
  const Variable x(numbers({4}, 1), true), y(numbers({3}, 2), true), z(numbers({2}, 3), true);
  AdamW<double, Cpu> optimizer(
      {{"x", x, 0.2, 0.5, 0}, {"y", y, 0.1, 1.0, 1}, {"z", z, 0.3, 0.5, 7}},
      {.beta1 = 0.9, .beta2 = 0.98, .eps = 1e-6});
  const std::array<const Variable*, 3> all{&x, &y, &z};
  // The last scale holds for all groups behind it
  const double rate[] = {0.5, 1, 0.5}, decay[] = {0.2, 0.1, 0.3}, clip[] = {0.25, 0.5, 0.5};
  std::vector<Scalar> expected[3];
  for (std::size_t k = 0; k < 3; ++k)
    for (double p : all[k]->value().to_vector()) expected[k].push_back({p});
  for (int t = 1; t <= 5; ++t) {
    optimizer.zero_grad();
    for (const auto* v : all) sum(Variable(*v * *v)).backward();
    std::vector<double> gradients[3];
    for (std::size_t k = 0; k < 3; ++k) gradients[k] = all[k]->grad().to_vector();
    optimizer.step(AdamWStep{0.02, 3.0, {0.25, 0.5}, {}});
    for (std::size_t k = 0; k < 3; ++k)
      for (std::size_t i = 0; i < expected[k].size(); ++i) {
        expected[k][i].step(clip[k] * gradients[k][i], 0.02 * rate[k], 0.9, 0.98, 1e-6,
                            3 * decay[k], t);
        CHECK(all[k]->value().to_vector()[i] == doctest::Approx(expected[k][i].p).epsilon(1e-12));
      }
  }
  CHECK(optimizer.steps() == 5);
  CHECK_THROWS_AS(optimizer.step(AdamWStep{0.02, 1.0, {}, {}}), error);
}

TEST_CASE(
    "AdamW: a parameter's schedule multiplies its learning rate, decay included; 0 freezes it") {
  const Variable x(numbers({4}, 1), true), y(numbers({4}, 1), true);
  AdamW<double, Cpu> optimizer({{"x", x, 0.2, 1.0, 0, ""}, {"y", y, 0.2, 1.0, 0, "last_layer"}},
                               {.beta1 = 0.9, .beta2 = 0.98, .eps = 1e-6});
  std::vector<Scalar> xs, ys;
  for (double p : x.value().to_vector()) xs.push_back({p}), ys.push_back({p});
  const Array frozen = y.value().clone();
  for (int t = 1; t <= 6; ++t) {
    const double factor = t <= 2 ? 0 : 0.5;
    const Array g = numbers({4}, 100 + static_cast<std::uint32_t>(t));
    optimizer.zero_grad();
    sum(Variable((x + y) * g)).backward();
    optimizer.step(AdamWStep{0.02, 1.0, {1.0}, {{"lr", 0.02}, {"last_layer", factor}}});
    if (t <= 2) CHECK(same_bits(y.value(), frozen));
    for (std::size_t i = 0; i < 4; ++i) {
      xs[i].step(g.to_vector()[i], 0.02, 0.9, 0.98, 1e-6, 0.2, t);
      ys[i].step(g.to_vector()[i], 0.02 * factor, 0.9, 0.98, 1e-6, 0.2, t);
      CHECK(x.value().to_vector()[i] == doctest::Approx(xs[i].p).epsilon(1e-12));
      CHECK(y.value().to_vector()[i] == doctest::Approx(ys[i].p).epsilon(1e-12));
    }
  }
  CHECK(error_of([&] { optimizer.step(0.02); }) ==
        "adamw: there is no schedule named last_layer for parameter y");
}

TEST_CASE("AdamW: a parameter without gradient stays as it is, decay included") {
  const Variable x(numbers({3}, 1), true);
  const Array before = x.value().clone();
  AdamW<double, Cpu> optimizer({{"x", x, 0.5}}, {});
  optimizer.step(0.1);
  CHECK(same_bits(x.value(), before));
}

TEST_CASE("AdamW: a run that stops and goes on from its state ends in the same bits") {
  const auto train = [](int stop) {
    Variable x(numbers({9}, 1), true);
    AdamW<double, Cpu> optimizer({{"x", x, 0.1}}, {});
    for (int t = 0; t < 10; ++t) {
      if (t == stop) {
        std::map<std::string, Array> state;
        optimizer.each_state(
            [&](const std::string& name, const Array& s) { state[name] = s.clone(); });
        CHECK(state.count("exp_avg.x") == 1);
        CHECK(state.count("exp_avg_sq.x") == 1);
        AdamW<double, Cpu> next({{"x", x, 0.1}}, {});
        next.set_steps(optimizer.steps());
        next.each_state([&](const std::string& name, const Array& s) { s.assign(state.at(name)); });
        optimizer = next;
      }
      optimizer.zero_grad();
      sum(Variable(square(x))).backward();
      optimizer.step(0.05);
    }
    return x.value();
  };
  CHECK(same_bits(train(-1), train(4)));
}
