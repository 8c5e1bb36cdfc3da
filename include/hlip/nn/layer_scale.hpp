// LayerScale: a number for every channel that a residual branch is multiplied by.
// Source: Touvron et al. 2021, "Going deeper with image transformers".
#pragma once

#include <hlip/nn/init.hpp>
#include <hlip/nn/module.hpp>

HLIP_BEGIN

/// The factors of one branch, or none. They are applied by the product that ends the branch: see
/// LinearOptions::scale.
template <class T = float, class B = Cpu> struct LayerScale {
  using value_type = T;
  using backend = B;
  Var<T, B> gamma;  ///< (dim), or empty

  LayerScale() = default;
  /// @param init_values of every factor, 0: there are none
  LayerScale(index_t dim, double init_values) {
    if (init_values != 0) gamma = Initializer::constant<T, B>({dim}, init_values);
  }
  template <class V> void visit(V&& v) { v("gamma", gamma); }
};

HLIP_END
