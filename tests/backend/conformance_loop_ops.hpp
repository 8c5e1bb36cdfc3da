// Rows of the conformance table: fused elementwise statements, strided copies and reductions.
#pragma once

#include "conformance.hpp"

#include <hlip/ops/elementwise.hpp>

namespace conformance {

/// One elementwise functor: value and pull-back, its operands a strided matrix, a broadcast row and a broadcast column.
template <class F, int Operands, bool Positive>
struct Elementwise {
  static constexpr const char* name = F::name.data();
  static std::vector<Sizes> sizes() { return {{1, 1}, {3, 5}, {4, 16}, {0, 3}, {5, 33}, {150, 130}}; }
  static double terms(const Sizes&) { return 16; }  // one value; the slack is for exp, log and pow away from 1

  template <class T, class B>
  static Outputs run(const Sizes& s) {
    const index_t rows = s[0], cols = s[1], n = rows * cols;
    const Shape shape{rows, cols};
    const auto draw = [](index_t count, std::uint32_t stream) { return Positive ? positive_numbers<T>(count, stream) : numbers<T>(count, stream); };
    const Buffer<T, B> x(draw(rows * (cols + 2), 1)), row(draw(cols, 2)), column(draw(rows, 3)), dy(numbers<T>(n, 4));
    const Buffer<T, B> y(n), dx(n), drow(n, T(1)), dcolumn(n);
    const LeafView<T, true> a{x, Shape{cols + 2, 1}}, b{row, Shape{0, 1}}, c{column, Shape{1, 0}};
    // grad of a is written, of b added to what is there, of c as well
    const GradSink<T> sinks[3] = {{dx, 1, false}, {drow, 1, true}, {dcolumn, 1, true}};
    const auto both = [&](auto view) {
      map(B{}, shape, y.data(), contiguous_strides(shape), view);
      map_pull(B{}, shape, static_cast<const T*>(dy.data()), view, sinks);
    };
    using Leaf = LeafView<T, true>;
    if constexpr (Operands == 1) both(MapView<F, T, Leaf>{F{}, {a}});
    else both(MapView<op::Add, T, MapView<F, T, Leaf, Leaf>, Leaf>{op::Add{}, {{F{}, {a, b}}, c}});
    return {{"y", y.values()}, {"dx", dx.values()}, {"drow", drow.values()}, {"dcolumn", dcolumn.values()}};
  }
};

struct CopyFill {
  static constexpr const char* name = "copy_strided, fill_strided";
  static std::vector<Sizes> sizes() { return {{1, 1, 1}, {2, 3, 5}, {3, 0, 4}, {7, 1, 16}, {20, 30, 40}}; }
  static double terms(const Sizes&) { return 1; }

  template <class T, class B>
  static Outputs run(const Sizes& s) {
    const Shape shape{s[0], s[1], s[2]};
    const index_t n = shape.numel();
    const Buffer<T, B> x(numbers<T>(n, 1)), turned(n), filled(2 * n);
    const Buffer<float, B> narrow(n);
    const Shape permuted{1, s[0], s[0] * s[1]};  // x as if it were stored in the opposite order
    copy_strided(B{}, shape, turned.data(), contiguous_strides(shape), static_cast<const T*>(x.data()), permuted);
    copy_strided(B{}, shape, narrow.data(), permuted, static_cast<const T*>(x.data()), contiguous_strides(shape));
    Shape wide = contiguous_strides(shape);
    for (int d = 0; d < 3; ++d) wide[d] *= 2;
    fill_strided(B{}, shape, filled.data(), wide, T(3));
    return {{"turned", turned.values()}, {"narrow", narrow.values()}, {"filled", filled.values()}};
  }
};

struct Reduce {
  static constexpr const char* name = "reduce";
  static std::vector<Sizes> sizes() { return {{1, 1, 1}, {3, 5, 1}, {2, 7, 3}, {4, 100, 33}, {1, 70000, 1}, {200, 129, 1}, {5, 1, 9}}; }  // outer, n, inner
  static double terms(const Sizes& s) { return static_cast<double>(s[1]); }

  template <class T, class B>
  static Outputs run(const Sizes& s) {
    const index_t out = s[0] * s[2];
    const Buffer<T, B> x(numbers<T>(s[0] * s[1] * s[2], 1));
    Outputs outputs;
    for (auto kind : {Reduction::sum, Reduction::mean, Reduction::max, Reduction::logsumexp}) {
      const Buffer<T, B> y(out);
      reduce(B{}, kind, static_cast<const T*>(x.data()), y.data(), s[0], s[1], s[2]);
      outputs.push_back({"reduction " + std::to_string(static_cast<int>(kind)), y.values()});
    }
    const Buffer<std::int64_t, B> at(out);
    reduce(B{}, Reduction::argmax, static_cast<const T*>(x.data()), at.data(), s[0], s[1], s[2]);
    outputs.push_back({"argmax", at.values()});
    return outputs;
  }
};

}  // namespace conformance
