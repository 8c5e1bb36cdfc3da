// How a report mentions a finding.
#pragma once

#include <hlip/core/abi.hpp>

#include <cstdint>

HLIP_BEGIN

/// What a labeller of reports says of a finding, by the numbers of CheXbert.
enum class Mention : std::int64_t { blank = 0, positive = 1, negative = 2, uncertain = 3 };

/// What two mentions in one report come to: that of them which says more. A positive one stands,
/// an uncertain one outweighs a denial, a denial outweighs silence.
/// Source: CheXpert's labeller (Irvin et al., 2019), "mention aggregation".
constexpr Mention stronger_mention(Mention a, Mention b) {
  constexpr int weight[] = {0, 3, 1, 2};
  return weight[static_cast<int>(a)] >= weight[static_cast<int>(b)] ? a : b;
}

HLIP_END
