// expect: constraints not satisfied
// expect: f\.pull.*(is invalid|would be invalid)
// An elementwise operation has a value rule and a pull-back rule, or it is not an operation.
#include <hlip/hlip.hpp>

struct Cube {
  static constexpr std::string_view name = "cube";
  template <class V> V operator()(V x) const { return x * x * x; }
#if defined(HLIP_CONTROL)
  template <class V> V pull(V x, V, V dy) const { return V(3) * x * x * dy; }
#endif
};

auto f(const hlip::Tensor<float>& x) { return hlip::map_expression(Cube{}, x); }
