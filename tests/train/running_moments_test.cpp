// A step that is given up leaves the running moments of batch norms where they were.
#include <doctest/doctest.h>
#include <hlip/autograd/functions/reduce.hpp>
#include <hlip/backend/cpu.hpp>
#include <hlip/core/interruption.hpp>
#include <hlip/core/scope.hpp>
#include <hlip/nn/channel_norm.hpp>
#include <hlip/train/supervised.hpp>
#include <hlip/train/trainer.hpp>

#include <limits>

using namespace hlip;

namespace {

struct Normed {
  using value_type = float;
  using backend = Cpu;
  BatchNorm<float> norm{2};
  template <class V> void visit(V&& v) { v("norm", norm); }
};

bool stop = false;

std::vector<float> moments(const Normed& model) {
  std::vector<float> all = model.norm.running_mean.value().to_vector();
  for (const float x : model.norm.running_var.value().to_vector()) all.push_back(x);
  return all;
}

}  // namespace

TEST_CASE(
    "trainer: a step that is stopped or not finite leaves running moments, others move them") {
  Normed model;
  const auto loss = [&](const Tensor<float>& batch, const Context& context) {
    const Var<float> y = model.norm(Var<float>(batch), context);
    ModuleScope at("after");  // where a step can be stopped
    return mean(square(y - 0.5));
  };
  Supervised objective(model, {}, loss);
  CHECK(running_moments(model).size() == 2);
  TrainerOptions options;
  options.steps = 3;
  Trainer<decltype(objective)> trainer(objective, options, CheckpointStore("", {"step"}));
  auto batch = Tensor<float>::from_values({2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 9});
  const std::vector<float> before = moments(model);
  {
    const Interruptible stoppable([] { return stop; });
    stop = true;
    CHECK_THROWS_AS(trainer.train_step(std::vector{batch}), interrupted);
    stop = false;
  }
  CHECK(moments(model) == before);
  auto broken = batch.clone();
  broken.data()[3] = std::numeric_limits<float>::quiet_NaN();
  CHECK_FALSE(trainer.train_step(std::vector{broken}).finite);
  CHECK(moments(model) == before);
  CHECK(trainer.train_step(std::vector{batch}).finite);
  CHECK(moments(model) != before);
  CHECK(model.norm.running_mean.value().at({0}) == doctest::Approx(0.1 * 3.5));
}
