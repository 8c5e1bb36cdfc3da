#include <hlip/backend/cpu.hpp>

#include "conformance.hpp"

using namespace conformance;

namespace {

/// The product by one of the two ways, everything around it included.
template <class T, class Way> Outputs product(GemmArgs<T> g, Way way) {
  const index_t slack = 3;
  g.lda = (g.trans_a ? g.m : g.k) + slack, g.ldb = (g.trans_b ? g.k : g.n) + slack,
  g.ldc = g.n + slack;
  g.stride_a = (g.trans_a ? g.k : g.m) * g.lda, g.stride_b = (g.trans_b ? g.n : g.k) * g.ldb,
  g.stride_c = g.m * g.ldc;
  const Buffer<T, Cpu> a(numbers<T>(g.batch * g.stride_a, 1)),
      b(numbers<T>(g.batch * g.stride_b, 2)), c(numbers<T>(g.batch * g.stride_c, 3)),
      bias(numbers<T>(g.n, 4)), pre(g.batch * g.stride_c), residual(numbers<T>(g.stride_c, 5));
  g.a = a, g.b = b, g.c = c, g.bias = bias, g.pre_activation = pre;
  g.alpha = T(1.5), g.beta = T(-0.5), g.activation = Activation::gelu;
  if (g.batch == 1) g.residual = residual;
  way(g);
  return {{"c", c.values()}, {"before the activation", pre.values()}};
}

template <class T> void expect_the_same_bits() {
  for (const auto& [m, n, k, batch] : std::vector<std::array<index_t, 4>>{{1, 1, 1, 1},
                                                                          {13, 37, 2100, 1},
                                                                          {70, 45, 257, 2},
                                                                          {500, 20, 5, 1},
                                                                          {9, 4200, 20, 1},
                                                                          {4200, 9, 20, 1},
                                                                          {40, 33, 0, 1}})
    for (const bool trans_a : {false, true})
      for (const bool trans_b : {false, true}) {
        CAPTURE(describe({m, n, k, batch, trans_a, trans_b}));
        GemmArgs<T> g;
        g.m = m, g.n = n, g.k = k, g.batch = batch, g.trans_a = trans_a, g.trans_b = trans_b;
        const Outputs once = product(g, [](const GemmArgs<T>&x) { detail::plain_packed_gemm(x); }),
                      tiles = product(g, [](const GemmArgs<T>&x) { detail::tiled_gemm(x); });
        for (std::size_t i = 0; i < once.size(); ++i) CHECK(once[i].values == tiles[i].values);
      }
}

}  // namespace

TEST_CASE("products: operands packed once or for each tile give the same bits") {
  expect_the_same_bits<float>();
  expect_the_same_bits<double>();
}
TEST_CASE("products: large ones pack once, small and narrow ones do not") {
  const auto once = [](index_t m, index_t n, index_t k) {
    GemmArgs<float> g;
    g.m = m, g.n = n, g.k = k;
    return detail::packs_once(g);
  };
  CHECK(once(2744, 2304, 768));
  CHECK_FALSE(once(512, 512, 16));
  CHECK_FALSE(once(8, 30000, 768));
}
