// What of a module trains, as a module of its own: what checkpoints of large models keep that are
// mostly frozen.
#pragma once

#include <hlip/nn/module.hpp>

HLIP_BEGIN

/// The parameters of another module that require a gradient, by the names they have there.
template <class M> struct TrainedPart {
  using value_type = typename M::value_type;
  using backend = typename M::backend;
  M* of = nullptr;  ///< must outlive this

  template <class V> void visit(V&& v) {
    for (const auto& [name, parameter] : named_parameters(*of))
      if (parameter->requires_grad()) v(name, *parameter);
  }
};

HLIP_END
