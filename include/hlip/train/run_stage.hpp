// The stages a run is made of, as names: of checkpoints, of rows, of events.
#pragma once

#include <hlip/core/abi.hpp>

#include <string>
#include <vector>

HLIP_BEGIN

/// A stage of a run.
struct RunStage {
  std::string name;    ///< of its checkpoints, NAME_<N>, and of its rows in metrics.csv
  std::string events;  ///< folder of its TensorBoard events
  std::string group;   ///< of their tags: GROUP/loss
};

/// Names of stages, in the order they run: as a CheckpointStore takes them.
inline std::vector<std::string> stage_names(const std::vector<RunStage>& stages) {
  std::vector<std::string> names;
  for (const auto& s : stages) names.push_back(s.name);
  return names;
}

HLIP_END
