// Which parameters an optimiser works on, and which of them decay.
#pragma once

#include <hlip/autograd/var.hpp>
#include <hlip/backend/backend.hpp>

#include <cmath>
#include <span>
#include <string>
#include <vector>

HLIP_BEGIN

/// A parameter as an optimiser sees it.
template <class T, class B> struct OptimizedParameter {
  std::string name;
  Var<T, B> var;
  double weight_decay = 0;
  double lr_factor = 1;          ///< of the step's learning rate
  std::size_t clip_group = 0;    ///< gradients are clipped by the norm of their group
  std::string lr_schedule = {};  ///< a named schedule that multiplies the learning rate, or none
};

/// Whether the reference decays a parameter: two or more axes, and no bn, ln, bias or logit_scale
/// in the name. Source: reference document HLIP §5.
inline bool decays(const std::string& name, int rank) {
  for (const char* part : {"bn", "ln", "bias", "logit_scale"})
    if (name.find(part) != std::string::npos) return false;
  return rank >= 2;
}

/// The trainable parameters of a list, with the reference's two decay groups. Frozen parameters are
/// in no group.
/// @param named pairs (name, Var*), as named_parameters(module) gives
template <class T, class B>
std::vector<OptimizedParameter<T, B>> optimized_parameters(
    const std::vector<std::pair<std::string, Var<T, B>*>>& named, double weight_decay) {
  std::vector<OptimizedParameter<T, B>> list;
  for (const auto& [name, var] : named)
    if (var->requires_grad())
      list.push_back({name, *var, decays(name, var->rank()) ? weight_decay : 0.0});
  return list;
}

/// Writes the sum of squares of every gradient, 0 where there is none, to `to` (parameters.size());
/// reads nothing, so that a caller reads these together with what else it wants to know.
template <class T, class B>
void sums_of_squares(const std::vector<OptimizedParameter<T, B>>& parameters,
                     const Tensor<T, B>& to) {
  expect(to.is_contiguous() && to.numel() == static_cast<index_t>(parameters.size()),
         "sums_of_squares", "{} results, expected {} without gaps", to.numel(), parameters.size());
  std::vector<Elements<T>> gradients;
  for (const auto& p : parameters) {
    if (p.var.has_grad())
      expect(p.var.grad().is_contiguous(), "sums_of_squares",
             "the gradient of {} is not contiguous", p.name);
    gradients.push_back(p.var.has_grad() ? Elements<T>{p.var.grad().data(), p.var.numel()}
                                         : Elements<T>{});
  }
  sums_of_squares(B{}, std::span<const Elements<T>>(gradients), to.data());
}

/// The L2 norm of everything whose sums of squares these are.
template <class T> double norm_of_sums(std::span<const T> squares) {
  double total = 0;
  for (const T s : squares) total += static_cast<double>(s);
  return std::sqrt(total);
}

/// The L2 norm of the gradients of every clip group. @param squares one for each parameter, as
/// sums_of_squares gives them
template <class T, class B>
std::vector<double> clip_group_norms(const std::vector<OptimizedParameter<T, B>>& parameters,
                                     std::span<const T> squares) {
  std::vector<double> norms;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i].clip_group >= norms.size()) norms.resize(parameters[i].clip_group + 1);
    norms[parameters[i].clip_group] += static_cast<double>(squares[i]);
  }
  for (double& norm : norms) norm = std::sqrt(norm);
  return norms;
}

/// Global L2 norm of all gradients.
template <class T, class B>
double grad_norm(const std::vector<OptimizedParameter<T, B>>& parameters) {
  const auto squares = Tensor<T, B>::empty({static_cast<index_t>(parameters.size())});
  sums_of_squares(parameters, squares);
  return norm_of_sums(std::span<const T>(squares.to_vector()));
}

/// What clipping to `max_norm` multiplies gradients by; 1 when max_norm is 0 (off) or not exceeded.
inline double clip_scale(double norm, double max_norm) {
  const double scale = max_norm > 0 ? max_norm / (norm + 1e-6) : 1.0;
  return scale < 1 ? scale : 1.0;
}

HLIP_END
