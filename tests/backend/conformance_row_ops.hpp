// Rows of the conformance table: layer norm, softmax, cross entropy, gather and scatter,
// resampling, AdamW.
#pragma once

#include "conformance.hpp"

namespace conformance {

/// Stored: y and dy lie in bfloat16, where the backend takes that.
template <bool Stored> struct LayerNormOf {
  static constexpr const char* name = Stored ? "layer_norm (bfloat16)" : "layer_norm";
  // rows, cols, 1: without weight and bias, elements before the first
  static std::vector<Sizes> sizes() {
    return {{1, 1, 0, 0},    {3, 5, 0, 0},    {2, 16, 0, 0},    {7, 33, 1, 0},   {0, 8, 0, 0},
            {70, 768, 0, 0}, {301, 96, 0, 0}, {9, 64, 1, 1},    {5, 768, 0, 2},  {3, 1024, 0, 0},
            {4, 1028, 0, 0}, {6, 2051, 0, 0}, {35, 3072, 0, 0}, {5000, 20, 0, 0}};
  }
  static double terms(const Sizes& s) { return static_cast<double>(std::max(s[0], s[1])); }

  template <class T, class B> static Outputs run(const Sizes& s) {
    using S = std::conditional_t<Stored, stored_type<T, B>, T>;
    const index_t rows = s[0], cols = s[1], n = rows * cols, first = s[3];
    auto host = numbers<T>(n + first, 1);
    // A mean away from zero, where a one-pass variance would lose digits
    for (T& x : host) x += T(8);
    const Buffer<T, B> x(host), weight(numbers<T>(cols, 2)), bias(numbers<T>(cols, 3));
    const Buffer<S, B> dy(rounded_numbers<S>(n + first, 4)), y(n + first);
    const Buffer<T, B> mean(rows), rstd(rows), dx(n), more(numbers<T>(n, 5)), dweight(cols),
        dbias(cols);
    LayerNormArgs<T, S> a;
    a.rows = rows, a.cols = cols, a.eps = T(1e-5), a.x = x + first, a.y = y + first, a.mean = mean,
    a.rstd = rstd;
    if (!s[2]) a.weight = weight, a.bias = bias;
    layer_norm_forward(B{}, a);
    LayerNormGradArgs<T, S> g;
    g.rows = rows, g.cols = cols, g.x = a.x, g.weight = a.weight, g.mean = mean, g.rstd = rstd,
    g.dy = dy + first, g.dx = dx;
    if (!s[2]) g.dweight = dweight, g.dbias = dbias;
    layer_norm_backward(B{}, g);
    g.dx = more, g.add_dx = true;
    layer_norm_backward(B{}, g);
    return {{"more", more.values()},       {"y", y.values(), std::is_same_v<S, bfloat16> ? 8 : 0},
            {"mean", mean.values()},       {"dx", dx.values()},
            {"dweight", dweight.values()}, {"dbias", dbias.values()}};
  }
};

struct Softmax {
  static constexpr const char* name = "softmax";
  static std::vector<Sizes> sizes() {
    return {{1, 1}, {3, 5}, {2, 16}, {7, 33}, {0, 8}, {150, 160}};
  }
  static double terms(const Sizes& s) { return static_cast<double>(s[1]); }

  template <class T, class B> static Outputs run(const Sizes& s) {
    const index_t n = s[0] * s[1];
    auto host = numbers<T>(n, 1);
    if (n > 8) host[0] = T(80), host[3] = -std::numeric_limits<T>::infinity(), host[5] = T(-120);
    const Buffer<T, B> x(host), dy(numbers<T>(n, 2)), y(n), dx(n);
    softmax_forward(B{}, x.data(), y.data(), s[0], s[1]);
    softmax_backward(B{}, y.data(), dy.data(), dx.data(), s[0], s[1]);
    return {{"y", y.values()}, {"dx", dx.values()}};
  }
};

struct CrossEntropy {
  static constexpr const char* name = "cross_entropy";
  static std::vector<Sizes> sizes() { return Softmax::sizes(); }
  static double terms(const Sizes& s) { return static_cast<double>(s[1]); }

  template <class T, class B> static Outputs run(const Sizes& s) {
    const index_t rows = s[0], n = rows * s[1];
    std::vector<std::int64_t> label(static_cast<std::size_t>(rows));
    for (std::size_t i = 0; i < label.size(); ++i)
      label[i] = static_cast<std::int64_t>(i * 7) % s[1];
    const Buffer<std::int64_t, B> labels(label);
    const Buffer<T, B> logits(numbers<T>(n, 1)), dloss(numbers<T>(rows, 2)), loss(rows), lse(rows),
        dlogits(n);
    cross_entropy_forward(B{}, logits.data(), labels.data(), loss.data(), lse.data(), rows, s[1]);
    cross_entropy_backward(B{}, logits.data(), labels.data(), lse.data(), dloss.data(),
                           dlogits.data(), rows, s[1]);
    return {{"loss", loss.values()}, {"lse", lse.values()}, {"dlogits", dlogits.values()}};
  }
};

struct GatherScatter {
  static constexpr const char* name = "gather_rows, scatter_add_rows";
  // n, cols, table rows
  static std::vector<Sizes> sizes() {
    return {{1, 1, 1}, {5, 3, 2}, {0, 4, 3}, {9, 0, 2}, {40, 65, 7}, {300, 256, 11}, {1000, 3, 2}};
  }
  static double terms(const Sizes& s) { return static_cast<double>(s[0]); }

  template <class T, class B> static Outputs run(const Sizes& s) {
    const index_t n = s[0], cols = s[1], rows = s[2];
    std::vector<std::int64_t> index(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < index.size(); ++i)
      index[i] = static_cast<std::int64_t>(i * i + 1) % rows;
    const Buffer<std::int64_t, B> at(index);
    const Buffer<T, B> table(numbers<T>(rows * cols, 1)), out(n * cols),
        sum(numbers<T>(rows * cols, 2));
    gather_rows(B{}, table.data(), at.data(), out.data(), n, cols, rows);
    scatter_add_rows(B{}, out.data(), at.data(), sum.data(), n, cols, rows);
    return {{"gathered", out.values()}, {"scattered", sum.values()}};
  }
};

struct Resample {
  static constexpr const char* name = "resample_axis";
  static std::vector<Sizes> sizes() {  // outer, n_in, n_out, inner, taps
    return {{1, 1, 1, 1, 1}, {2, 5, 3, 1, 2},     {3, 4, 9, 7, 4},     {0, 4, 3, 2, 2},
            {2, 4, 3, 0, 2}, {2, 40, 30, 800, 3}, {90, 30, 40, 20, 5}, {400, 60, 50, 5, 2}};
  }
  static double terms(const Sizes& s) { return static_cast<double>(s[4] * s[2]); }

  template <class T, class B> static Outputs run(const Sizes& s) {
    ResampleArgs<T> a;
    a.outer = s[0], a.n_in = s[1], a.n_out = s[2], a.inner = s[3], a.taps = static_cast<int>(s[4]);
    const auto weight = numbers<T>(a.n_out * a.taps, 1);
    std::vector<index_t> index(weight.size());
    for (std::size_t i = 0; i < index.size(); ++i)
      index[i] = static_cast<index_t>(i * 5 + 2) % a.n_in;
    a.weight = weight.data(), a.index = index.data();
    const index_t in = a.outer * a.n_in * a.inner, out = a.outer * a.n_out * a.inner;
    const Buffer<T, B> x(numbers<T>(in, 2)), y(out), dx(in), dy(numbers<T>(out, 3));
    a.x = x, a.y = y;
    resample_axis(B{}, a);
    a.x = dx, a.y = dy, a.transposed = true;
    resample_axis(B{}, a);
    return {{"y", y.values()}, {"dx", dx.values()}};
  }
};

/// Three parameters at once, one of them without weight decay.
struct AdamW {
  static constexpr const char* name = "adamw_update";
  static std::vector<Sizes> sizes() {
    return {{0, 0, 0},       {1, 0, 15},      {15, 2048, 1},
            {16, 2049, 256}, {100, 40001, 3}, {70000, 1, 5000}};
  }
  static double terms(const Sizes&) { return 4; }

  template <class T, class B> static Outputs run(const Sizes& s) {
    struct Parameter {
      Buffer<T, B> p, grad, m, v;
      Parameter(index_t n, std::uint32_t stream)
          : p(numbers<T>(n, stream)), grad(numbers<T>(n, stream + 1)), m(n, T(0)), v(n, T(0)) {}
    };
    const Parameter x(s[0], 1), y(s[1], 3), z(s[2], 5);
    const AdamWParameter<T> list[] = {{s[0], x.p, x.grad, x.m, x.v, 0.2},
                                      {s[1], y.p, y.grad, y.m, y.v, 0.0},
                                      {s[2], z.p, z.grad, z.m, z.v, 0.1}};
    AdamWArgs<T> a{list, 0.01, 0.9, 0.98, 1e-6, 0.5};
    for (a.step = 1; a.step <= 3; ++a.step) adamw_update(B{}, a);
    Outputs out;
    for (const Parameter* each : {&x, &y, &z}) {
      out.push_back({"p", each->p.values()});
      out.push_back({"exp_avg", each->m.values()});
      out.push_back({"exp_avg_sq", each->v.values()});
    }
    return out;
  }
};

/// Three tensors at once.
struct SumsOfSquares {
  static constexpr const char* name = "sums_of_squares";
  static std::vector<Sizes> sizes() {
    return {{0, 0, 0},       {1, 0, 15},         {63, 64, 65},
            {4097, 1, 4096}, {300000, 7, 70000}, {2, 65537, 0}};
  }
  static double terms(const Sizes& s) { return static_cast<double>(std::max({s[0], s[1], s[2]})); }

  template <class T, class B> static Outputs run(const Sizes& s) {
    const Buffer<T, B> x(numbers<T>(s[0], 1)), y(numbers<T>(s[1], 2)), z(numbers<T>(s[2], 3)),
        to(3);
    const Elements<T> list[] = {{x, s[0]}, {y, s[1]}, {z, s[2]}};
    sums_of_squares(B{}, std::span<const Elements<T>>(list), static_cast<T*>(to));
    return {{"sums", to.values()}};
  }
};

}  // namespace conformance
