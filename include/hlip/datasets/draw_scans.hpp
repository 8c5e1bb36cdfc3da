// Which scans of a study a sample has.
#pragma once

#include <hlip/core/random.hpp>

#include <cstddef>
#include <vector>

HLIP_BEGIN

/// Which scans of a study a training sample has: in random order, repeated as often as it takes to
/// reach `wanted`, and cut off there. So what a short study lacks are real scans once more, never
/// empty ones. @param scans at least 1  @return `wanted` numbers below `scans`
inline std::vector<std::size_t> draw_scans(std::size_t scans, std::size_t wanted,
                                           RandomStream& random) {
  std::vector<std::size_t> order(scans), drawn;
  for (std::size_t i = 0; i < scans; ++i) order[i] = i;
  random.shuffle(order);
  while (drawn.size() < wanted) drawn.push_back(order[drawn.size() % scans]);
  return drawn;
}

HLIP_END
