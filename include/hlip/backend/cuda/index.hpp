// Gathering and scattering rows: embeddings, kept patch tokens, and their gradients.
#pragma once

#include <hlip/backend/cuda/index_check.hpp>
#include <hlip/backend/cuda/loop.hpp>
#include <hlip/backend/cuda/memory.hpp>
#include <hlip/backend/cuda/thrust.hpp>
#include <hlip/tensor/dtype.hpp>

#include <cstdint>
#include <type_traits>

HLIP_BEGIN

namespace detail {

template <class T> struct GatherElement {
  const T* table;
  const std::int64_t* index;
  T* out;
  index_t cols, table_rows;
  HLIP_FN void operator()(index_t element) const {
    const index_t row = quotient(element, cols);
    out[element] = is_inside(index[row], table_rows)
                       ? table[index[row] * cols + element - row * cols]
                       : T{};
  }
};

/// Places of a sorted list that one thread walks along.
inline constexpr index_t scatter_places = 64;

/// Where rows go, sorted by destination, rows of one destination in their order.
struct SortedRows {
  const std::int64_t *destination, *source;
  index_t n, cols, table_rows;
  HLIP_FN index_t pieces() const { return (n + scatter_places - 1) / scatter_places; }
  HLIP_FN index_t end_of(index_t piece) const {
    return piece + 1 < pieces() ? (piece + 1) * scatter_places : n;
  }
  /// Adds to column c of a row of the table, if there is such a row.
  template <class T, class Sum>
  HLIP_FN void add(T* table, std::int64_t row, index_t c, Sum sum) const {
    if (is_inside(row, table_rows))
      table[row * cols + c] = static_cast<T>(static_cast<Sum>(table[row * cols + c]) + sum);
  }
  HLIP_FN bool runs_on(index_t place) const {
    return place > 0 && place < n && destination[place] == destination[place - 1];
  }
};
template <class T> using ScatterSum = std::conditional_t<std::is_floating_point_v<T>, double, T>;

/// Element (piece, c): column c of what a piece of the list adds to a destination. Runs that lie
/// within the piece are done; what it has of one that comes from the piece before is kept in
/// `heads`, of one that begins here and goes on in `tails`. (Padding is one long run, in any batch
/// of texts: a thread for each run would walk along all of it.)
template <class T> struct ScatterPiece {
  SortedRows sorted;
  const T* rows;
  T* table;
  ScatterSum<T>*heads, *tails;  // (pieces, cols)
  HLIP_FN void operator()(index_t element) const {
    const index_t piece = quotient(element, sorted.cols), c = element - piece * sorted.cols,
                  end = sorted.end_of(piece);
    for (index_t p = piece * scatter_places; p < end;) {
      const std::int64_t to = sorted.destination[p];
      const bool comes = sorted.runs_on(p);
      ScatterSum<T> sum{};
      index_t q = p;
      for (; q < end && sorted.destination[q] == to; ++q)
        sum += static_cast<ScatterSum<T>>(rows[sorted.source[q] * sorted.cols + c]);
      if (comes) heads[element] = sum;
      else if (q == end && sorted.runs_on(end)) tails[element] = sum;
      else sorted.add(table, to, c, sum);
      p = q;
    }
  }
};

/// Element (piece, c): the run that begins in the piece and goes on, if there is one: its parts in
/// order.
template <class T> struct ScatterLongRun {
  SortedRows sorted;
  T* table;
  const ScatterSum<T>*heads, *tails;
  HLIP_FN void operator()(index_t element) const {
    const index_t piece = quotient(element, sorted.cols), c = element - piece * sorted.cols,
                  first = piece * scatter_places, end = sorted.end_of(piece);
    const std::int64_t to = sorted.destination[end - 1];
    if (!sorted.runs_on(end)) return;
    if (sorted.runs_on(first) && sorted.destination[first] == to) return;  // began before
    ScatterSum<T> sum = tails[element];
    for (index_t p = end; p < sorted.n && sorted.destination[p] == to; p += scatter_places)
      sum += heads[p / scatter_places * sorted.cols + c];
    sorted.add(table, to, c, sum);
  }
};

}  // namespace detail

/// out (n, cols): row i is row index[i] of table (table_rows, cols).
/// An index outside the table gives zeros, and an error when the host reads a value the next time.
template <class T>
void gather_rows(Cuda, const T* table, const std::int64_t* index, T* out, index_t n, index_t cols,
                 index_t table_rows) {
  detail::note_outside(Cuda{}, "gather_rows", index, n, table_rows);
  for_each_index(Cuda{}, n * cols, detail::GatherElement<T>{table, index, out, cols, table_rows});
}

/// Adds row i of rows (n, cols) to row index[i] of table (table_rows, cols); rows that share a
/// destination are added in an order that depends on the indices alone.
/// An index outside the table adds nothing, and gives an error when the host reads a value the next
/// time.
template <class T>
void scatter_add_rows(Cuda, const T* rows, const std::int64_t* index, T* table, index_t n,
                      index_t cols, index_t table_rows) {
  detail::note_outside(Cuda{}, "scatter_add_rows", index, n, table_rows);
  if (n <= 0 || cols <= 0) return;
  const detail::CudaScratch<std::int64_t> destination(n), source(n);
  copy_strided(Cuda{}, Shape{n}, destination.data(), Shape{1}, index, Shape{1});
  detail::sort_rows(destination.data(), source.data(), n);
  const detail::SortedRows sorted{destination.data(), source.data(), n, cols, table_rows};
  const index_t parts = sorted.pieces() * cols;
  const detail::CudaScratch<detail::ScatterSum<T>> heads(parts), tails(parts);
  for_each_index(Cuda{}, parts,
                 detail::ScatterPiece<T>{sorted, rows, table, heads.data(), tails.data()});
  for_each_index(Cuda{}, parts,
                 detail::ScatterLongRun<T>{sorted, table, heads.data(), tails.data()});
}

HLIP_END
