// Gathering and scattering rows: embeddings, kept patch tokens, and their gradients.
#pragma once

#include <hlip/backend/cuda/loop.hpp>
#include <hlip/backend/cuda/memory.hpp>
#include <hlip/backend/index_check.hpp>
#include <hlip/tensor/dtype.hpp>

#include <cstdint>
#include <type_traits>

HLIP_BEGIN

namespace detail {

/// Throws for the first index outside the table. On a GPU this waits for the indices: they are few, and an index that is wrong would
/// read somebody else's memory.
inline void expect_row_indices(Cuda, std::string_view operation, const std::int64_t* index, index_t n, index_t table_rows) {
  on_host(index, n, [&](const std::int64_t* host) { expect_row_indices(operation, host, n, table_rows); });
}

template <class T>
struct GatherElement {
  const T* table;
  const std::int64_t* index;
  T* out;
  index_t cols;
  HLIP_FN void operator()(index_t element) const {
    const index_t row = quotient(element, cols);
    out[element] = table[index[row] * cols + element - row * cols];
  }
};

/// Element (p, c): if place p begins a run of equal destinations in sorted order, adds column c of all rows of the run.
template <class T>
struct ScatterRun {
  const T* rows;
  const std::int64_t *destination, *source;  // sorted by destination, rows of one destination in their order
  T* table;
  index_t n, cols;
  HLIP_FN void operator()(index_t element) const {
    const index_t p = quotient(element, cols), c = element - p * cols;
    if (p > 0 && destination[p] == destination[p - 1]) return;
    using Wide = std::conditional_t<std::is_floating_point_v<T>, double, T>;
    T& to = table[destination[p] * cols + c];
    Wide sum = static_cast<Wide>(to);
    for (index_t q = p; q < n && destination[q] == destination[p]; ++q) sum += static_cast<Wide>(rows[source[q] * cols + c]);
    to = static_cast<T>(sum);
  }
};

}  // namespace detail

/// out (n, cols): row i is row index[i] of table (table_rows, cols).
/// @throws hlip::error if an index is outside the table
template <class T>
void gather_rows(Cuda, const T* table, const std::int64_t* index, T* out, index_t n, index_t cols, index_t table_rows) {
  detail::expect_row_indices(Cuda{}, "gather_rows", index, n, table_rows);
  for_each_index(Cuda{}, n * cols, detail::GatherElement<T>{table, index, out, cols});
}

/// Adds row i of rows (n, cols) to row index[i] of table (table_rows, cols); rows that share a destination are added in order of i.
/// @throws hlip::error if an index is outside the table
template <class T>
void scatter_add_rows(Cuda, const T* rows, const std::int64_t* index, T* table, index_t n, index_t cols, index_t table_rows) {
  detail::expect_row_indices(Cuda{}, "scatter_add_rows", index, n, table_rows);
  if (n <= 0 || cols <= 0) return;
  const detail::CudaScratch<std::int64_t> destination(n), source(n);
  copy_strided(Cuda{}, Shape{n}, destination.data(), Shape{1}, index, Shape{1});
  detail::sort_rows(destination.data(), source.data(), n);
  for_each_index(Cuda{}, n * cols, detail::ScatterRun<T>{rows, destination.data(), source.data(), table, n, cols});
}

HLIP_END
