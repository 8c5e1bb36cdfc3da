// The precision of matrix products by its name, and whether to multiply in bfloat16: a question to
// this machine, not to a table of processors.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/tensor/tensor.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>

HLIP_BEGIN

/// Whether matrix products with operands rounded to bfloat16 are at least a tenth faster here,
/// measured on a product as a vision transformer has it, with so many rows that it takes a
/// millisecond; false where there are none. Takes a few hundredths of a second; the precision is as
/// before afterwards.
template <class B = Cpu> bool bfloat16_is_faster() {
  if (!has_bfloat16_products(B{})) return false;
  const MatrixPrecision before = matrix_precision(B{});
  std::array<double, 2> best{};
  for (index_t m = 1024; best[0] < 1e-3 && m <= 65536; m *= 4) {
    const index_t n = 768, k = 768;
    const auto a = Tensor<float, B>::ones({m, k}), b = Tensor<float, B>::ones({n, k}),
               c = Tensor<float, B>::empty({m, n});
    GemmArgs<float> g;
    g.m = m, g.n = n, g.k = k, g.a = a.data(), g.lda = k, g.b = b.data(), g.ldb = k,
    g.trans_b = true, g.c = c.data(), g.ldc = n;
    best = {1e9, 1e9};
    // The first round warms up; they take turns, because machines change speed
    for (int round = 0; round < 6; ++round)
      for (const std::size_t p : {std::size_t{0}, std::size_t{1}}) {
        set_matrix_precision(B{}, p == 1 ? MatrixPrecision::bfloat16 : MatrixPrecision::float32);
        const auto start = std::chrono::steady_clock::now();
        gemm(B{}, g);
        static_cast<void>(c.at({0, 0}));  // waits for a device
        if (round > 0)
          best[p] = std::min(
              best[p],
              std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      }
  }
  set_matrix_precision(B{}, before);
  return best[1] < 0.9 * best[0];
}

/// Sets what matrix products round their operands to.
/// @param precision fp32, tf32, bf16 or auto (bf16 where it is faster)  @return which of the first
/// three it is now
/// @throws hlip::error if the backend has no such products
template <class B> std::string use_precision(B b, const std::string& precision) {
  const bool bf16 = precision == "bf16" || (precision == "auto" && bfloat16_is_faster<B>()),
             tf32 = precision == "tf32";
  set_matrix_precision(b, bf16   ? MatrixPrecision::bfloat16
                          : tf32 ? MatrixPrecision::tensorfloat32
                                 : MatrixPrecision::float32);
  return bf16 ? "bf16" : tf32 ? "tf32" : "fp32";
}

HLIP_END
