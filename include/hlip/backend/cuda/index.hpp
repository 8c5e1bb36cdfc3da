// Gathering and scattering rows: embeddings, kept patch tokens, and their gradients.
#pragma once

#include <hlip/backend/cuda/index_check.hpp>
#include <hlip/backend/cuda/loop.hpp>
#include <hlip/backend/cuda/memory.hpp>
#include <hlip/tensor/dtype.hpp>

#include <cstdint>
#include <type_traits>

HLIP_BEGIN

namespace detail {

template <class T>
struct GatherElement {
  const T* table;
  const std::int64_t* index;
  T* out;
  index_t cols, table_rows;
  HLIP_FN void operator()(index_t element) const {
    const index_t row = quotient(element, cols);
    out[element] = is_inside(index[row], table_rows) ? table[index[row] * cols + element - row * cols] : T{};
  }
};

/// Element (p, c): if place p begins a run of equal destinations in sorted order, adds column c of all rows of the run.
template <class T>
struct ScatterRun {
  const T* rows;
  const std::int64_t *destination, *source;  // sorted by destination, rows of one destination in their order
  T* table;
  index_t n, cols, table_rows;
  HLIP_FN void operator()(index_t element) const {
    const index_t p = quotient(element, cols), c = element - p * cols;
    if (!is_inside(destination[p], table_rows)) return;
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
/// An index outside the table gives zeros, and an error when the host reads a value the next time.
template <class T>
void gather_rows(Cuda, const T* table, const std::int64_t* index, T* out, index_t n, index_t cols, index_t table_rows) {
  detail::note_outside(Cuda{}, "gather_rows", index, n, table_rows);
  for_each_index(Cuda{}, n * cols, detail::GatherElement<T>{table, index, out, cols, table_rows});
}

/// Adds row i of rows (n, cols) to row index[i] of table (table_rows, cols); rows that share a destination are added in order of i.
/// An index outside the table adds nothing, and gives an error when the host reads a value the next time.
template <class T>
void scatter_add_rows(Cuda, const T* rows, const std::int64_t* index, T* table, index_t n, index_t cols, index_t table_rows) {
  detail::note_outside(Cuda{}, "scatter_add_rows", index, n, table_rows);
  if (n <= 0 || cols <= 0) return;
  const detail::CudaScratch<std::int64_t> destination(n), source(n);
  copy_strided(Cuda{}, Shape{n}, destination.data(), Shape{1}, index, Shape{1});
  detail::sort_rows(destination.data(), source.data(), n);
  for_each_index(Cuda{}, n * cols, detail::ScatterRun<T>{rows, destination.data(), source.data(), table, n, cols, table_rows});
}

HLIP_END
