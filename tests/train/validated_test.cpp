// Keeping the weights that were best on data that is not learned from.
#include <doctest/doctest.h>
#include <hlip/backend/cpu.hpp>
#include <hlip/train/validated.hpp>

using namespace hlip;

namespace {

struct Point {
  using value_type = double;
  using backend = Cpu;
  Var<double, Cpu> x{Tensor<double>::zeros({2}), true}, seen{Tensor<double>::zeros({1})};
  template <class V> void visit(V&& v) { v("x", x), v("seen", seen); }
};
/// Steps of which the third validation is the best, and a not finite one.
double loss_after(std::int64_t step) {
  return step == 6 ? 0.5 : step == 8 ? std::nan("") : 1 + static_cast<double>(step);
}
template <class O> void train(O& objective, Point& point, std::int64_t from, std::int64_t to) {
  for (std::int64_t step = from; step < to; ++step) {
    point.x.value().fill(static_cast<double>(step + 1));
    point.seen.value().fill(static_cast<double>(10 * (step + 1)));
    StepContext at;
    at.step = step, at.steps = 11;
    objective.after_step(at);
  }
}

}  // namespace

TEST_CASE("validated: the best weights come back, buffers too, and survive a checkpoint") {
  const auto loss = [](const int&, const Context&) { return Var<double, Cpu>(); };
  std::vector<std::int64_t> asked;
  const auto validate = [&](std::int64_t step) {
    asked.push_back(step);
    return loss_after(step);
  };
  Point point, later;
  Validated objective(point, {}, loss, 2, validate), resumed(later, {}, loss, 2, validate);
  CHECK(objective.best_step() == 0);
  train(objective, point, 0, 7);

  // what a checkpoint keeps
  std::vector<Tensor<double>> kept;
  objective.each_state([&](const std::string& file, const std::string&, const Tensor<double>& t) {
    CHECK(file == "best.safetensors");
    kept.push_back(t.clone());
  });
  CHECK(kept.size() == 3);
  std::size_t next = 0;
  resumed.each_state([&](const std::string&, const std::string&, const Tensor<double>& t) {
    t.assign(kept[next++]);
  });
  objective.each_count([&](const char*, std::int64_t& count) {
    resumed.each_count([&](const char*, std::int64_t& other) { other = count; });
  });
  train(objective, point, 7, 11);
  train(resumed, later, 7, 11);
  CHECK(asked == std::vector<std::int64_t>{2, 4, 6, 8, 10, 11, 8, 10, 11});
  for (auto& o : {&objective, &resumed}) {
    CHECK(o->best_step() == 6);
    CHECK(o->lowest_loss() == 0.5);
    o->take_best(11);
  }
  for (const Point* p : {&point, &later}) {
    CHECK(p->x.value().to_vector() == std::vector<double>{6, 6});
    CHECK(p->seen.value().item() == 60);
  }
}

TEST_CASE("validated: a run whose last step was not finite is validated at its end, once") {
  const auto loss = [](const int&, const Context&) { return Var<double, Cpu>(); };
  std::vector<std::int64_t> asked;
  const auto validate = [&](std::int64_t step) {
    asked.push_back(step);
    return 0.25;
  };
  Point point;
  Validated objective(point, {}, loss, 0, validate);
  train(objective, point, 0, 10);  // the eleventh step changes nothing: nobody hears of it
  CHECK(asked.empty());
  objective.take_best(11);
  CHECK(asked == std::vector<std::int64_t>{11});
  CHECK(objective.best_step() == 11);
  CHECK(objective.lowest_loss() == 0.25);
  CHECK(point.x.value().to_vector() == std::vector<double>{10, 10});
  objective.take_best(11);
  CHECK(asked.size() == 1);
}
