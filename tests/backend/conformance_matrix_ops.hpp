// Rows of the conformance table: matrix products and attention.
#pragma once

#include "conformance.hpp"

namespace conformance {

/// What lies in bfloat16, where the backend takes that.
enum class Stored { nothing, operands, operands_and_result };

template <Stored In> struct GemmOf {
  static constexpr const char* name = In == Stored::nothing    ? "gemm"
                                      : In == Stored::operands ? "gemm (bfloat16 operands)"
                                                               : "gemm (bfloat16)";
  // m, n, k, batch, slack in the leading dimensions, and which parts of the contract are used (bits
  // below)
  enum : index_t { trans_a = 1, trans_b = 2, scaled = 4, bias = 8, gelu = 16, residual = 32 };
  static std::vector<Sizes> sizes() {
    std::vector<Sizes> all;
    for (index_t layout = 0; layout < 4; ++layout)
      for (const auto& [m, n, k, slack] : std::vector<std::array<index_t, 4>>{{1, 1, 1, 0},
                                                                              {7, 5, 3, 2},
                                                                              {13, 33, 17, 0},
                                                                              {61, 70, 300, 5},
                                                                              {1, 64, 9, 0},
                                                                              {40, 1, 20, 3}}) {
        all.push_back({m, n, k, 1, slack, layout});
        all.push_back({m, n, k, 1, slack, layout | scaled | bias | gelu | residual});
      }
    all.push_back({0, 4, 3, 1, 0, 0});
    all.push_back({4, 0, 3, 1, 0, 0});
    all.push_back({4, 5, 0, 1, 1, scaled | bias});
    all.push_back({4, 5, 0, 1, 1, 0});
    all.push_back({6, 9, 4, 3, 1, trans_b});
    all.push_back({6, 9, 4, 3, 0, trans_a | scaled});
    all.push_back({5, 5, 5, 0, 0, 0});
    all.push_back({130, 120, 300, 1, 0, trans_b | bias | gelu});
    return all;
  }
  static double terms(const Sizes& s) { return static_cast<double>(s[2]); }

  template <class T, class B> static Outputs run(const Sizes& s) {
    using S = std::conditional_t<In != Stored::nothing, stored_type<T, B>, T>;
    using R = std::conditional_t<In == Stored::operands_and_result, stored_type<T, B>, T>;
    GemmArgs<T, S, R> g;
    const index_t flags = s[5], slack = s[4];
    g.m = s[0], g.n = s[1], g.k = s[2], g.batch = s[3];
    g.trans_a = flags & trans_a, g.trans_b = flags & trans_b;
    g.lda = (g.trans_a ? g.m : g.k) + slack, g.ldb = (g.trans_b ? g.k : g.n) + slack,
    g.ldc = g.n + slack;
    g.stride_a = (g.trans_a ? g.k : g.m) * g.lda, g.stride_b = (g.trans_b ? g.n : g.k) * g.ldb,
    g.stride_c = g.m * g.ldc;
    const auto draw = [](auto as, index_t n, std::uint32_t stream) {
      return In == Stored::nothing ? numbers<decltype(as)>(n, stream)
                                   : rounded_numbers<decltype(as)>(n, stream);
    };
    const Buffer<S, B> a(draw(S(), g.batch * g.stride_a, 1)), b(draw(S(), g.batch * g.stride_b, 2));
    const Buffer<R, B> c(draw(R(), g.batch * g.stride_c, 3)), pre(g.batch * g.stride_c),
        res(draw(R(), g.stride_c, 5));
    const Buffer<T, B> bias_row(draw(T(), g.n, 4));
    g.a = a, g.b = b, g.c = c;
    if (flags & scaled) g.alpha = T(1.5), g.beta = T(-0.5);
    if (flags & bias) g.bias = bias_row;
    // What is stored before an activation or a residual is rounded there, too;
    // tensor_cores_test.cpp tests both with whole numbers.
    if (flags & gelu)
      g.activation = In == Stored::operands_and_result ? Activation::none : Activation::gelu,
      g.pre_activation = pre;
    if ((flags & residual) && In != Stored::operands_and_result) g.residual = res;
    gemm(B{}, g);
    constexpr int bits = std::is_same_v<R, bfloat16> ? 8 : 0;
    // The slack too: it must be left alone
    return {{"c", c.values(), bits}, {"pre_activation", pre.values(), bits}};
  }
};

struct Attention {
  static constexpr const char* name = "attention";
  // sequences, prefix, patches, heads, head_dim, 1: with key mask, 2: with dropout
  static std::vector<Sizes> sizes() {
    std::vector<Sizes> all;
    for (index_t flags = 0; flags < 4; ++flags)
      for (const Sizes& s : std::vector<Sizes>{{1, 1, 0, 1, 1},
                                               {1, 0, 1, 2, 3},
                                               {3, 1, 16, 2, 32},
                                               {2, 2, 65, 1, 20},
                                               {1, 0, 130, 2, 33},
                                               {2, 130, 3, 1, 8},
                                               {1, 1, 260, 2, 16},
                                               {1, 1, 70, 1, 64},
                                               {1, 2, 66, 1, 80},
                                               {1, 1, 37, 1, 200}}) {
        all.push_back(s);
        all.back().push_back(flags);
      }
    all.push_back({0, 1, 4, 2, 8, 0});
    all.push_back({2, 0, 0, 2, 8, 0});
    return all;
  }
  static double terms(const Sizes& s) { return static_cast<double>(s[1] + s[2] + s[4]); }

  template <class T, class B> static Outputs run(const Sizes& s) {
    return run_by<T, B>(
        s, 3, [](const AttentionArgs<T>& a) { attention_forward(B{}, a); },
        [](const AttentionGradArgs<T>& g) { attention_backward(B{}, g); });
  }
  /// slack: elements between the heads of a token and those of the next. S: what rows lie in memory
  /// as; rounded to `Rounded` first.
  template <class T, class B, class S = T, class Rounded = S, class Forward, class Backward>
  static Outputs run_by(const Sizes& s, index_t slack, Forward forward, Backward backward) {
    AttentionGradArgs<T, S> g;
    AttentionArgs<T, S>& a = g.forward;
    a.sequences = s[0], a.prefix = s[1], a.patches = s[2], a.heads = s[3], a.head_dim = s[4];
    const index_t tokens = a.prefix + a.patches, stride = a.heads * a.head_dim + slack,
                  n = a.sequences * tokens * stride, split = a.sequences * a.prefix * stride;
    a.scale = static_cast<T>(static_cast<float>(1 / std::sqrt(static_cast<double>(a.head_dim))));
    const auto rounded = [n](std::uint32_t stream) {
      std::vector<S> v(static_cast<std::size_t>(n));
      const std::vector<float> exact = numbers<float>(n, stream);
      for (std::size_t i = 0; i < v.size(); ++i)
        v[i] = static_cast<S>(static_cast<float>(static_cast<Rounded>(exact[i])));
      return v;
    };
    const Buffer<S, B> q(rounded(1)), k(rounded(2)), v(rounded(3)), dout(rounded(4));
    const Buffer<S, B> out(n), dq(n), dk(n), dv(n);
    const Buffer<T, B> lse(a.sequences * a.heads * tokens);
    std::vector<std::uint8_t> visible(static_cast<std::size_t>(a.sequences * tokens));
    for (std::size_t i = 0; i < visible.size(); ++i)
      visible[i] = uniform_at({5, 5, 5}, i) < 0.6 || static_cast<index_t>(i) % tokens == tokens / 2;
    const Buffer<std::uint8_t, B> mask(visible);
    const auto read = [&](const Buffer<S, B>& x) {
      return TokenRows<const S>{x.data(), x.data() + split, stride};
    };
    const auto write = [&](const Buffer<S, B>& x) {
      return TokenRows<S>{x.data(), x.data() + split, stride};
    };
    a.q = read(q), a.k = read(k), a.v = read(v), a.out = write(out), a.lse = lse;
    if (s[5] & 1) a.key_mask = mask;
    if (s[5] & 2) a.dropout = 0.3, a.dropout_key = {7, 3, 2};
    g.d_out = read(dout), g.dq = write(dq), g.dk = write(dk), g.dv = write(dv);
    forward(a);
    backward(g);
    return {{"out", out.values()},
            {"lse", lse.values()},
            {"dq", dq.values()},
            {"dk", dk.values()},
            {"dv", dv.values()}};
  }
};

}  // namespace conformance
