// Cpu loops: fused elementwise statements in packs, strided copies, and independent indices, under
// OpenMP. Work is cut into blocks by shape alone, so the bits never depend on the number of
// threads.
#pragma once

#include <hlip/backend/cpu/memory.hpp>
#include <hlip/backend/cpu/pack.hpp>
#include <hlip/backend/fused.hpp>
#include <hlip/tensor/expr.hpp>

#include <algorithm>

HLIP_BEGIN

namespace detail {

/// Elements stand for SIMD packs.
struct PackLanes {
  static constexpr index_t width = pack_size;
  template <class T> using value = Pack<T>;
  template <class T> static auto load(const T* p, index_t step, index_t i, index_t n) {
    return load_pack(p + i * step, step, n);
  }
  template <class T> static Pack<T> constant(T v) { return Pack<T>(v); }
  template <class U, class T> static void store(U* p, index_t step, index_t n, const Pack<T>& v) {
    store_pack(p, step, v, n);
  }
};

inline constexpr index_t elementwise_block = 16384;

/// run(fn, b) for every block b: one parallel loop for all statements.
inline void for_each_block(index_t blocks, void (*run)(const void* fn, index_t block),
                           const void* fn) {
#pragma omp parallel for schedule(static) if (blocks > 1)
  for (index_t b = 0; b < blocks; ++b) run(fn, b);
}

/// Calls fn(row, first column, last column) over all rows of a collapsed shape, in parallel blocks.
template <class Fn> void for_each_row_part(const Shape& shape, const Fn& fn) {
  const index_t inner = shape.back(), total = shape.numel();
  const auto block = [&](index_t b) {
    index_t at = b * elementwise_block;
    const index_t end = std::min(total, at + elementwise_block);
    while (at < end) {
      const index_t row = at / inner, column = at % inner,
                    stop = std::min(inner, column + end - at);
      fn(row, column, stop);
      at += stop - column;
    }
  };
  for_each_block((total + elementwise_block - 1) / elementwise_block,
                 [](const void* f, index_t b) { (*static_cast<const decltype(block)*>(f))(b); },
                 &block);
}

}  // namespace detail

/// out[i] = expression[i] for every index of `shape`.
template <class U, class View>
void map(Cpu, const Shape& shape, U* out, Shape out_stride, View view) {
  const Shape loop = collapse(shape, out_stride, view);
  detail::for_each_row_part(loop, [&](index_t row, index_t begin, index_t end) {
    const Shape index = row_index(loop, row);
    const auto operands = row_of(view, index);
    U* to = out;
    for (int d = 0; d + 1 < loop.rank(); ++d) to += index[d] * out_stride[d];
    const index_t step = out_stride.back();
    for (index_t i = begin; i < end; i += pack_size) {
      const index_t n = std::min<index_t>(pack_size, end - i);
      store_pack(to + i * step, step, detail::value_of<detail::PackLanes>(operands, i, n), n);
    }
  });
}

/// Adds or writes dL/dleaf for every recorded leaf; dy is contiguous in `shape`.
template <class T, class View>
void map_pull(Cpu, const Shape& shape, const T* dy, View view, const GradSink<T>* sinks) {
  Shape dy_stride = contiguous_strides(shape);
  const Shape loop = collapse(shape, dy_stride, view);
  const index_t inner = loop.back();
  detail::for_each_row_part(loop, [&](index_t row, index_t begin, index_t end) {
    const auto operands = row_of(view, row_index(loop, row));
    std::array<GradSink<T>, max_leaves> row_sinks;
    for (int k = 0; k < View::recorded_leaves; ++k) {
      row_sinks[static_cast<std::size_t>(k)] = sinks[k];
      if (sinks[k].step) row_sinks[static_cast<std::size_t>(k)].grad += row * inner;
    }
    for (index_t i = begin; i < end; i += pack_size) {
      const index_t n = std::min<index_t>(pack_size, end - i);
      const auto values = detail::forward<detail::PackLanes>(operands, i, n);
      detail::pull<detail::PackLanes, 0>(operands, values, load_pack(dy + row * inner + i, 1, n),
                                         row_sinks.data(), i, n);
    }
  });
}

/// to[i] = from[i] with conversion; both strided.
template <class U, class T>
void copy_strided(Cpu, const Shape& shape, U* to, Shape to_stride, const T* from,
                  const Shape& from_stride) {
  LeafView<T, false> view{from, from_stride};
  const Shape loop = collapse(shape, to_stride, view);
  detail::for_each_row_part(loop, [&](index_t row, index_t begin, index_t end) {
    const Shape index = row_index(loop, row);
    const auto source = row_of(view, index);
    U* target = to;
    for (int d = 0; d + 1 < loop.rank(); ++d) target += index[d] * to_stride[d];
    const index_t step = to_stride.back();
    if constexpr (std::is_same_v<U, T>) {
      if (step == 1 && source.step == 1) {
        std::copy(source.data + begin, source.data + end, target + begin);
        return;
      }
    }
    for (index_t i = begin; i < end; ++i) {
      if constexpr (std::is_same_v<U, T>) target[i * step] = source.data[i * source.step];
      else
        target[i * step] = static_cast<U>(static_cast<compute_type<U>>(
            static_cast<compute_type<T>>(source.data[i * source.step])));
    }
  });
}

template <class T> void fill_strided(Cpu, const Shape& shape, T* to, Shape stride, T value) {
  ConstantView<T> view{value};
  const Shape loop = collapse(shape, stride, view);
  detail::for_each_row_part(loop, [&](index_t row, index_t begin, index_t end) {
    const Shape index = row_index(loop, row);
    T* target = to;
    for (int d = 0; d + 1 < loop.rank(); ++d) target += index[d] * stride[d];
    for (index_t i = begin; i < end; ++i) target[i * stride.back()] = value;
  });
}

/// fn(i) for every i in [0, n); calls are independent of one another.
template <class Fn> void for_each_index(Cpu, index_t n, Fn fn) {
#pragma omp parallel for schedule(static) if (n > 4096)
  for (index_t i = 0; i < n; ++i) fn(i);
}

HLIP_END
