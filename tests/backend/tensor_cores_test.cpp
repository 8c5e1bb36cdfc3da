// Products and attention on tensor cores (backend/cuda/tensor_cores.hpp), in the builds that have the Cuda backend.
#if defined(HLIP_WITH_DEVICE)

#include "conformance_matrix_ops.hpp"

#include <hlip/tensor/tensor.hpp>

#include <array>
#include <bit>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

using namespace conformance;

namespace tensor_cores_test {

/// out = start + left · right; two warps have 32 rows of left (64, 32) each and share right (32, 32).
template <class Operand, int PairStride, int ColumnStride>
struct Multiply {
  using Product = detail::WarpProduct<Operand, 2, 4, 2>;
  using Pair = typename Operand::Pair;
  static constexpr int threads = 64, right_size = 16 * PairStride + 32 * ColumnStride;
  const float *left, *right;
  float* out;

  template <class Block>
  HLIP_FN void operator()(Block& block) const {
    Pair* pairs = block.template shared<Pair>(right_size);
    auto own = block.template per_thread<Pair, Product::operands>();
    auto sum = block.template per_thread<float, Product::sums>();
    block.phase([&](int thread) {
      for (int i = thread; i < 16 * 32; i += threads) pairs[i / 32 * PairStride + i % 32 * ColumnStride] = Operand::pair(right[i / 32 * 2 * 32 + i % 32], right[(i / 32 * 2 + 1) * 32 + i % 32]);
      for (int p = 0; p < Product::operands; ++p) {
        const float* at = left + (thread / 32 * 32 + Product::row_of_left(thread, p)) * 32 + 2 * Product::pair_of_left(thread, p);
        own(thread)[p] = Operand::pair(at[0], at[1]);
      }
      for (int s = 0; s < Product::sums; ++s) sum(thread)[s] = static_cast<float>(Product::row_of_sum(thread, s));
    });
    Product::template add<PairStride, ColumnStride>(block, sum, own, pairs);
    block.each([&](int thread) {
      for (int s = 0; s < Product::sums; ++s) out[(thread / 32 * 32 + Product::row_of_sum(thread, s)) * 32 + Product::column_of_sum(thread, s)] = sum(thread)[s];
    });
  }
};

template <class Operand, int PairStride, int ColumnStride>
void expect_exact_product() {
  // Whole numbers below 128 are exact in bfloat16, and their products and sums in float.
  std::vector<float> left(64 * 32), right(32 * 32), want(64 * 32);
  for (std::size_t i = 0; i < left.size(); ++i) left[i] = static_cast<float>(i * 37 % 101) - 50;
  for (std::size_t i = 0; i < right.size(); ++i) right[i] = static_cast<float>(i * 53 % 97) - 48;
  for (std::size_t i = 0; i < 64; ++i)
    for (std::size_t j = 0; j < 32; ++j) {
      want[i * 32 + j] = static_cast<float>(i % 32);
      for (std::size_t k = 0; k < 32; ++k) want[i * 32 + j] += left[i * 32 + k] * right[k * 32 + j];
    }
  const auto a = Tensor<float, Cuda>::from_values({64, 32}, std::span<const float>(left)), b = Tensor<float, Cuda>::from_values({32, 32}, std::span<const float>(right));
  const auto out = Tensor<float, Cuda>::zeros({64, 32});
  using Program = Multiply<Operand, PairStride, ColumnStride>;
  detail::launch_blocks(Cuda{}, 1, Program::right_size * sizeof(typename Operand::Pair), Program{a.data(), b.data(), out.data()});
  CHECK(out.to_vector() == want);
}

/// y = x as a TF32 operand.
struct Round {
  static constexpr int threads = 32;
  const float* x;
  float* y;
  template <class Block>
  HLIP_FN void operator()(Block& block) const {
    block.each([&](int thread) {
      const auto pair = detail::Tensorfloat32Operand::pair(x[2 * thread], x[2 * thread + 1]);
      for (int i = 0; i < 2; ++i) y[2 * thread + i] = std::bit_cast<float>(pair.v[i]);
    });
  }
};

template <class Operand>
Outputs attention_on_tensor_cores(const Sizes& s) {
  return Attention::run_by<float, Cuda>(
      s, 4,
      [](const AttentionArgs<float>& a) {
        REQUIRE(detail::fits_tensor_cores(a));
        detail::attention_forward_tensor_cores<Operand>(Cuda{}, a);
      },
      [](const AttentionGradArgs<float>& g) { detail::attention_backward_tensor_cores<Operand>(Cuda{}, g); });
}

/// Sequences, prefix, patches, heads, columns, flags; heads of whole quads.
std::vector<Sizes> attention_sizes() {
  std::vector<Sizes> all;
  for (index_t flags = 0; flags < 4; ++flags)
    for (const Sizes& s : std::vector<Sizes>{{1, 0, 1, 2, 4}, {2, 1, 16, 2, 32}, {2, 2, 65, 1, 20}, {1, 130, 3, 1, 8}, {1, 1, 196, 2, 64}}) {
      all.push_back(s);
      all.back().push_back(flags);
    }
  all.push_back({2, 0, 0, 2, 8, 0});
  return all;
}

/// Roundings of the operands, each half a unit, do not add up to more than one unit of the largest value.
template <class Operand>
void expect_attention_within(double unit) {
  for (const Sizes& s : attention_sizes()) {
    CAPTURE(describe(s));
    const Outputs want = Attention::run_by<double, Reference>(s, 4, [](const AttentionArgs<double>& a) { attention_forward(Reference{}, a); },
                                                              [](const AttentionGradArgs<double>& g) { attention_backward(Reference{}, g); });
    CHECK(difference(attention_on_tensor_cores<Operand>(s), want) <= unit);
  }
}

}  // namespace tensor_cores_test

using namespace tensor_cores_test;

TEST_CASE("tensor cores: products of whole numbers are exact, whichever way the right side lies") {
  expect_exact_product<detail::Bfloat16Operand, 1, 20>();
  expect_exact_product<detail::Bfloat16Operand, 40, 1>();
  expect_exact_product<detail::Tensorfloat32Operand, 1, 20>();
  expect_exact_product<detail::Tensorfloat32Operand, 36, 1>();
}

TEST_CASE("tensor cores: TF32 rounds to 10 bits behind the point, ties away from zero; infinities stay") {
  const float unit = 0x1p-10f, infinity = std::numeric_limits<float>::infinity();
  std::vector<float> x(64, 1), want(64, 1);
  const std::vector<std::array<float, 2>> cases = {{1 + 0.5f * unit, 1 + unit}, {-1 - 0.5f * unit, -1 - unit}, {1 + 0.49f * unit, 1}, {3 - unit, 3}, {3 - 2 * unit, 3 - 2 * unit}, {infinity, infinity}, {-infinity, -infinity}, {0, 0}};
  for (std::size_t i = 0; i < cases.size(); ++i) x[i] = cases[i][0], want[i] = cases[i][1];
  const auto from = Tensor<float, Cuda>::from_values({64}, std::span<const float>(x));
  const auto to = Tensor<float, Cuda>::zeros({64});
  detail::launch_blocks(Cuda{}, 1, 0, Round{from.data(), to.data()});
  CHECK(to.to_vector() == want);
}

TEST_CASE("tensor cores: attention forward and backward agree with the reference as far as the operands go") {
  expect_attention_within<detail::Bfloat16Operand>(0x1p-8);
  expect_attention_within<detail::Tensorfloat32Operand>(0x1p-11);
}

TEST_CASE("tensor cores: attention takes them when products are rounded, and where heads allow it") {
  const Sizes fits = {1, 1, 70, 2, 32, 1}, odd = {1, 1, 70, 1, 31, 1}, wide = {1, 1, 20, 1, 80, 0};
  const auto run = [](const Sizes& s) {
    return Attention::run_by<float, Cuda>(s, 4, [](const AttentionArgs<float>& a) { attention_forward(Cuda{}, a); }, [](const AttentionGradArgs<float>& g) { attention_backward(Cuda{}, g); });
  };
  const Outputs exact_odd = run(odd), exact_wide = run(wide), exact = run(fits);
  if (!has_bfloat16_products(Cuda{})) {
    CHECK_THROWS_AS(set_matrix_precision(Cuda{}, MatrixPrecision::bfloat16), error);
    return;
  }
  set_matrix_precision(Cuda{}, MatrixPrecision::bfloat16);
  const Outputs got = run(fits), got_odd = run(odd), got_wide = run(wide);
  set_matrix_precision(Cuda{}, MatrixPrecision::float32);
  CHECK(difference(got, attention_on_tensor_cores<detail::Bfloat16Operand>(fits)) == 0);
  CHECK(difference(got, exact) > 1e-5);
  CHECK(difference(got_odd, exact_odd) == 0);
  CHECK(difference(got_wide, exact_wide) == 0);
}

TEST_CASE("gemm: of rounded operands, which whole numbers are not, products are exact; a bias may lie anywhere") {
  const index_t m = 72, n = 40, k = 96;
  const auto whole = [](index_t count, int step) {
    std::vector<float> v(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(static_cast<int>(i * static_cast<std::size_t>(step) % 17) - 8);
    return v;
  };
  const std::vector<float> a = whole(m * k, 5), b = whole(k * n, 7), c = whole(m * n, 3), bias = whole(n + 1, 11);
  std::vector<float> want(c);
  for (index_t i = 0; i < m; ++i)
    for (index_t j = 0; j < n; ++j) {
      float& sum = want[static_cast<std::size_t>(i * n + j)];
      sum += bias[static_cast<std::size_t>(j + 1)];
      for (index_t x = 0; x < k; ++x) sum += a[static_cast<std::size_t>(x * m + i)] * b[static_cast<std::size_t>(j * k + x)];
    }
  const auto on_device = [](const std::vector<float>& v) { return Tensor<float, Cuda>::from_values({static_cast<index_t>(v.size())}, std::span<const float>(v)); };
  const auto left = on_device(a), right = on_device(b), added = on_device(bias);
  int precisions = 0;
  for (const auto precision : {MatrixPrecision::float32, MatrixPrecision::bfloat16, MatrixPrecision::tensorfloat32}) {
    if (precision == MatrixPrecision::bfloat16 && !has_bfloat16_products(Cuda{})) continue;
    if (precision == MatrixPrecision::tensorfloat32 && !has_tensorfloat32_products(Cuda{})) continue;
    const auto to = on_device(c);
    GemmArgs<float> g;
    g.m = m, g.n = n, g.k = k, g.a = left.data(), g.lda = m, g.trans_a = true, g.b = right.data(), g.ldb = k, g.trans_b = true, g.c = to.data(), g.ldc = n, g.beta = 1, g.bias = added.data() + 1;
    set_matrix_precision(Cuda{}, precision);
    gemm(Cuda{}, g);
    set_matrix_precision(Cuda{}, MatrixPrecision::float32);
    CHECK(to.to_vector() == want);
    ++precisions;
  }
  CHECK(precisions >= 1);
}

TEST_CASE("attention: heads of more than 64 columns come out alike in one pass and in several") {
  const Sizes wide = {1, 2, 66, 1, 80, 3};
  const auto in_tiles_of = [&]<int Cols>(std::integral_constant<int, Cols>) {
    return Attention::run_by<float, Cuda>(wide, 3, [](const AttentionArgs<float>& a) { detail::attention_forward_scalar<Cols>(Cuda{}, a); },
                                          [](const AttentionGradArgs<float>& g) { detail::attention_backward_scalar<Cols>(Cuda{}, g); });
  };
  CHECK(difference(in_tiles_of(std::integral_constant<int, 64>{}), in_tiles_of(std::integral_constant<int, 128>{})) <= tolerance<float>(Attention::terms(wide)));
}

#endif
