// Initial values of parameters. Draws are counter-based: the same seed gives the same model on
// every machine.
#pragma once

#include <hlip/autograd/var.hpp>
#include <hlip/core/random.hpp>

#include <span>
#include <vector>

HLIP_BEGIN

/// Hands out parameters in construction order, each with random numbers of its own.
class Initializer {
 public:
  explicit Initializer(std::uint64_t seed) : key_{seed, 0x1417u, 0} {}
  /// Hands out memory that is not set, for parameters that are all loaded from a file: drawing 200
  /// million numbers takes seconds.
  static Initializer without_values() {
    Initializer init(0);
    init.draws_ = false;
    return init;
  }

  /// Draws of its own, for parts a model may do without: what comes after them is drawn as if they
  /// were not there.
  Initializer branch(std::uint32_t stream) const {
    Initializer other = *this;
    other.key_ = key_.with_stream(key_.stream + stream);
    return other;
  }

  template <class T, class B> Var<T, B> normal(const Shape& shape, double std) {
    return make<T, B>(shape,
                      [key = next(), std](std::uint64_t i) { return std * normal_at(key, i); });
  }
  template <class T, class B> Var<T, B> uniform(const Shape& shape, double bound) {
    return make<T, B>(shape, [key = next(), bound](std::uint64_t i) {
      return bound * (2 * uniform_at(key, i) - 1);
    });
  }
  template <class T, class B> static Var<T, B> constant(const Shape& shape, double value) {
    const MemoryScope scope(MemoryCategory::parameters);
    return Var<T, B>(Tensor<T, B>::full(shape, static_cast<T>(value)), true);
  }

 private:
  RandomKey next() {
    ++key_.step;
    return key_;
  }
  template <class T, class B, class Fn> Var<T, B> make(const Shape& shape, Fn value) const {
    const MemoryScope scope(MemoryCategory::parameters);
    if (!draws_) return Var<T, B>(Tensor<T, B>::empty(shape), true);
    std::vector<T> values(static_cast<std::size_t>(shape.numel()));
#pragma omp parallel for schedule(static) if (values.size() > 4096)
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<T>(value(i));
    return Var<T, B>(Tensor<T, B>::from_values(shape, std::span<const T>(values)), true);
  }
  RandomKey key_;
  bool draws_ = true;
};

HLIP_END
