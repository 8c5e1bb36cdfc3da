// Reading and adding up rows by number: index_select (embedding) and scatter_add.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/tensor/tensor.hpp>

HLIP_BEGIN

/// Rows of a table: out[i…, :] = table[index[i…], :], table (rows, …), index any shape.
/// @throws if an index is negative or too large
template <class T, class B>
Tensor<T, B> index_select(const Tensor<T, B>& table, const Tensor<std::int64_t, B>& index) {
  expect(table.rank() >= 1, "index_select", "the table is a scalar");
  Shape shape = index.shape();
  for (int d = 1; d < table.rank(); ++d) shape.push_back(table.shape()[d]);
  auto out = Tensor<T, B>::empty(shape);
  const index_t n = index.numel(), rows = table.shape()[0];
  if (n == 0) return out;
  gather_rows(B{}, table.contiguous().data(), index.contiguous().data(), out.data(), n,
              out.numel() / n, rows);
  return out;
}

/// table[index[i…], :] += rows[i…, :], in place; a row that is named twice gets both.
/// @param table (rows, …), contiguous
/// @throws if the first axes of rows are not those of index, or an index is negative or too large
template <class T, class B>
void add_rows_at(const Tensor<T, B>& rows, const Tensor<std::int64_t, B>& index,
                 const Tensor<T, B>& table) {
  expect(rows.rank() >= index.rank() &&
             Shape(rows.shape().begin(), rows.shape().begin() + index.rank()) == index.shape(),
         "scatter_add", "rows is {}, expected the axes of index {} first", to_string(rows.shape()),
         to_string(index.shape()));
  expect(table.rank() >= 1 && table.is_contiguous(), "scatter_add",
         "the table is {}, expected rows that lie behind one another", to_string(table.shape()));
  const index_t n = index.numel(), columns = n > 0 ? rows.numel() / n : 0;
  expect(n == 0 || columns * table.dim(0) == table.numel(), "scatter_add",
         "rows is {} and the table {}", to_string(rows.shape()), to_string(table.shape()));
  if (n > 0)
    scatter_add_rows(B{}, rows.contiguous().data(), index.contiguous().data(), table.data(), n,
                     columns, table.dim(0));
}

/// table[index[i…], :] += rows[i…, :] into a fresh copy of zeros with `table_rows` rows.
/// @throws if the first axes of rows are not those of index, or an index is negative or too large
template <class T, class B>
Tensor<T, B> scatter_add(const Tensor<T, B>& rows, const Tensor<std::int64_t, B>& index,
                         index_t table_rows) {
  expect(rows.rank() >= index.rank() &&
             Shape(rows.shape().begin(), rows.shape().begin() + index.rank()) == index.shape(),
         "scatter_add", "rows is {}, expected the axes of index {} first", to_string(rows.shape()),
         to_string(index.shape()));
  Shape shape{table_rows};
  for (int d = index.rank(); d < rows.rank(); ++d) shape.push_back(rows.shape()[d]);
  auto table = Tensor<T, B>::zeros(shape);
  add_rows_at(rows, index, table);
  return table;
}

HLIP_END
