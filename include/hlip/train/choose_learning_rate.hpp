// The learning rate of a linear probe, chosen by what probes are worth on pictures that are neither
// trained nor tested on.
#pragma once

#include <hlip/train/linear_probe.hpp>

#include <limits>
#include <vector>

HLIP_BEGIN

/// The learning rate whose probe is worth most; of equals the first.
/// @param features (pictures, C); @param labels (pictures, K), as train_linear_probe takes them
/// @param options of every probe, but for the rate
/// @param rates to try; of a single one nothing is trained
/// @param worth called as worth(head) with each trained layer -> double; NaN is worth nothing
/// @return the first of the rates where every probe is worth nothing
/// @throws hlip::error if there is no rate, and as train_linear_probe
template <class B, class Worth>
double choose_learning_rate(const Tensor<float, B>& features, const Tensor<float, B>& labels,
                            const LinearProbeOptions& options, const std::vector<double>& rates,
                            Worth&& worth) {
  expect(!rates.empty(), "choose_learning_rate", "no rates, expected one or more");
  double best = -std::numeric_limits<double>::infinity(), chosen = rates.front();
  if (rates.size() == 1) return chosen;
  for (const double rate : rates) {
    LinearProbeOptions tried = options;
    tried.lr = rate;
    const double reached = worth(train_linear_probe(features, labels, tried));
    if (reached > best) best = reached, chosen = rate;
  }
  return chosen;
}

HLIP_END
