// What all subjects of hlip_bench share: seconds of a step, the peak memory of the process, the
// JSON line of a measurement.
#pragma once

#include <hlip/cli/device.hpp>
#include <hlip/tensor/tensor.hpp>
#include <hlip/train/memory_report.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <type_traits>
#include <vector>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace bench {

using namespace hlip;
using Json = nlohmann::ordered_json;

#if defined(HLIP_WITH_CBLAS)
inline constexpr const char* built_provider = "cblas";
#else
inline constexpr const char* built_provider = "eigen";
#endif

inline int default_threads() {
#if defined(_OPENMP)
  return omp_get_max_threads();
#else
  return 1;
#endif
}

inline void set_threads([[maybe_unused]] int n) {
#if defined(_OPENMP)
  omp_set_num_threads(n);
#endif
}

struct Seconds {
  double median, best;
};

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline Seconds summary(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  const std::size_t middle = seconds.size() / 2;
  return {seconds.size() % 2 ? seconds[middle] : (seconds[middle - 1] + seconds[middle]) / 2,
          seconds[0]};
}

/// `warmup` steps that are not timed, then `steps` timed ones.
template <class Step> Seconds seconds_of_steps(index_t steps, Step step, index_t warmup = 1) {
  for (index_t i = 0; i < warmup; ++i) step();
  std::vector<double> seconds;
  for (index_t i = 0; i < steps; ++i) {
    const auto start = std::chrono::steady_clock::now();
    step();
    seconds.push_back(seconds_since(start));
  }
  return summary(std::move(seconds));
}

/// Waits until a device has done what was started on it: a value that comes to the host comes
/// behind everything else.
template <class B> void wait_for() {
  if constexpr (!std::is_same_v<B, Cpu>) static_cast<void>(Tensor<float, B>::zeros({1}).item());
}

/// Seconds of one call of a kernel; short calls are timed in groups of at least a millisecond, on a
/// device ten, since a group waits for it. Before that it runs for a while: threads that slept may
/// wake on one processor, and the system takes its time to spread them (measured: half the speed
/// for 0.1 s).
template <class B = Cpu, class Kernel> Seconds seconds_of_kernel(index_t repeats, Kernel kernel) {
  const auto once = [&] { kernel(), wait_for<B>(); };
  const auto woken = std::chrono::steady_clock::now();
  do once();
  while (seconds_since(woken) < 0.2);
  const auto start = std::chrono::steady_clock::now();
  once();
  const int calls = static_cast<int>(std::clamp(
      (std::is_same_v<B, Cpu> ? 1e-3 : 1e-2) / std::max(seconds_since(start), 1e-9), 1.0, 1e4));
  const Seconds group = seconds_of_steps(repeats, [&] {
    for (int i = 0; i < calls; ++i) kernel();
    wait_for<B>();
  });
  return {group.median / calls, group.best / calls};
}

/// Who multiplies matrices.
template <class B> const char* provider_of() {
#if defined(HLIP_THRUST_CUDA)
  if constexpr (std::is_same_v<B, Cuda>) return "cublaslt";
#endif
  return built_provider;
}

/// Prints one measurement on B. @param what fields that say what was measured, @param more numbers
/// that follow from it
template <class B = Cpu>
void print(const char* op, const Json& what, int threads, index_t steps, Seconds seconds,
           const Json& more = Json::object()) {
  Json line;
  line["op"] = op;
  line.update(what);
  line["threads"] = threads;
  line["provider"] = provider_of<B>();
  if (const auto precision = matrix_precision(B{}); precision != MatrixPrecision::float32)
    line["precision"] = precision == MatrixPrecision::bfloat16 ? "bf16" : "tf32";
  line["steps"] = steps;
  line["seconds_per_step"] = seconds.median;
  line["best"] = seconds.best;
  line.update(more);
  line["peak_rss_bytes"] = peak_rss_bytes();
  if constexpr (!std::is_same_v<B, Cpu>) {
    line["device"] = device_name(B{});
    if (const auto peak = device_peak(B{})) {
      line["peak_device_bytes"] = peak->used;
      line["peak_device_reserved_bytes"] = peak->reserved;
    }
  }
  std::printf("%s\n", line.dump().c_str());
  std::fflush(stdout);
}

/// n floats in [-0.5, 0.5), the same in every run.
inline std::vector<float> random_floats(index_t n, std::uint32_t stream) {
  std::vector<float> v(static_cast<std::size_t>(n));
#pragma omp parallel for schedule(static)  // the volumes of a large batch are gigabytes
  for (std::size_t i = 0; i < v.size(); ++i)
    v[i] = static_cast<float>(uniform_at({1, stream, 0}, i) - 0.5);
  return v;
}

/// random_floats as a tensor on B.
template <class B> Tensor<float, B> random_tensor(const Shape& shape, std::uint32_t stream) {
  const auto values = random_floats(shape.numel(), stream);
  return Tensor<float, B>::from_values(shape, std::span<const float>(values));
}

}  // namespace bench
