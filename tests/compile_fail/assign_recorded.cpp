// expect: assign writes without recording: evaluate to a Var instead, or detach\(\) the operands
// Writing the result of a recorded expression into plain memory would lose the graph without a
// word.
#include <hlip/hlip.hpp>

void f(hlip::Tensor<float>& y, const hlip::Var<float>& x) {
#if defined(HLIP_CONTROL)
  y.assign(x.value() * 2);
#else
  y.assign(x * 2);
#endif
}
