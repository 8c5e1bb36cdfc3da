// Matrix products whose operands are stored in bfloat16 while they are multiplied: both are rounded
// as they are packed. Sums are float.
#pragma once

#include <hlip/backend/cpu/bfloat16_products.hpp>
#include <hlip/backend/cpu/packed_gemm.hpp>

HLIP_BEGIN

namespace detail {

/// gemm with operands rounded to bfloat16. Two elements of K lie in a float, and a block of K has
/// twice the float kernel's in the same bytes.
HLIP_LAZY void bfloat16_gemm(const GemmArgs<float>& g) {
  const auto a = [](index_t k, index_t rows, const float* from, index_t ld, bool trans, float* to) {
    pack_bfloat16_pairs(k, rows, from, ld, !trans, to, rows);
  };
  const auto b = [](index_t k, index_t cols, const float* from, index_t ld, bool trans, float* to) {
    pack_bfloat16_pairs(k, cols, from, ld, trans, to, tile_cols<float>);
  };
  packed_gemm(g, Packing<float>{packed_chunk, 512, 2, 0, a, b, bfloat16_tile_products});
}

}  // namespace detail

HLIP_END
