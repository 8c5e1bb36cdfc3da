// What --device of a program may name. Which devices a program has was decided when it was built: the Cuda backend comes with the
// CMake targets hlip::cuda and hlip::thrust_host.
#pragma once

#include <hlip/backend/cpu.hpp>
#if defined(HLIP_WITH_DEVICE)
#include <hlip/backend/cuda.hpp>
#endif

#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// cpu, and cuda in a build that has it.
inline std::vector<std::string> device_names() {
#if defined(HLIP_WITH_DEVICE)
  return {"cpu", "cuda"};
#else
  return {"cpu"};
#endif
}

/// fn(B{}) with the backend of one of device_names().
template <class Fn>
decltype(auto) on_device([[maybe_unused]] const std::string& name, Fn&& fn) {
#if defined(HLIP_WITH_DEVICE)
  if (name == "cuda") return std::forward<Fn>(fn)(Cuda{});
#endif
  return std::forward<Fn>(fn)(Cpu{});
}

HLIP_END
