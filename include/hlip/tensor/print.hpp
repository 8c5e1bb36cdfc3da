// Text for people: a summary line, and a few values of each axis. Never a whole volume.
#pragma once

#include <hlip/tensor/tensor.hpp>

#include <fmt/core.h>

#include <string>

HLIP_BEGIN

namespace detail {
template <class T, class B> void print_axis(std::string& text, const Tensor<T, B>& x, int indent) {
  constexpr index_t edge = 3;  // values shown at either end of an axis
  if (x.rank() == 0) {
    const auto value = static_cast<compute_type<T>>(x.item());
    if constexpr (is_floating<T>) text += fmt::format("{:.6g}", value);
    else text += fmt::format("{:d}", value);
    return;
  }
  text += '[';
  const index_t n = x.shape()[0];
  for (index_t i = 0; i < n; ++i) {
    if (i > 0)
      text += x.rank() == 1 ? ", " : ",\n" + std::string(static_cast<std::size_t>(indent) + 1, ' ');
    if (n > 2 * edge && i == edge) {
      text += "...";
      i = n - edge - 1;
      continue;
    }
    print_axis(text, x.select(0, i), indent + 1);
  }
  text += ']';
}
}  // namespace detail

/// "Tensor F32 (2, 577, 768) cpu" and at most six values per axis; tensors of more than four axes
/// give the first line only.
template <class T, class B> std::string to_string(const Tensor<T, B>& x) {
  std::string text = fmt::format("Tensor {} {} {}", dtype_name(dtype_of<T>()), to_string(x.shape()),
                                 B::name);
  if (x.numel() == 0 || x.rank() > 4) return text;
  text += '\n';
  detail::print_axis(text, x, 0);
  return text;
}

HLIP_END
