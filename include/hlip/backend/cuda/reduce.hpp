// Cuda reductions over the middle axis of (outer, n, inner), as a tree whose form depends on the
// shape alone: the same bits on every machine. Floats are added in double. (thrust::reduce adds
// them in float in an order that depends on the machine; the sum of 16 million squares was measured
// to be 1 % off on its host systems.)
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cuda/loop.hpp>
#include <hlip/backend/cuda/memory.hpp>
#include <hlip/backend/cuda/task_list.hpp>
#include <hlip/backend/scalar_math.hpp>
#include <hlip/tensor/dtype.hpp>

#include <cmath>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

HLIP_BEGIN

namespace detail {

/// Elements that one thread takes together: two steps for the rows of a transformer, four for 16
/// million numbers.
inline constexpr index_t reduce_width = 64;

/// A sum, in double or in whole numbers.
template <class T> struct SumOf {
  using State = std::conditional_t<is_floating<T>, double, std::int64_t>;
  HLIP_FN State start(const T& x, index_t, index_t) const {
    return static_cast<State>(static_cast<compute_type<T>>(x));
  }
  HLIP_FN State join(State a, State b) const { return a + b; }
};

/// Σ exp(x - top), top being the largest of the same column.
template <class T> struct SumOfExp {
  using State = double;
  const T* top;
  HLIP_FN double start(const T& x, index_t, index_t column) const {
    return exp_(static_cast<double>(x) - static_cast<double>(top[column]));
  }
  HLIP_FN double join(double a, double b) const { return a + b; }
};

/// The largest and where it is: the first of equals, and the first NaN before everything. In any
/// order of joining.
template <class T> struct LargestOf {
  struct State {
    compute_type<T> value;
    index_t at;
  };
  HLIP_FN State start(const T& x, index_t at, index_t) const {
    return {static_cast<compute_type<T>>(x), at};
  }
  HLIP_FN State join(State a, State b) const {
    const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
    if (a_nan != b_nan) return a_nan ? a : b;
    if (a_nan || a.value == b.value) return a.at < b.at ? a : b;
    return a.value > b.value ? a : b;
  }
};

/// Which elements a thread takes: number p of `parts` takes p, p + parts, …, so that neighbouring
/// threads read neighbouring memory.
struct ReducePart {
  index_t outer, p, j;
  HLIP_FN ReducePart(index_t task, index_t parts, index_t inner) {
    const index_t row = quotient(task, inner);
    j = task - row * inner;
    outer = quotient(row, parts);
    p = row - outer * parts;
  }
};

/// The join of get(i), i = p, p + parts, … < n, in this order; eight are on their way at a time.
template <class Op, class Get>
HLIP_FN typename Op::State join_part(const Op& op, index_t p, index_t parts, index_t n, Get get) {
  typename Op::State state = get(p);
  index_t i = p + parts;
  for (; i + 7 * parts < n; i += 8 * parts) {
    typename Op::State next[8];
    HLIP_UNROLL
    for (int k = 0; k < 8; ++k) next[k] = get(i + k * parts);
    HLIP_UNROLL
    for (int k = 0; k < 8; ++k) state = op.join(state, next[k]);
  }
  for (; i < n; i += parts) state = op.join(state, get(i));
  return state;
}

/// First step of the tree: elements to partial results.
template <class T, class Op> struct ReduceElements {
  Op op;
  const T* x;
  typename Op::State* to;
  index_t n, inner, parts;
  HLIP_FN void operator()(index_t task) const {
    const ReducePart at(task, parts, inner);
    const index_t column = at.outer * inner + at.j;
    const T* from = x + at.outer * n * inner + at.j;
    to[task] = join_part(op, at.p, parts, n,
                         [&](index_t i) { return op.start(from[i * inner], i, column); });
  }
};

/// Later steps: partial results to fewer.
template <class Op> struct ReduceStates {
  Op op;
  const typename Op::State* from;
  typename Op::State* to;
  index_t n, inner, parts;
  HLIP_FN void operator()(index_t task) const {
    const ReducePart at(task, parts, inner);
    const auto* x = from + at.outer * n * inner + at.j;
    to[task] = join_part(op, at.p, parts, n, [&](index_t i) { return x[i * inner]; });
  }
};

/// Calls finish(states), (outer, inner) results in Cuda memory. n > 0.
template <class T, class Op, class Finish>
void reduce_tree(Op op, const T* x, index_t outer, index_t n, index_t inner, Finish finish) {
  using State = typename Op::State;
  index_t parts = (n + reduce_width - 1) / reduce_width;
  const CudaScratch<State> first(outer * parts * inner),
      second(parts > 1 ? outer * ((parts + reduce_width - 1) / reduce_width) * inner : 0);
  State *from = first.data(), *to = second.data();
  for_each_index(Cuda{}, outer * parts * inner,
                 ReduceElements<T, Op>{op, x, from, n, inner, parts});
  while (parts > 1) {
    const index_t before = parts;
    parts = (parts + reduce_width - 1) / reduce_width;
    for_each_index(Cuda{}, outer * parts * inner,
                   ReduceStates<Op>{op, from, to, before, inner, parts});
    State* done = to;
    to = from;
    from = done;
  }
  finish(static_cast<const State*>(from));
}

// What becomes of the results.
template <class State, class U> struct StoreSum {
  const State* from;
  U* to;
  double scale;
  HLIP_FN void operator()(index_t i) const {
    if constexpr (std::is_floating_point_v<State>)
      to[i] = static_cast<U>(static_cast<compute_type<U>>(from[i] * scale));
    else
      to[i] = static_cast<U>(static_cast<compute_type<U>>(
          scale == 1 ? from[i] : static_cast<State>(static_cast<double>(from[i]) * scale)));
  }
};
template <class State, class U> struct StoreValue {
  const State* from;
  U* to;
  HLIP_FN void operator()(index_t i) const {
    to[i] = static_cast<U>(static_cast<compute_type<U>>(from[i].value));
  }
};
template <class State, class U> struct StorePlace {
  const State* from;
  U* to;
  HLIP_FN void operator()(index_t i) const { to[i] = static_cast<U>(from[i].at); }
};
template <class T, class U> struct StoreLogSumExp {
  const double* from;
  const T* top;
  U* to;
  HLIP_FN void operator()(index_t i) const {
    const double largest = static_cast<double>(top[i]);
    const bool infinite = abs_(largest) > 1.7976931348623157e308;
    to[i] = static_cast<U>(infinite ? largest : largest + log_(from[i]));
  }
};

}  // namespace detail

/// y[o, j] = reduction over i of x[o, i, j]. argmax takes the first of equal values; max and argmax
/// propagate NaN.
template <class T, class U>
void reduce(Cuda, Reduction kind, const T* x, U* y, index_t outer, index_t n, index_t inner) {
  const index_t columns = outer * inner;
  if (columns <= 0) return;
  if (n <= 0) return fill_strided(Cuda{}, Shape{columns}, y, Shape{1}, U{});  // the sum of nothing
  const auto largest = [&](auto store) {
    detail::reduce_tree(detail::LargestOf<T>{}, x, outer, n, inner, store);
  };
  using Largest = typename detail::LargestOf<T>::State;
  if (kind == Reduction::sum || kind == Reduction::mean) {
    const double scale = kind == Reduction::mean ? 1.0 / static_cast<double>(n) : 1.0;
    detail::reduce_tree(detail::SumOf<T>{}, x, outer, n, inner, [&]<class State>(const State* sum) {
      for_each_index(Cuda{}, columns, detail::StoreSum<State, U>{sum, y, scale});
    });
  } else if (kind == Reduction::max) {
    largest([&](const Largest* top) {
      for_each_index(Cuda{}, columns, detail::StoreValue<Largest, U>{top, y});
    });
  } else if (kind == Reduction::argmax) {
    if constexpr (std::is_integral_v<U>)
      largest([&](const Largest* top) {
        for_each_index(Cuda{}, columns, detail::StorePlace<Largest, U>{top, y});
      });
  } else if constexpr (std::is_floating_point_v<T>) {
    const detail::CudaScratch<T> top(columns);
    largest([&](const Largest* value) {
      for_each_index(Cuda{}, columns, detail::StoreValue<Largest, T>{value, top.data()});
    });
    detail::reduce_tree(
        detail::SumOfExp<T>{top.data()}, x, outer, n, inner, [&](const double* sum) {
          for_each_index(Cuda{}, columns, detail::StoreLogSumExp<T, U>{sum, top.data(), y});
        });
  }
}

namespace detail {

/// One of several sums that are taken in the same loops.
template <class T> struct SumEntry {
  const T* x;
  index_t n, first;
  HLIP_FN index_t parts() const {
    return n > reduce_width ? (n + reduce_width - 1) / reduce_width : 1;
  }
};

template <bool Squares, class T, class U> struct SumOfEntry {
  const SumEntry<T>* list;
  index_t count;
  U* to;
  HLIP_FN void operator()(index_t task) const {
    const SumEntry<T> e = entry_of_task(list, count, task);
    const index_t parts = e.parts();
    double sum = 0;
    for (index_t i = task - e.first; i < e.n; i += parts) {
      const double x = static_cast<double>(e.x[i]);
      sum += Squares ? x * x : x;
    }
    to[task] = static_cast<U>(sum);
  }
};

/// The sum of every entry: a level of the tree for all of them at once, then the next.
template <bool Squares, class T, class U>
void sum_entries(std::span<const Elements<T>> elements, U* to) {
  std::vector<SumEntry<T>> list;
  index_t tasks = 0;
  for (const Elements<T>& e : elements) {
    list.push_back({e.x, e.n, tasks});
    tasks += list.back().parts();
  }
  const auto count = static_cast<index_t>(list.size());
  const CudaScratch<SumEntry<T>> there(list.data(), count);
  if (tasks == count)
    return for_each_index(Cuda{}, tasks, SumOfEntry<Squares, T, U>{there.data(), count, to});
  const CudaScratch<double> sums(tasks);
  for_each_index(Cuda{}, tasks, SumOfEntry<Squares, T, double>{there.data(), count, sums.data()});
  std::vector<Elements<double>> next;
  for (const SumEntry<T>& e : list) next.push_back({sums.data() + e.first, e.parts()});
  sum_entries<false>(std::span<const Elements<double>>(next), to);
}

}  // namespace detail

/// to[i] = Σ x² of list[i].
template <class T> void sums_of_squares(Cuda, std::span<const Elements<T>> list, T* to) {
  if (!list.empty()) detail::sum_entries<true>(list, to);
}

HLIP_END
