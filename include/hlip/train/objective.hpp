// What is learned, apart from how a run is carried out: the Trainer knows no model, an Objective
// knows no files.
#pragma once

#include <hlip/nn/module.hpp>
#include <hlip/optim/parameters.hpp>
#include <hlip/optim/schedule.hpp>

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

/// What an objective is told of the step it takes part in.
struct StepContext {
  std::int64_t step = 0;   ///< steps done before this one
  std::int64_t steps = 0;  ///< of the whole stage
  Context context;         ///< training mode, with the random key of this step and rank
  Context shared = {};     ///< the same with a key that all ranks have alike
  std::vector<std::pair<std::string, double>> values = {};  ///< of every schedule at this step

  /// The value of a schedule. @throws hlip::error when there is none of that name
  double value(std::string_view name) const {
    for (const auto& [known, x] : values)
      if (known == name) return x;
    fail("step", "there is no schedule named {}", name);
  }
};

/// Named numbers of a step, each a tensor of one element: the trainer reads them together, once, so
/// that a device is not waited for in between. The first is the loss; the others become columns of
/// metrics.csv.
template <class T, class B> using StepScalars = std::vector<std::pair<std::string, Tensor<T, B>>>;

/// Takes what an objective keeps in checkpoints: visit(file, name, tensor). Tensors of one file are
/// written to it together, and are assigned to when a checkpoint is restored.
struct AnyStateVisitor {
  template <class X> void operator()(const std::string&, const std::string&, const X&) const {}
};

/// Something to learn.
///
/// - `model()` is the module whose parameters a checkpoint keeps as model.safetensors.
/// - `parameter_groups()` are the parameters that the optimiser moves, with their factors: see
///   OptimizedParameter.
/// - `backward(parts, at)` adds the gradients of one step to the parameters and reads nothing on
///   the host. `parts` are the
///   batches that share the step.
/// - `after_step(at)` follows every step that was taken: a scale is clamped, a teacher or an
///   average moves.
/// - `each_state(visit)` shows the tensors that a checkpoint keeps besides weights and moments;
///   nothing but these and counts may live from step to step.
/// - `check(result, at)`, if there is one, sees the numbers of a step before the optimiser moves
///   anything, and throws when it makes no sense to go on.
/// - `each_count(visit)`, if there is one, shows what it counts from step to step,
///   visit(name, std::int64_t&): state.json keeps it. A checkpoint from before something was
///   counted leaves that count as it is.
template <class O, class Batch>
concept Objective = requires(O& o, const std::vector<Batch>& parts, const StepContext& at,
                             AnyStateVisitor visit) {
  typename O::value_type;
  typename O::backend;
  {named_parameters(o.model())};
  {
    o.parameter_groups()
    } -> std::same_as<std::vector<OptimizedParameter<typename O::value_type, typename O::backend>>>;
  {
    o.backward(parts, at)
    } -> std::same_as<StepScalars<typename O::value_type, typename O::backend>>;
  o.after_step(at);
  o.each_state(visit);
};

HLIP_END
