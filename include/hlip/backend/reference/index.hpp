// Reference gather and scatter of rows.
#pragma once

#include <hlip/backend/index_check.hpp>
#include <hlip/backend/reference/memory.hpp>

#include <algorithm>
#include <type_traits>
#include <vector>

HLIP_BEGIN

/// out (n, cols): row i is row index[i] of table (table_rows, cols).
/// @throws hlip::error if an index is outside the table
template <class T>
void gather_rows(Reference, const T* table, const std::int64_t* index, T* out, index_t n,
                 index_t cols, index_t table_rows) {
  detail::expect_row_indices("gather_rows", index, n, table_rows);
  for (index_t i = 0; i < n; ++i)
    std::copy(table + index[i] * cols, table + (index[i] + 1) * cols, out + i * cols);
}

/// Adds row i of rows (n, cols) to row index[i] of table (table_rows, cols).
/// @throws hlip::error if an index is outside the table
template <class T>
void scatter_add_rows(Reference, const T* rows, const std::int64_t* index, T* table, index_t n,
                      index_t cols, index_t table_rows) {
  detail::expect_row_indices("scatter_add_rows", index, n, table_rows);
  using Wide = std::conditional_t<std::is_floating_point_v<T>, double, T>;
  std::vector<Wide> sum(table, table + table_rows * cols);
  for (index_t i = 0; i < n; ++i)
    for (index_t c = 0; c < cols; ++c)
      sum[static_cast<std::size_t>(index[i] * cols + c)] += static_cast<Wide>(rows[i * cols + c]);
  for (std::size_t i = 0; i < sum.size(); ++i) table[i] = static_cast<T>(sum[i]);
}

HLIP_END
