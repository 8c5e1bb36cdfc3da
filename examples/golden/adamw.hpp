// Kind adamw: a few optimiser steps with given gradients; values after each step and the final
// moments.
#pragma once

#include "fixture.hpp"

namespace golden {

template <class B> void check_adamw(Fixture& f) {
  const Json& j = f.config();
  const auto& betas = list_of(entry(j, "betas"), "betas", 2);
  const AdamWOptions options{number_of(betas[0], "betas"), number_of(betas[1], "betas"),
                             number_at(j, "eps")};
  std::vector<std::pair<std::string, Var<float, B>>> parameters;
  std::vector<std::pair<std::string, Var<float, B>*>> named;
  const Group source(f, "param.");
  for (const auto& name : source.names())
    parameters.emplace_back(name, Var<float, B>(source.tensor<float, B>(name), true));
  for (auto& [name, var] : parameters) named.emplace_back(name, &var);

  AdamW<float, B> optimizer(optimized_parameters(named, number_at(j, "wd")), options);
  for (index_t step = 0; step < size_at(j, "steps"); ++step) {
    for (auto& [name, var] : parameters)
      var.set_grad(f.tensor<B>(fmt::format("input.grad_{}{}", name, step)));
    optimizer.step(number_at(j, "lr"));
    for (auto& [name, var] : parameters)
      f.compare(fmt::format("output.{}{}", name, step), var.value(), forward);
  }
  optimizer.each_state([&](const std::string& name, const Tensor<float, B>& moment) {
    const auto dot = name.find('.');  // exp_avg.NAME
    f.compare("output." + name.substr(0, dot) + "_" + name.substr(dot + 1), moment, forward);
  });
}

}  // namespace golden
