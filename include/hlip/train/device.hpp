// What --device of a program may name. Which devices a program has was decided when it was built: the Cuda backend comes with the
// CMake targets hlip::cuda and hlip::thrust_host. Needs CLI11.
#pragma once

#include <hlip/backend/cpu.hpp>
#if defined(HLIP_WITH_DEVICE)
#include <hlip/backend/cuda.hpp>
#endif

#include <CLI/CLI.hpp>

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

/// --device of a program that has a model to run.
inline CLI::Option* add_device_option(CLI::App& app, std::string& device) {
  return app.add_option("--device", device, "what computes; cuda in builds for it, docs/backends.md says how")->check(CLI::IsMember(device_names()))->capture_default_str();
}

/// fn(B{}) with the backend of one of device_names(). @throws hlip::error, before fn runs, on a machine without that device
template <class Fn>
decltype(auto) on_device([[maybe_unused]] const std::string& name, Fn&& fn) {
#if defined(HLIP_WITH_DEVICE)
  if (name == "cuda") {
    deallocate(Cuda{}, allocate(Cuda{}, 1), 1);
    return std::forward<Fn>(fn)(Cuda{});
  }
#endif
  return std::forward<Fn>(fn)(Cpu{});
}

HLIP_END
