// The path of the module being run, so that a shape error deep in a network names the layer.
#pragma once

#include <hlip/core/abi.hpp>
#include <hlip/core/interruption.hpp>

#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

namespace detail {
inline thread_local std::vector<std::string_view> module_path;
}

/// While alive, adds `name` to the module path of this thread. The name must outlive the scope.
/// Where a layer begins, work can be given up.
class ModuleScope {
 public:
  explicit ModuleScope(std::string&&) = delete;
  explicit ModuleScope(const char* name) : ModuleScope(std::string_view(name)) {}
  explicit ModuleScope(std::string_view name) {
    interruption_point();
    detail::module_path.push_back(name);
  }
  ~ModuleScope() { detail::module_path.pop_back(); }
  ModuleScope(const ModuleScope&) = delete;
  ModuleScope& operator=(const ModuleScope&) = delete;
};

/// The operation with the current module path: "visual.trunk.blocks.3.attn.qkv (linear)", or just
/// "linear".
inline std::string located(std::string_view operation) {
  std::string path;
  for (auto name : detail::module_path) {
    if (name.empty()) continue;
    if (!path.empty()) path += '.';
    path += name;
  }
  if (path.empty()) return std::string(operation);
  return path + " (" + std::string(operation) + ")";
}

HLIP_END
