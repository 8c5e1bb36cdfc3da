#include <hlip/backend/cpu.hpp>

#include "conformance_matrix_ops.hpp"

#if defined(_OPENMP)
#include <omp.h>
#endif

using namespace conformance;

namespace {

using Gemm = GemmOf<Stored::nothing>;
constexpr index_t everything = Gemm::trans_b | Gemm::scaled | Gemm::bias | Gemm::gelu |
                               Gemm::residual;

/// c = a · bᵀ, operands one element beyond an aligned address.
template <class T>
std::vector<T> product(index_t m, index_t n, index_t k, const std::vector<T>& a,
                       const std::vector<T>& b) {
  const auto moved = [](const std::vector<T>& x) {
    std::vector<T> y{T(0)};
    y.insert(y.end(), x.begin(), x.end());
    return y;
  };
  const std::vector<T> left = moved(a), right = moved(b);
  std::vector<T> c(static_cast<std::size_t>(m * n), T(-77));
  GemmArgs<T> g;
  g.m = m, g.n = n, g.k = k;
  g.a = left.data() + 1, g.lda = k;
  g.b = right.data() + 1, g.ldb = k, g.trans_b = true;
  g.c = c.data(), g.ldc = n;
  gemm(Cpu{}, g);
  return c;
}

/// Whether a row has the same bits alone and beside others.
template <class T> void expect_the_same_bits_alone() {
  for (const index_t k : {1024, 2064})
    for (const index_t n : {16, 33, 70}) {
      CAPTURE(describe({n, k}));
      const auto a = numbers<T>(8 * k, 1), b = numbers<T>(n * k, 2);
      std::vector<T> alone;
      for (std::ptrdiff_t i = 0; i < 8; ++i) {
        const auto c = product(1, n, k, {a.begin() + i * k, a.begin() + (i + 1) * k}, b);
        alone.insert(alone.end(), c.begin(), c.end());
      }
      for (const index_t m : {2, 3, 4, 5, 8}) {
        const auto c = product(m, n, k, a, b);
        CHECK(std::equal(c.begin(), c.end(), alone.begin()));
      }
    }
}

/// One infinite or undefined element of B reaches its column of C and no other.
template <class T> void expect_only_its_column(T odd) {
  const index_t m = 2, n = 17, k = 1024;
  for (const index_t p : {0, 1, 15, 16, 511, 1023}) {
    CAPTURE(p);
    std::vector<T> a(static_cast<std::size_t>(m * k), T(1)),
        b(static_cast<std::size_t>(n * k), T(1));
    b[static_cast<std::size_t>(5 * k + p)] = odd;
    const std::vector<T> c = product(m, n, k, a, b);
    for (std::size_t i = 0; i < c.size(); ++i) {
      if (i % 17 != 5) CHECK(c[i] == static_cast<T>(k));
      else CHECK((std::isnan(odd) ? std::isnan(c[i]) : c[i] == odd));
    }
  }
}

}  // namespace

TEST_CASE("products of few rows: which") {
  GemmArgs<float> g;
  g.m = 1, g.n = 64, g.k = 256, g.trans_b = true;
  CHECK(detail::has_few_rows(g) == (detail::packet_width<float> > 1));
  for (const auto& change : std::vector<void (*)(GemmArgs<float>&)>{
           [](auto& x) { x.m = 9; }, [](auto& x) { x.n = 63; }, [](auto& x) { x.k = 0; },
           [](auto& x) { x.batch = 2; }, [](auto& x) { x.trans_a = true; },
           [](auto& x) { x.trans_b = false; }, [](auto& x) { x.n = 1000, x.k = 259; },
           [](auto& x) { x.m = 5, x.n = 10000, x.k = 16; }}) {
    GemmArgs<float> other = g;
    change(other);
    CHECK_FALSE(detail::has_few_rows(other));
  }
}
TEST_CASE("products of few rows agree with the reference") {
  for (const index_t m : {1, 2, 3, 4, 5, 8, 9})
    for (const index_t k : {0, 17, 1000, 1024})
      for (const index_t n : {1, 9, 16, 17, 65, 1000})
        for (const index_t flags : {index_t(Gemm::trans_b), everything}) {
          const Sizes sizes{m, n, k, 1, flags == everything ? 3 : 0, flags};
          const Outputs reference = Gemm::run<double, Reference>(sizes);
          expect_agreement<Gemm, float, Cpu>(sizes, reference);
          expect_agreement<Gemm, double, Cpu>(sizes, reference);
        }
}
TEST_CASE("products of few rows: a row has the same bits alone and beside others") {
  expect_the_same_bits_alone<float>();
  expect_the_same_bits_alone<double>();
}
TEST_CASE("products of few rows: NaN and infinity reach their column and no other") {
  for (const float odd :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    expect_only_its_column<float>(odd);
    expect_only_its_column<double>(static_cast<double>(odd));
  }
}
#if defined(_OPENMP)
TEST_CASE("products of few rows give the same bits at 1, 2 and 3 threads") {
  const int before = omp_get_max_threads();
  for (const index_t m : {1, 2, 3, 4, 7})
    for (const index_t k : {64, 1024})
      for (const index_t n : {17, 1000}) {
        CAPTURE(describe({m, n, k}));
        omp_set_num_threads(1);
        const Outputs one = Gemm::run<float, Cpu>({m, n, k, 1, 3, everything});
        for (const int threads : {2, 3}) {
          omp_set_num_threads(threads);
          const Outputs many = Gemm::run<float, Cpu>({m, n, k, 1, 3, everything});
          for (std::size_t i = 0; i < one.size(); ++i) CHECK(one[i].values == many[i].values);
        }
      }
  omp_set_num_threads(before);
}
#endif
