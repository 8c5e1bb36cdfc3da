// The harness of the conformance table: the same numbers go through one kernel on two backends and
// come out alike.
//
// An op is a struct with `name`, `sizes()` (its shapes), `terms(sizes)` (numbers added up in the
// longest sum) and `run<T, B>(sizes)`, which draws its inputs with numbers(), calls the kernel and
// returns everything the kernel wrote.
#pragma once

#include <hlip/backend/contract.hpp>
#include <hlip/backend/cpu.hpp>
#include <hlip/backend/reference.hpp>
#if defined(HLIP_WITH_DEVICE)
#include <hlip/backend/cuda.hpp>
#endif

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace conformance {

using namespace hlip;

// What this build tests: Cuda in the presets thrust-omp, thrust-asan and cuda, the others
// elsewhere. `Tested` is the one it is there for.
#if defined(HLIP_WITH_DEVICE)
#define HLIP_TEST_BACKENDS Cuda
using Tested = Cuda;
#else
#define HLIP_TEST_BACKENDS Cpu, Reference
using Tested = Cpu;
#endif

using Sizes = std::vector<index_t>;
struct Output {
  std::string name;
  std::vector<double> values;
  int bits = 0;  ///< to how many they were rounded at the end; 0: not
};
using Outputs = std::vector<Output>;

inline std::string describe(const Sizes& sizes) {
  std::string text;
  for (index_t s : sizes) text += (text.empty() ? "" : ", ") + std::to_string(s);
  return "(" + text + ")";
}

/// n standard normal numbers that a float holds exactly: every element type sees the same input.
template <class T> std::vector<T> numbers(index_t n, std::uint32_t stream) {
  std::vector<T> v(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < v.size(); ++i)
    v[i] = static_cast<T>(static_cast<float>(normal_at({29, stream, 0}, i)));
  return v;
}
/// The same, in [0.1, 3).
template <class T> std::vector<T> positive_numbers(index_t n, std::uint32_t stream) {
  std::vector<T> v(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < v.size(); ++i)
    v[i] = static_cast<T>(static_cast<float>(0.1 + 2.9 * uniform_at({31, stream, 0}, i)));
  return v;
}

/// Whether B takes rows that lie in bfloat16.
template <class B>
inline constexpr bool takes_stored_rows = requires(LayerNormArgs<float, bfloat16> a) {
  layer_norm_forward(B{}, a);
};
/// What an op on rows in bfloat16 has them in: that, where the backend takes it, otherwise T.
template <class T, class B>
using stored_type =
    std::conditional_t<std::is_same_v<T, float> && takes_stored_rows<B>, bfloat16, T>;
/// The numbers of any such type, rounded to bfloat16.
template <class S> std::vector<S> rounded_numbers(index_t n, std::uint32_t stream) {
  std::vector<S> v;
  for (float x : numbers<float>(n, stream))
    v.push_back(static_cast<S>(static_cast<float>(bfloat16(x))));
  return v;
}

/// How often Buffers of a backend were read.
template <class B> inline std::uint64_t reads = 0;

/// Host values in the memory of a backend.
template <class T, class B> class Buffer {
 public:
  explicit Buffer(const std::vector<T>& host)
      : n_(host.size()), data_(static_cast<T*>(allocate(B{}, n_ * sizeof(T)))) {
    copy_from_host(B{}, data_, host.data(), n_ * sizeof(T));
  }
  explicit Buffer(index_t n, T value = static_cast<T>(-77.0f))
      : Buffer(std::vector<T>(static_cast<std::size_t>(n), value)) {}
  ~Buffer() { deallocate(B{}, data_, n_ * sizeof(T)); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  T* data() const { return data_; }
  operator T*() const { return data_; }
  void write(const std::vector<T>& host) const {
    REQUIRE(host.size() == n_);
    copy_from_host(B{}, data_, host.data(), n_ * sizeof(T));
  }
  std::vector<double> values() const {
    std::vector<T> host(n_);
    if (n_ > 0) ++reads<B>;
    copy_to_host(B{}, host.data(), data_, n_ * sizeof(T));
    std::vector<double> values;
    for (const T& x : host) values.push_back(static_cast<double>(static_cast<compute_type<T>>(x)));
    return values;
  }

 private:
  std::size_t n_;
  T* data_;
};

/// The largest |got - want| / (1 + max |want|) over all outputs, beyond half a unit of where `got`
/// was rounded to; infinite where one is NaN and the other is not.
inline double difference(const Outputs& got, const Outputs& want) {
  REQUIRE(got.size() == want.size());
  double most = 0;
  for (std::size_t k = 0; k < got.size(); ++k) {
    REQUIRE(got[k].values.size() == want[k].values.size());
    double scale = 1;
    for (double w : want[k].values) scale = std::max(scale, 1 + std::abs(w));
    for (std::size_t i = 0; i < got[k].values.size(); ++i) {
      const double g = got[k].values[i], w = want[k].values[i];
      if (g == w || (std::isnan(g) && std::isnan(w))) continue;
      const double half_unit = got[k].bits > 0 && w != 0
                                   ? std::ldexp(1.0, std::ilogb(w) - got[k].bits)
                                   : 0.0,
                   d = (std::abs(g - w) - half_unit) / scale;
      most = std::isnan(d) ? std::numeric_limits<double>::infinity() : std::max(most, d);
    }
  }
  return most;
}

/// What rounding may cost: errors of a sum of n terms grow like sqrt(n) roundings, and each term
/// carries a few of its own (products, exp, a division); 8 covers those.
template <class T> double tolerance(double terms) {
  return 8 * static_cast<double>(std::numeric_limits<T>::epsilon()) *
         std::sqrt(std::max(1.0, terms));
}

/// One cell of the table: backend B in type T against what Reference gives in double.
template <class Op, class T, class B>
void expect_agreement(const Sizes& sizes, const Outputs& reference) {
  static_assert(Backend<B>);
  CAPTURE(Op::name);
  CAPTURE(describe(sizes));
  CAPTURE(B::name);
  CAPTURE(sizeof(T));
#if defined(HLIP_WITH_DEVICE)
  const std::uint64_t waits = detail::cuda_waits - reads<Cuda>;
#endif
  CHECK(difference(Op::template run<T, B>(sizes), reference) <= tolerance<T>(Op::terms(sizes)));
#if defined(HLIP_WITH_DEVICE)
  CHECK(detail::cuda_waits - reads<Cuda> == waits);  // a kernel never waits for the device
#endif
}

}  // namespace conformance
