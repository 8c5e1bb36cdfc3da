// Products and attention on tensor cores (backend/cuda/tensor_cores.hpp), in the builds that have
// the Cuda backend.
#if defined(HLIP_WITH_DEVICE)

#include "conformance_matrix_ops.hpp"

#include <hlip/tensor/tensor.hpp>

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

using namespace conformance;

namespace tensor_cores_test {

/// How right (32, 32) gets to shared memory for a way it may lie there.
template <class Right> struct Layout;
template <class Operand, int PairStride, int ColumnStride>
struct Layout<detail::InPairs<Operand, PairStride, ColumnStride>> {
  static constexpr int size = 16 * PairStride + 32 * ColumnStride;
  HLIP_FN static void put(int thread, int threads, const float* right, typename Operand::Pair* to) {
    for (int i = thread; i < 16 * 32; i += threads)
      to[i / 32 * PairStride + i % 32 * ColumnStride] = Operand::pair(
          right[i / 32 * 2 * 32 + i % 32], right[(i / 32 * 2 + 1) * 32 + i % 32]);
  }
};
template <int Ld> struct Layout<detail::RowMajor<Ld>> {
  static constexpr int size = 32 * Ld;
  HLIP_FN static void put(int thread, int threads, const float* right, bfloat16* to) {
    for (int i = thread; i < 32 * 32; i += threads) to[i / 32 * Ld + i % 32] = bfloat16(right[i]);
  }
};
template <int Ld> struct Layout<detail::Transposed<Ld>> {
  static constexpr int size = 32 * Ld;
  HLIP_FN static void put(int thread, int threads, const float* right, bfloat16* to) {
    for (int i = thread; i < 32 * 32; i += threads) to[i % 32 * Ld + i / 32] = bfloat16(right[i]);
  }
};

/// out = start + left · right; two warps have 32 rows of left (64, 32) each and share right (32,
/// 32), of which they take `columns` columns and `terms` rows.
template <class Operand, class Right> struct Multiply {
  using Product = detail::WarpProduct<Operand, 2, 4, 2>;
  using Pair = typename Operand::Pair;
  using Element = typename Right::Element;
  static constexpr int threads = 64;
  static constexpr std::size_t shared_bytes = sizeof(Element) * Layout<Right>::size;
  const float *left, *right;
  float* out;
  int columns, terms;

  template <class Block> HLIP_FN void operator()(Block& block) const {
    Element* in_block = block.template shared<Element>(Layout<Right>::size);
    auto own = block.template per_thread<Pair, Product::operands>();
    auto sum = block.template per_thread<float, Product::sums>();
    block.phase([&](int thread) {
      Layout<Right>::put(thread, threads, right, in_block);
      for (int p = 0; p < Product::operands; ++p) {
        const float* at = left + (thread / 32 * 32 + Product::row_of_left(thread, p)) * 32 +
                          2 * Product::pair_of_left(thread, p);
        own(thread)[p] = Operand::pair(at[0], at[1]);
      }
      for (int s = 0; s < Product::sums; ++s)
        sum(thread)[s] = static_cast<float>(Product::row_of_sum(thread, s));
    });
    Product::template add<Right>(block, sum, own, in_block, columns, terms);
    block.each([&](int thread) {
      for (int s = 0; s < Product::sums; ++s)
        out[(thread / 32 * 32 + Product::row_of_sum(thread, s)) * 32 +
            Product::column_of_sum(thread, s)] = sum(thread)[s];
    });
  }
};

template <class Operand, class Right> void expect_exact_product() {
  for (const auto& [columns, terms] :
       std::vector<std::array<int, 2>>{{32, 32}, {15, 32}, {32, 1}, {0, 32}}) {
    CAPTURE(columns);
    CAPTURE(terms);
    const std::size_t wide = static_cast<std::size_t>(columns + 15) / 16 * 16,
                      deep = static_cast<std::size_t>(terms + 15) / 16 * 16;
    // Whole numbers below 128 are exact in bfloat16, and their products and sums in float.
    std::vector<float> left(64 * 32), right(32 * 32), want(64 * 32);
    for (std::size_t i = 0; i < left.size(); ++i) left[i] = static_cast<float>(i * 37 % 101) - 50;
    for (std::size_t i = 0; i < right.size(); ++i) right[i] = static_cast<float>(i * 53 % 97) - 48;
    for (std::size_t i = 0; i < 64; ++i)
      for (std::size_t j = 0; j < 32; ++j) {
        want[i * 32 + j] = static_cast<float>(i % 32);
        for (std::size_t k = 0; j < wide && k < deep; ++k)
          want[i * 32 + j] += left[i * 32 + k] * right[k * 32 + j];
      }
    const auto a = Tensor<float, Cuda>::from_values({64, 32}, std::span<const float>(left)),
               b = Tensor<float, Cuda>::from_values({32, 32}, std::span<const float>(right));
    const auto out = Tensor<float, Cuda>::zeros({64, 32});
    using Program = Multiply<Operand, Right>;
    detail::launch_blocks(Cuda{}, 1, Program::shared_bytes,
                          Program{a.data(), b.data(), out.data(), columns, terms});
    CHECK(out.to_vector() == want);
  }
}

/// Thread t copies 16 bytes, and 4 behind those of all threads; what is not `there` (every third)
/// has to become zeros. Two groups, so that the first is waited for alone.
struct Copy {
  static constexpr int threads = 64;
  const float *wide, *narrow;
  float* to;
  template <class Block> HLIP_FN void operator()(Block& block) const {
    float* here = block.template shared<float>(5 * threads);
    block.phase([&](int thread) {
      for (int i = 0; i < 5; ++i) here[5 * thread + i] = -1;
    });
    block.each([&](int thread) {
      const bool there = thread % 3 != 0;
      detail::copy_async<16>(here + 4 * thread, wide + (there ? 4 * thread : 0), there);
      detail::commit_copies();
      detail::copy_async<4>(here + 4 * threads + thread, narrow + (there ? thread : 0), there);
      detail::commit_copies();
    });
    block.phase([](int) { detail::wait_for_copies<1>(); });
    block.each([&](int thread) {
      for (int i = 0; i < 4; ++i) to[4 * thread + i] = here[4 * ((thread + 1) % threads) + i];
    });
    block.phase([](int) { detail::wait_for_copies<0>(); });
    block.each(
        [&](int thread) { to[4 * threads + thread] = here[4 * threads + (thread + 1) % threads]; });
  }
};

/// Only the first warp counts.
struct FirstWarp {
  static constexpr int threads = 96;
  float* to;
  template <class Block> HLIP_FN void operator()(Block& block) const {
    auto sum = block.template per_thread<float, 1>();
    block.first_threads(32, [&] {
      block.each([&](int thread) { sum(thread)[0] = static_cast<float>(thread + 1); });
      block.template reduce<32>(sum, detail::Plus{});
    });
    block.each([&](int thread) { to[thread] = sum(thread)[0]; });
  }
};

/// y = x as a TF32 operand.
struct Round {
  static constexpr int threads = 32;
  const float* x;
  float* y;
  template <class Block> HLIP_FN void operator()(Block& block) const {
    block.each([&](int thread) {
      const auto pair = detail::Tensorfloat32Operand::pair(x[2 * thread], x[2 * thread + 1]);
      for (int i = 0; i < 2; ++i) y[2 * thread + i] = std::bit_cast<float>(pair.v[i]);
    });
  }
};

template <class Operand, class S = float> Outputs attention_on_tensor_cores(const Sizes& s) {
  return Attention::run_by<float, Cuda, S>(
      s, detail::at_once<S>,
      [](const AttentionArgs<float, S>& a) {
        REQUIRE(detail::fits_tensor_cores(a));
        detail::attention_forward_tensor_cores<Operand>(Cuda{}, a);
      },
      [](const AttentionGradArgs<float, S>& g) {
        REQUIRE(detail::fits_tensor_cores(g));
        detail::attention_backward_tensor_cores<Operand>(Cuda{}, g);
      });
}
/// In double, on rows that are rounded first.
template <class Rounded> Outputs attention_in_double(const Sizes& s, index_t slack) {
  return Attention::run_by<double, Reference, double, Rounded>(
      s, slack, [](const AttentionArgs<double>& a) { attention_forward(Reference{}, a); },
      [](const AttentionGradArgs<double>& g) { attention_backward(Reference{}, g); });
}
Outputs stored_attention(const Sizes& s, index_t slack) {
  return Attention::run_by<float, Cuda, bfloat16>(
      s, slack, [](const AttentionArgs<float, bfloat16>& a) { attention_forward(Cuda{}, a); },
      [](const AttentionGradArgs<float, bfloat16>& g) { attention_backward(Cuda{}, g); });
}

/// Sequences, prefix, patches, heads, columns, flags; heads of whole quads, or of eights.
std::vector<Sizes> attention_sizes(index_t multiple = 4) {
  std::vector<Sizes> all;
  for (index_t flags = 0; flags < 4; ++flags)
    for (const Sizes& s : std::vector<Sizes>{{1, 0, 1, 2, 4},
                                             {2, 1, 16, 2, 32},
                                             {2, 2, 65, 1, 20},
                                             {1, 130, 3, 1, 8},
                                             {1, 1, 196, 2, 64}}) {
      all.push_back(s);
      all.back()[4] = (s[4] + multiple - 1) / multiple * multiple;
      all.back().push_back(flags);
    }
  all.push_back({2, 0, 0, 2, 8, 0});
  return all;
}

/// Roundings of the operands, each half a unit, do not add up to more than one unit of the largest
/// value.
template <class Operand> void expect_attention_within(double unit) {
  for (const Sizes& s : attention_sizes()) {
    CAPTURE(describe(s));
    CHECK(difference(attention_on_tensor_cores<Operand>(s), attention_in_double<double>(s, 4)) <=
          unit);
  }
}

// In bfloat16 the rows are exact, as the reference gets the same. What is rounded is as above: the
// operands of the second products, and `out`, of which the backward pass takes Σ out · d_out.
// Results are rounded once more, by half a unit, 2^-9, of their own.
constexpr double stored_unit = 0x1p-8 + 0x1p-9;

}  // namespace tensor_cores_test

using namespace tensor_cores_test;

TEST_CASE("tensor cores: products of whole numbers are exact, whichever way the right side lies") {
  expect_exact_product<detail::Bfloat16Operand, detail::InPairs<detail::Bfloat16Operand, 1, 20>>();
  expect_exact_product<detail::Bfloat16Operand, detail::InPairs<detail::Bfloat16Operand, 40, 1>>();
  expect_exact_product<detail::Tensorfloat32Operand,
                       detail::InPairs<detail::Tensorfloat32Operand, 1, 20>>();
  expect_exact_product<detail::Tensorfloat32Operand,
                       detail::InPairs<detail::Tensorfloat32Operand, 36, 1>>();
  expect_exact_product<detail::Bfloat16Operand, detail::RowMajor<40>>();
  expect_exact_product<detail::Bfloat16Operand, detail::Transposed<40>>();
}

TEST_CASE("tensor cores: asynchronous copies arrive, with zeros for what is not there") {
  std::vector<float> wide(256), narrow(64), want(320);
  for (std::size_t i = 0; i < wide.size(); ++i) wide[i] = static_cast<float>(i + 1);
  for (std::size_t i = 0; i < narrow.size(); ++i) narrow[i] = -static_cast<float>(i + 1);
  for (std::size_t t = 0; t < 64; ++t) {
    const std::size_t from = (t + 1) % 64;
    for (std::size_t i = 0; i < 4; ++i) want[4 * t + i] = from % 3 ? wide[4 * from + i] : 0;
    want[256 + t] = from % 3 ? narrow[from] : 0;
  }
  const auto a = Tensor<float, Cuda>::from_values({256}, std::span<const float>(wide)),
             b = Tensor<float, Cuda>::from_values({64}, std::span<const float>(narrow));
  const auto to = Tensor<float, Cuda>::zeros({320});
  detail::launch_blocks(Cuda{}, 1, sizeof(float) * 5 * Copy::threads,
                        Copy{a.data(), b.data(), to.data()});
  CHECK(to.to_vector() == want);
}

TEST_CASE("blocks: of the first threads only, the others keep what they have") {
  const auto to = Tensor<float, Cuda>::zeros({FirstWarp::threads});
  detail::launch_blocks(Cuda{}, 1, 0, FirstWarp{to.data()});
  std::vector<float> want(FirstWarp::threads, 0);
  for (std::size_t i = 0; i < 32; ++i) want[i] = 32 * 33 / 2;
  CHECK(to.to_vector() == want);
}

TEST_CASE(
    "tensor cores: TF32 rounds to 10 bits behind the point, ties away from zero; infinities stay") {
  const float unit = 0x1p-10f, infinity = std::numeric_limits<float>::infinity();
  std::vector<float> x(64, 1), want(64, 1);
  const std::vector<std::array<float, 2>> cases = {
      {1 + 0.5f * unit, 1 + unit},  {-1 - 0.5f * unit, -1 - unit},
      {1 + 0.49f * unit, 1},        {3 - unit, 3},
      {3 - 2 * unit, 3 - 2 * unit}, {infinity, infinity},
      {-infinity, -infinity},       {0, 0}};
  for (std::size_t i = 0; i < cases.size(); ++i) x[i] = cases[i][0], want[i] = cases[i][1];
  const auto from = Tensor<float, Cuda>::from_values({64}, std::span<const float>(x));
  const auto to = Tensor<float, Cuda>::zeros({64});
  detail::launch_blocks(Cuda{}, 1, 0, Round{from.data(), to.data()});
  CHECK(to.to_vector() == want);
}

TEST_CASE(
    "tensor cores: attention forward and backward agree with the reference as far as the operands "
    "go") {
  expect_attention_within<detail::Bfloat16Operand>(0x1p-8);
  expect_attention_within<detail::Tensorfloat32Operand>(0x1p-11);
}

TEST_CASE(
    "tensor cores: attention of rows in bfloat16 agrees with the reference on the same rows") {
  for (const Sizes& s : attention_sizes(8)) {
    CAPTURE(describe(s));
    CHECK(difference(attention_on_tensor_cores<detail::Bfloat16Operand, bfloat16>(s),
                     attention_in_double<bfloat16>(s, 8)) <= stored_unit);
  }
}

TEST_CASE(
    "tensor cores: attention of rows in bfloat16 that do not fit is converted; also where it lies "
    "on other bytes") {
  for (const auto& [s, slack] : std::vector<std::pair<Sizes, index_t>>{{{1, 1, 40, 1, 80, 3}, 8},
                                                                       {{2, 1, 40, 2, 36, 1}, 8},
                                                                       {{1, 2, 70, 2, 64, 2}, 3},
                                                                       {{2, 0, 0, 2, 8, 0}, 8},
                                                                       {{2, 1, 30, 2, 32, 3}, 8}}) {
    CAPTURE(describe(s));
    CHECK(difference(stored_attention(s, slack), attention_in_double<bfloat16>(s, slack)) <=
          stored_unit);
  }
}

TEST_CASE(
    "tensor cores: keys that no query sees come out as zeros, however unlikely their scores would "
    "be") {
  // Scores of the visible keys are far below zero, so that 2^-lse overflows: hidden keys, and those
  // beyond the last, must not bring in infinities.
  const index_t tokens = 70, dim = 16, n = tokens * dim;
  std::vector<bfloat16> ones(static_cast<std::size_t>(n)), far(static_cast<std::size_t>(n));
  std::vector<std::uint8_t> visible(static_cast<std::size_t>(tokens), 1);
  visible[3] = 0;
  for (std::size_t i = 0; i < ones.size(); ++i)
    ones[i] = bfloat16(1.0f), far[i] = bfloat16(i / 16 == 3 ? 0.0f : -16.0f);
  const Buffer<bfloat16, Cuda> q(ones), k(far), v(ones), d_out(ones), out(n), dq(n), dk(n), dv(n);
  const Buffer<float, Cuda> lse(tokens);
  const Buffer<std::uint8_t, Cuda> mask(visible);
  AttentionGradArgs<float, bfloat16> g;
  AttentionArgs<float, bfloat16>& a = g.forward;
  const auto read = [&](const Buffer<bfloat16, Cuda>& x) {
    return TokenRows<const bfloat16>{x.data(), x.data(), dim};
  };
  const auto write = [&](const Buffer<bfloat16, Cuda>& x) {
    return TokenRows<bfloat16>{x.data(), x.data(), dim};
  };
  a.sequences = 1, a.patches = tokens, a.heads = 1, a.head_dim = dim, a.lse = lse,
  a.key_mask = mask;
  a.q = read(q), a.k = read(k), a.v = read(v), a.out = write(out), g.d_out = read(d_out),
  g.dq = write(dq), g.dk = write(dk), g.dv = write(dv);
  detail::attention_forward_tensor_cores<detail::Bfloat16Operand>(Cuda{}, a);
  detail::attention_backward_tensor_cores<detail::Bfloat16Operand>(Cuda{}, g);
  for (const double x : out.values()) CHECK(x == 1);
  for (const double x : dq.values()) CHECK(std::abs(x) <= 0x1p-8);
  const std::vector<double> keys = dk.values(), values = dv.values();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    CHECK(std::abs(keys[i]) <= 0x1p-8);
    if (i / 16 == 3) CHECK(values[i] == 0);
    else CHECK(std::abs(values[i] - 70.0 / 69) <= 0x1p-7);
  }
}

TEST_CASE(
    "tensor cores: attention takes them when products are rounded, and where heads allow it") {
  const Sizes fits = {1, 1, 70, 2, 32, 1}, odd = {1, 1, 70, 1, 31, 1}, wide = {1, 1, 20, 1, 80, 0};
  const auto run = [](const Sizes& s) {
    return Attention::run_by<float, Cuda>(
        s, 4, [](const AttentionArgs<float>& a) { attention_forward(Cuda{}, a); },
        [](const AttentionGradArgs<float>& g) { attention_backward(Cuda{}, g); });
  };
  const Outputs exact_odd = run(odd), exact_wide = run(wide), exact = run(fits);
  if (!has_bfloat16_products(Cuda{})) {
    CHECK_THROWS_AS(set_matrix_precision(Cuda{}, MatrixPrecision::bfloat16), error);
    return;
  }
  set_matrix_precision(Cuda{}, MatrixPrecision::bfloat16);
  const Outputs got = run(fits), got_odd = run(odd), got_wide = run(wide);
  set_matrix_precision(Cuda{}, MatrixPrecision::float32);
  CHECK(difference(stored_attention(fits, 8),
                   attention_on_tensor_cores<detail::Bfloat16Operand, bfloat16>(fits)) == 0);
  CHECK(difference(got, attention_on_tensor_cores<detail::Bfloat16Operand>(fits)) == 0);
  CHECK(difference(got, exact) > 1e-5);
  CHECK(difference(got_odd, exact_odd) == 0);
  CHECK(difference(got_wide, exact_wide) == 0);
}

TEST_CASE(
    "gemm: of rounded operands, which whole numbers are not, products are exact; a bias may lie "
    "anywhere") {
  const index_t m = 72, n = 40, k = 96;
  const auto whole = [](index_t count, int step) {
    std::vector<float> v(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < v.size(); ++i)
      v[i] = static_cast<float>(static_cast<int>(i * static_cast<std::size_t>(step) % 17) - 8);
    return v;
  };
  const std::vector<float> a = whole(m * k, 5), b = whole(k * n, 7), c = whole(m * n, 3),
                           bias = whole(n + 1, 11);
  std::vector<float> want(c);
  for (index_t i = 0; i < m; ++i)
    for (index_t j = 0; j < n; ++j) {
      float& sum = want[static_cast<std::size_t>(i * n + j)];
      sum += bias[static_cast<std::size_t>(j + 1)];
      for (index_t x = 0; x < k; ++x)
        sum += a[static_cast<std::size_t>(x * m + i)] * b[static_cast<std::size_t>(j * k + x)];
    }
  const auto on_device = [](const std::vector<float>& v) {
    return Tensor<float, Cuda>::from_values({static_cast<index_t>(v.size())},
                                            std::span<const float>(v));
  };
  const auto left = on_device(a), right = on_device(b), added = on_device(bias);
  int precisions = 0;
  for (const auto precision :
       {MatrixPrecision::float32, MatrixPrecision::bfloat16, MatrixPrecision::tensorfloat32}) {
    if (precision == MatrixPrecision::bfloat16 && !has_bfloat16_products(Cuda{})) continue;
    if (precision == MatrixPrecision::tensorfloat32 && !has_tensorfloat32_products(Cuda{}))
      continue;
    const auto to = on_device(c);
    GemmArgs<float> g;
    g.m = m, g.n = n, g.k = k, g.a = left.data(), g.lda = m, g.trans_a = true, g.b = right.data(),
    g.ldb = k, g.trans_b = true, g.c = to.data(), g.ldc = n, g.beta = 1, g.bias = added.data() + 1;
    set_matrix_precision(Cuda{}, precision);
    gemm(Cuda{}, g);
    set_matrix_precision(Cuda{}, MatrixPrecision::float32);
    CHECK(to.to_vector() == want);
    ++precisions;
  }
  CHECK(precisions >= 1);
}

TEST_CASE("gemm: results in bfloat16 take bias, residual and GELU along") {
  const index_t m = 24, n = 16, k = 8;
  const auto small = [](index_t count, std::size_t step) {
    std::vector<float> v(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < v.size(); ++i)
      v[i] = static_cast<float>(static_cast<int>(i * step % 5) - 2);
    return v;
  };
  const std::vector<float> a = small(m * k, 3), b = small(n * k, 7), bias = small(n, 2),
                           residual = small(m * n, 11);
  const auto stored = [](const std::vector<float>& v) {
    return Tensor<float, Cuda>::from_values({static_cast<index_t>(v.size())},
                                            std::span<const float>(v))
        .to<bfloat16>();
  };
  const auto left = stored(a), right = stored(b), added = stored(residual);
  const auto row = Tensor<float, Cuda>::from_values({n}, std::span<const float>(bias));
  for (const bool gelu_after : {false, true})
    for (const bool with_residual : {false, true})
      for (const bool keep : {false, true}) {
        const auto c = Tensor<bfloat16, Cuda>::zeros({m * n}),
                   pre = Tensor<bfloat16, Cuda>::zeros({m * n});
        GemmArgs<float, bfloat16, bfloat16> g;
        g.m = m, g.n = n, g.k = k, g.a = left.data(), g.lda = k, g.b = right.data(), g.ldb = k,
        g.trans_b = true, g.c = c.data(), g.ldc = n, g.bias = row.data();
        if (gelu_after) g.activation = Activation::gelu;
        if (keep) g.pre_activation = pre.data();
        if (with_residual) g.residual = added.data();
        gemm(Cuda{}, g);
        const auto got = c.to<float>().to_vector(), before = pre.to<float>().to_vector();
        double worst = 0;
        for (std::size_t i = 0; i < got.size(); ++i) {
          double want = bias[i % 16];
          for (std::size_t x = 0; x < 8; ++x) want += a[i / 16 * 8 + x] * b[i % 16 * 8 + x];
          if (keep) CHECK(before[i] == want);
          if (gelu_after) want *= 0.5 * (1 + std::erf(want / std::sqrt(2.0)));
          if (with_residual) want += residual[i];
          worst = std::max(worst, std::abs(got[i] - want) / (std::abs(want) + 1e-3));
        }
        CHECK(worst <= 0x1p-8);
      }
}

TEST_CASE("attention: heads of more than 64 columns come out alike in one pass and in several") {
  const Sizes wide = {1, 2, 66, 1, 80, 3};
  const auto in_tiles_of = [&]<int Cols>(std::integral_constant<int, Cols>) {
    return Attention::run_by<float, Cuda>(
        wide, 3,
        [](const AttentionArgs<float>& a) { detail::attention_forward_scalar<Cols>(Cuda{}, a); },
        [](const AttentionGradArgs<float>& g) {
          detail::attention_backward_scalar<Cols>(Cuda{}, g);
        });
  };
  CHECK(difference(in_tiles_of(std::integral_constant<int, 64>{}),
                   in_tiles_of(std::integral_constant<int, 128>{})) <=
        tolerance<float>(Attention::terms(wide)));
}

#endif
