// expect: discards qualifiers|expects an lvalue for object argument
// A slice is a temporary: assigning to it would change nothing, assign() writes through it.
#include <hlip/hlip.hpp>

void f(hlip::Tensor<float>& x, const hlip::Tensor<float>& row) {
#if defined(HLIP_CONTROL)
  x.slice(0, 0, 1).assign(row);
#else
  x.slice(0, 0, 1) = row;
#endif
}
