// One head of one sequence, for the attention kernels of every backend.
#pragma once

#include <hlip/backend/backend.hpp>

HLIP_BEGIN

namespace detail {

/// One head of one sequence seen as a (tokens, head_dim) matrix over the two spans.
template <class X> struct HeadRows {
  X* prefix;
  X* patch;
  index_t stride, prefix_count;

  template <class A>
  HLIP_FN HeadRows(const TokenRows<X>& rows, const A& args, index_t sequence, index_t head)
      : prefix(rows.prefix + sequence * args.prefix * rows.stride + head * args.head_dim),
        patch(rows.patch + sequence * args.patches * rows.stride + head * args.head_dim),
        stride(rows.stride),
        prefix_count(args.prefix) {}
  HLIP_FN X* row(index_t token) const {
    return token < prefix_count ? prefix + token * stride : patch + (token - prefix_count) * stride;
  }
};

}  // namespace detail

HLIP_END
