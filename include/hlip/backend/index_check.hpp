// The checks on indices and labels that a backend makes before it touches memory, and what every
// backend says of a wrong one.
#pragma once

#include <hlip/core/check.hpp>
#include <hlip/tensor/shape.hpp>

#include <cstdint>

HLIP_BEGIN

namespace detail {

/// Throws: index number `at` is not one of a table's rows. @param where the operation with its
/// module path
[[noreturn]] inline void fail_row_index(std::string_view where, index_t at, std::int64_t index,
                                        index_t table_rows) {
  fail(where, "index {} is {}, expected 0 to {} (the table has {} rows)", at, index, table_rows - 1,
       table_rows);
}
[[noreturn]] inline void fail_label(std::string_view where, index_t at, std::int64_t label,
                                    index_t classes) {
  fail(where, "label {} is {}, expected 0 to {}", at, label, classes - 1);
}

/// Throws for the first index outside [0, table_rows), naming its position and value.
HLIP_LAZY void expect_row_indices(std::string_view operation, const std::int64_t* index, index_t n,
                                  index_t table_rows) {
  for (index_t i = 0; i < n; ++i)
    if (index[i] < 0 || index[i] >= table_rows)
      fail_row_index(located(operation), i, index[i], table_rows);
}

/// Throws for the first label outside [0, classes), naming its row and value.
HLIP_LAZY void expect_labels(const std::int64_t* labels, index_t rows, index_t classes) {
  for (index_t i = 0; i < rows; ++i)
    if (labels[i] < 0 || labels[i] >= classes)
      fail_label(located("cross_entropy"), i, labels[i], classes);
}

}  // namespace detail

HLIP_END
