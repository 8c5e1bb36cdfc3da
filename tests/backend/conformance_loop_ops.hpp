// Rows of the conformance table: fused elementwise statements, strided copies and reductions.
#pragma once

#include "conformance.hpp"

#include <hlip/ops/elementwise.hpp>

namespace conformance {

/// One elementwise functor: value and pull-back, its operands a strided matrix, a broadcast row and
/// a broadcast column. Sizes: rows, columns, elements between two rows of the matrix, and before
/// the first of it and of dy.
template <class F, int Operands, bool Positive> struct Elementwise {
  static constexpr const char* name = F::name.data();
  static std::vector<Sizes> sizes() {
    return {{1, 1, 2, 0},     {3, 5, 2, 0}, {4, 16, 4, 0}, {0, 3, 2, 0},   {5, 33, 2, 0},
            {150, 130, 2, 0}, {6, 4, 0, 4}, {3, 64, 4, 1}, {40, 64, 8, 0}, {5, 12, 2, 0}};
  }
  // One value; the slack is for exp, log and pow away from 1
  static double terms(const Sizes&) { return 16; }

  template <class T, class B> static Outputs run(const Sizes& s) {
    const index_t rows = s[0], cols = s[1], n = rows * cols, width = cols + s[2];
    const Shape shape{rows, cols};
    const auto draw = [](index_t count, std::uint32_t stream) {
      return Positive ? positive_numbers<T>(count, stream) : numbers<T>(count, stream);
    };
    const Buffer<T, B> x(draw(rows * width + s[3], 1)), row(draw(cols, 2)), column(draw(rows, 3)),
        dy(numbers<T>(n + s[3], 4));
    const Buffer<T, B> y(n), dx(n), drow(n, T(1)), dcolumn(n);
    const LeafView<T, true> a{x + s[3], Shape{width, 1}}, b{row, Shape{0, 1}},
        c{column, Shape{1, 0}};
    // grad of a is written, of b added to what is there, of c as well
    const GradSink<T> sinks[3] = {{dx, 1, false}, {drow, 1, true}, {dcolumn, 1, true}};
    const auto both = [&](auto view) {
      map(B{}, shape, y.data(), contiguous_strides(shape), view);
      map_pull(B{}, shape, static_cast<const T*>(dy + s[3]), view, sinks);
    };
    using Leaf = LeafView<T, true>;
    if constexpr (Operands == 1) both(MapView<F, T, Leaf>{F{}, {a}});
    else both(MapView<op::Add, T, MapView<F, T, Leaf, Leaf>, Leaf>{op::Add{}, {{F{}, {a, b}}, c}});
    return {{"y", y.values()},
            {"dx", dx.values()},
            {"drow", drow.values()},
            {"dcolumn", dcolumn.values()}};
  }
};

struct CopyFill {
  static constexpr const char* name = "copy_strided, fill_strided";
  static std::vector<Sizes> sizes() {
    return {{1, 1, 1}, {2, 3, 5}, {3, 0, 4}, {7, 1, 16}, {20, 30, 40},
            {2, 3, 1}, {5, 2, 3}, {3, 2, 4}, {2, 3, 64}};
  }
  static double terms(const Sizes&) { return 1; }

  template <class T, class B> static Outputs run(const Sizes& s) {
    const Shape shape{s[0], s[1], s[2]};
    const index_t n = shape.numel();
    const Buffer<T, B> x(numbers<T>(n, 1)), turned(n), filled(2 * n);
    const Buffer<float, B> narrow(n);
    const Shape permuted{1, s[0], s[0] * s[1]};  // x as if it were stored in the opposite order
    copy_strided(B{}, shape, turned.data(), contiguous_strides(shape),
                 static_cast<const T*>(x.data()), permuted);
    copy_strided(B{}, shape, narrow.data(), permuted, static_cast<const T*>(x.data()),
                 contiguous_strides(shape));
    Shape wide = contiguous_strides(shape);
    for (int d = 0; d < 3; ++d) wide[d] *= 2;
    fill_strided(B{}, shape, filled.data(), wide, T(3));
    const Buffer<T, B> one(5);
    fill_strided(B{}, shape, one.data(), Shape{0, 0, 0}, T(3));
    Outputs outputs = {{"turned", turned.values()},
                       {"narrow", narrow.values()},
                       {"filled", filled.values()},
                       {"one", one.values()}};

    // Rows with a gap, which start where four elements can be read at once, and one behind; there
    // and back through bfloat16.
    const Shape rows{s[1] * (s[2] + 4), s[2] + 4, 1};
    for (index_t first : {0, 1}) {
      const index_t room = s[0] * rows[0] + first;
      const Buffer<bfloat16, B> half(room), moved(room);
      const Buffer<T, B> back(n), spread(n), repeated(room), gaps(room);
      copy_strided(B{}, shape, half + first, rows, static_cast<const T*>(x.data()),
                   contiguous_strides(shape));
      copy_strided(B{}, shape, moved + first, rows, static_cast<const bfloat16*>(half + first),
                   rows);
      copy_strided(B{}, shape, back.data(), contiguous_strides(shape),
                   static_cast<const bfloat16*>(moved + first), rows);
      copy_strided(B{}, shape, spread.data(), contiguous_strides(shape),
                   static_cast<const T*>(x.data()), Shape{1, 0, 0});
      copy_strided(B{}, shape, repeated + first, rows, static_cast<const T*>(x.data()),
                   Shape{0, 0, 1});
      fill_strided(B{}, shape, gaps + first, rows, T(3));
      for (const auto* each : {&back, &spread, &repeated, &gaps})
        outputs.push_back({"first " + std::to_string(first), each->values()});
    }
    return outputs;
  }
};

struct Reduce {
  static constexpr const char* name = "reduce";
  // outer, n, inner
  static std::vector<Sizes> sizes() {
    return {{1, 1, 1}, {3, 5, 1}, {2, 7, 3}, {4, 100, 33}, {1, 70000, 1}, {200, 129, 1}, {5, 1, 9}};
  }
  static double terms(const Sizes& s) { return static_cast<double>(s[1]); }

  template <class T, class B> static Outputs run(const Sizes& s) {
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

/// In: whether the rows lie in bfloat16, where the backend takes that.
template <bool In> struct CutPatches {
  static constexpr const char* name = In ? "cut_patches (bfloat16)" : "cut_patches";
  // volumes, channels, depth, height, width, the patch, first row, and the last of them all left
  // out
  static std::vector<Sizes> sizes() {
    return {{2, 1, 4, 6, 8, 2, 3, 4, 0, 0},  {1, 2, 5, 7, 11, 2, 2, 5, 3, 2},
            {2, 3, 4, 8, 16, 4, 4, 8, 1, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 0, 0},
            {3, 1, 2, 4, 9, 2, 2, 3, 5, 0},  {1, 1, 2, 2, 4, 2, 2, 4, 1, 0}};
  }
  static double terms(const Sizes&) { return 1; }

  template <class T, class B> static Outputs run(const Sizes& s) {
    using S = std::conditional_t<In, stored_type<T, B>, T>;
    PatchArgs<T, S> a;
    a.channels = s[1], a.depth = s[2], a.height = s[3], a.width = s[4], a.pd = s[5], a.ph = s[6],
    a.pw = s[7];
    a.first = s[8], a.last = s[0] * (a.depth / a.pd) * (a.height / a.ph) * (a.width / a.pw) - s[9];
    const index_t cols = a.channels * a.pd * a.ph * a.pw;
    const Buffer<T, B> x(numbers<T>(s[0] * a.channels * a.depth * a.height * a.width, 1));
    const Buffer<S, B> rows((a.last - a.first + 1) * cols), shifted((a.last - a.first) * cols + 1);
    a.x = x, a.rows = rows;
    cut_patches(B{}, a);
    a.rows = shifted + 1;
    cut_patches(B{}, a);
    constexpr int bits = std::is_same_v<S, bfloat16> ? 8 : 0;
    return {{"rows", rows.values(), bits}, {"shifted", shifted.values(), bits}};
  }
};

/// Sums of what lies in bfloat16.
struct SumOfStored {
  static constexpr const char* name = "reduce (bfloat16)";
  // outer, n, inner
  static std::vector<Sizes> sizes() {
    return {{1, 1, 1},      {2, 7, 3},  {1, 200, 64}, {3, 129, 12},
            {1, 5000, 768}, {2, 64, 1}, {1, 0, 4}};
  }
  static double terms(const Sizes& s) { return static_cast<double>(s[1]); }

  template <class T, class B> static Outputs run(const Sizes& s) {
    const Buffer<stored_type<T, B>, B> x(rounded_numbers<stored_type<T, B>>(s[0] * s[1] * s[2], 1));
    const Buffer<T, B> y(s[0] * s[2]);
    reduce(B{}, Reduction::sum, static_cast<const stored_type<T, B>*>(x.data()), y.data(), s[0],
           s[1], s[2]);
    return {{"sum", y.values()}};
  }
};

}  // namespace conformance
