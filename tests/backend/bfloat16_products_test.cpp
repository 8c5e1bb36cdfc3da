#include <hlip/backend/cpu.hpp>
#include <hlip/tensor/dtype.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#if defined(_OPENMP)
#include <omp.h>
#endif

using namespace hlip;

namespace {

/// Sets the precision of this process for as long as it lives.
struct Precision {
  explicit Precision(MatrixPrecision p) { set_matrix_precision(Cpu{}, p); }
  ~Precision() { set_matrix_precision(Cpu{}, MatrixPrecision::float32); }
};

struct Case {
  index_t m, n, k;
  bool trans_a, trans_b;
  std::vector<float> a, b;

  Case(index_t m_, index_t n_, index_t k_, bool ta, bool tb)
      : m(m_), n(n_), k(k_), trans_a(ta), trans_b(tb) {
    for (index_t i = 0; i < m * k; ++i)
      a.push_back(static_cast<float>(uniform_at({5, 1, 0}, static_cast<std::uint64_t>(i)) - 0.5));
    for (index_t i = 0; i < k * n; ++i)
      b.push_back(static_cast<float>(uniform_at({5, 2, 0}, static_cast<std::uint64_t>(i)) - 0.5));
  }
  float left(index_t i, index_t p) const {
    return a[static_cast<std::size_t>(trans_a ? p * m + i : i * k + p)];
  }
  float right(index_t p, index_t j) const {
    return b[static_cast<std::size_t>(trans_b ? j * k + p : p * n + j)];
  }

  std::vector<float> product(float beta = 0) const {
    std::vector<float> c(static_cast<std::size_t>(m * n), 0.25f);
    GemmArgs<float> g;
    g.m = m, g.n = n, g.k = k, g.a = a.data(), g.lda = trans_a ? m : k, g.trans_a = trans_a,
    g.b = b.data(), g.ldb = trans_b ? k : n, g.trans_b = trans_b;
    g.c = c.data(), g.ldc = n, g.beta = beta;
    gemm(Cpu{}, g);
    return c;
  }
};

/// Whether this build has them; one without must refuse them and stay with float32.
bool supported() {
  if (has_bfloat16_products(Cpu{})) return true;
  CHECK_THROWS_AS(set_matrix_precision(Cpu{}, MatrixPrecision::bfloat16), error);
  CHECK(matrix_precision(Cpu{}) == MatrixPrecision::float32);
  return false;
}

}  // namespace

TEST_CASE("bfloat16 products: operands are rounded to bfloat16, sums are not") {
  if (!supported()) return;
  const Precision precision(MatrixPrecision::bfloat16);
  for (const auto& [m, n, k] : {std::array<index_t, 3>{1, 1, 1},
                                {12, 32, 2},
                                {13, 33, 7},
                                {50, 70, 300},
                                {3, 100, 513},
                                {13, 33, 4500},
                                {4100, 33, 3},
                                {5, 4130, 9}})
    for (int form = 0; form < 4; ++form)
      for (const float beta : {0.f, 2.f}) {
        const Case c(m, n, k, form & 1, form & 2);
        const auto got = c.product(beta);
        double most = 0, unrounded = 0;
        for (index_t i = 0; i < m; ++i)
          for (index_t j = 0; j < n; ++j) {
            double want = beta * 0.25, exact = want;
            for (index_t p = 0; p < k; ++p) {
              want += static_cast<double>(static_cast<float>(bfloat16(c.left(i, p)))) *
                      static_cast<double>(static_cast<float>(bfloat16(c.right(p, j))));
              exact += static_cast<double>(c.left(i, p)) * static_cast<double>(c.right(p, j));
            }
            const double value = got[static_cast<std::size_t>(i * n + j)];
            most = std::max(most, std::abs(value - want));
            unrounded = std::max(unrounded, std::abs(value - exact));
          }
        CAPTURE(c.m);
        CAPTURE(form);
        CHECK(most <= 1e-6 * std::sqrt(static_cast<double>(k)));  // float sums of k terms below 1/4
        if (k >= 300) CHECK(unrounded > 1e-4);                    // it did round
      }
}

TEST_CASE("bfloat16 products: packing rounds as the storage type does, in pairs of either layout") {
  if (!supported()) return;
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> special{
      0.f,    -0.f,    1.f,     1.00390625f, 1.01171875f, -3.14159f,
      1e-30f, 3.3e38f, 3.4e38f, infinity,    -infinity,   std::numeric_limits<float>::quiet_NaN()};
  for (const index_t k : {1, 2, 31, 32, 33, 70})
    for (const index_t width : {1, 5, 12, 16, 17, 32})
      for (const bool deep : {false, true}) {
        const index_t step = width > 12 ? 32 : width, pairs = (k + 1) / 2;
        std::vector<float> x(static_cast<std::size_t>(k * width)),
            to(static_cast<std::size_t>(pairs * step + 1), 7.f);
        for (std::size_t i = 0; i < x.size(); ++i)
          x[i] = i % 5 ? static_cast<float>(uniform_at({6, 0, 0}, i) - 0.5)
                       : special[i / 5 % special.size()];
        detail::pack_bfloat16_pairs(k, width, x.data(), deep ? k : width, deep, to.data(), step);
        CHECK(to.back() == 7.f);  // nothing behind the panel
        bool same = true;
        for (index_t p = 0; p < pairs; ++p)
          for (index_t i = 0; i < step; ++i)
            for (index_t half = 0; half < 2; ++half) {
              const index_t e = 2 * p + half;
              const float want = i < width && e < k
                                     ? x[static_cast<std::size_t>(deep ? i * k + e : e * width + i)]
                                     : 0.f;
              const std::uint32_t both = std::bit_cast<std::uint32_t>(
                  to[static_cast<std::size_t>(p * step + i)]);
              bfloat16 got;
              got.bits = static_cast<std::uint16_t>(half ? both >> 16 : both);
              same = same && (std::isnan(want) ? std::isnan(static_cast<float>(got))
                                               : got.bits == bfloat16(want).bits);
            }
        CAPTURE(k);
        CAPTURE(width);
        CAPTURE(deep);
        CHECK(same);
      }
}

#if defined(_OPENMP)
TEST_CASE("bfloat16 products: the same bits at 1, 2 and 4 threads") {
  if (!supported()) return;
  const Precision precision(MatrixPrecision::bfloat16);
  const Case c(301, 190, 600, false, true);
  const int before = omp_get_max_threads();
  omp_set_num_threads(1);
  const auto one = c.product();
  for (const int threads : {2, 4}) {
    omp_set_num_threads(threads);
    CHECK(c.product() == one);
  }
  omp_set_num_threads(before);
}
#endif
