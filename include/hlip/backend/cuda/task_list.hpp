// One loop over the elements of many tensors: a few launches for all parameters of a model in place
// of a few for each.
#pragma once

#include <hlip/backend/backend.hpp>

HLIP_BEGIN

namespace detail {

/// Which entry of a list a task belongs to. Entries have `first`, the number of their first task,
/// ascending from 0; those without a task are passed over. Neighbouring threads mostly ask for the
/// same one.
template <class Entry>
HLIP_FN const Entry& entry_of_task(const Entry* list, index_t count, index_t task) {
  index_t low = 0, high = count;  // list[low].first <= task < list[high].first
  while (high - low > 1) {
    const index_t middle = (low + high) / 2;
    if (list[middle].first <= task) low = middle;
    else high = middle;
  }
  return list[low];
}

}  // namespace detail

HLIP_END
