// The stages a run is made of, as names: of checkpoints, of rows, of events, for readers.
#pragma once

#include <hlip/core/abi.hpp>

#include <map>
#include <string>
#include <vector>

HLIP_BEGIN

/// A stage of a run.
struct RunStage {
  std::string name;        ///< of its checkpoints, NAME_<N>, and of its rows in metrics.csv
  std::string events;      ///< folder of its TensorBoard events
  std::string group;       ///< of their tags: GROUP/loss
  std::string title = {};  ///< what readers are told, the name if empty
};

/// Names of stages, in the order they run: as a CheckpointStore takes them.
inline std::vector<std::string> stage_names(const std::vector<RunStage>& stages) {
  std::vector<std::string> names;
  for (const auto& s : stages) names.push_back(s.name);
  return names;
}

/// What readers are told of each stage, by its name: as run_report takes it.
inline std::map<std::string, std::string> stage_titles(const std::vector<RunStage>& stages) {
  std::map<std::string, std::string> titles;
  for (const auto& s : stages) titles[s.name] = s.title.empty() ? s.name : s.title;
  return titles;
}

HLIP_END
