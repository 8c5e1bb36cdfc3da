// Exponential moving average of parameters.
#pragma once

#include <hlip/autograd/var.hpp>
#include <hlip/ops/elementwise.hpp>

#include <string>
#include <vector>

HLIP_BEGIN

/// average ← decay·average + (1−decay)·value
template <class T, class B>
void move_average(const Tensor<T, B>& average, const Tensor<T, B>& value, double decay) {
  average.assign(average * decay + value * (1 - decay));
}

/// Keeps average ← decay·average + (1−decay)·parameter, starting from the parameters as they are.
template <class T = float, class B = Cpu> class Ema {
 public:
  Ema(const std::vector<std::pair<std::string, Var<T, B>*>>& named, double decay) : decay_(decay) {
    const MemoryScope scope(MemoryCategory::optimizer);
    for (const auto& [name, var] : named) {
      names_.push_back(name);
      sources_.push_back(*var);
      averages_.push_back(var->value().clone());
    }
  }
  void update() {
    for (std::size_t i = 0; i < sources_.size(); ++i)
      move_average(averages_[i], sources_[i].value(), decay_);
  }
  /// Exchanges averages and parameters: once before an evaluation, once after it.
  void swap_with_parameters() {
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      const Tensor<T, B> current = sources_[i].value().clone();
      sources_[i].value().assign(averages_[i]);
      averages_[i].assign(current);
    }
  }
  const std::vector<std::string>& names() const { return names_; }
  const std::vector<Tensor<T, B>>& averages() const { return averages_; }

 private:
  double decay_;
  std::vector<std::string> names_;
  std::vector<Var<T, B>> sources_;
  std::vector<Tensor<T, B>> averages_;
};

HLIP_END
