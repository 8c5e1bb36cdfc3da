// The checks on indices and labels that every backend makes before it touches memory.
#pragma once

#include <hlip/core/check.hpp>
#include <hlip/tensor/shape.hpp>

#include <cstdint>

HLIP_BEGIN

namespace detail {

/// Throws for the first index outside [0, table_rows), naming its position and value.
inline void expect_row_indices(std::string_view operation, const std::int64_t* index, index_t n, index_t table_rows) {
  for (index_t i = 0; i < n; ++i)
    if (index[i] < 0 || index[i] >= table_rows) fail(located(operation), "index {} is {}, expected 0 to {} (the table has {} rows)", i, index[i], table_rows - 1, table_rows);
}

/// Throws for the first label outside [0, classes), naming its row and value.
inline void expect_labels(const std::int64_t* labels, index_t rows, index_t classes) {
  for (index_t i = 0; i < rows; ++i)
    if (labels[i] < 0 || labels[i] >= classes) fail(located("cross_entropy"), "label {} is {}, expected 0 to {}", i, labels[i], classes - 1);
}

}  // namespace detail

HLIP_END
