// Gathering and scattering rows on the CPU: embeddings, kept patch tokens, and their gradients.
#pragma once

#include <hlip/backend/cpu/memory.hpp>
#include <hlip/backend/index_check.hpp>

#include <algorithm>

HLIP_BEGIN

/// out (n, cols): row i is row index[i] of table (table_rows, cols).
/// @throws hlip::error if an index is outside the table
template <class T>
void gather_rows(Cpu, const T* table, const std::int64_t* index, T* out, index_t n, index_t cols,
                 index_t table_rows) {
  detail::expect_row_indices("gather_rows", index, n, table_rows);
#pragma omp parallel for schedule(static) if (n > 1 && n * cols > 65536)
  for (index_t i = 0; i < n; ++i)
    std::copy(table + index[i] * cols, table + (index[i] + 1) * cols, out + i * cols);
}

/// Adds row i of rows (n, cols) to row index[i] of table (table_rows, cols); rows that share a
/// destination are added in order of i, whoever does it: threads own columns.
/// @throws hlip::error if an index is outside the table
template <class T>
void scatter_add_rows(Cpu, const T* rows, const std::int64_t* index, T* table, index_t n,
                      index_t cols, index_t table_rows) {
  detail::expect_row_indices("scatter_add_rows", index, n, table_rows);
  constexpr index_t width = 64;
  const index_t strips = (cols + width - 1) / width;
#pragma omp parallel for schedule(static) if (strips > 1 && n * cols > 65536)
  for (index_t strip = 0; strip < strips; ++strip) {
    const index_t begin = strip * width, end = std::min(cols, begin + width);
    for (index_t i = 0; i < n; ++i) {
      T* to = table + index[i] * cols;
      const T* from = rows + i * cols;
      for (index_t c = begin; c < end; ++c) to[c] += from[c];
    }
  }
}

HLIP_END
