// The one function behind every shape error, so that all of them read alike.
#pragma once

#include <hlip/core/check.hpp>
#include <hlip/tensor/shape.hpp>

#include <initializer_list>

HLIP_BEGIN

/// An axis in a shape check: its name in the message and the size wanted (-1: any).
struct Axis {
  std::string_view name;
  index_t want = -1;
};

/// Throws "path (operation): x is (2, 577, 768), expected (batch, tokens, dim = 1024)" unless the
/// shape fits.
inline void expect_shape(std::string_view operation, std::string_view argument, const Shape& got,
                         std::initializer_list<Axis> axes) {
  bool ok = got.rank() == static_cast<int>(axes.size());
  int d = 0;
  for (auto a = axes.begin(); ok && a != axes.end(); ++a, ++d)
    ok = a->want < 0 || got[d] == a->want;
  if (ok) return;
  std::string want;
  for (auto a : axes) {
    if (!want.empty()) want += ", ";
    want += a.name;
    if (a.want >= 0) want += fmt::format(" = {}", a.want);
  }
  fail(located(operation), "{} is {}, expected ({})", argument, to_string(got), want);
}

HLIP_END
