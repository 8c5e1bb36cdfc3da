// expect: the operands have different element types: convert one with cast<T>\(x\)
#include <hlip/hlip.hpp>

#if defined(HLIP_CONTROL)
using Other = float;
#else
using Other = double;
#endif

auto f(const hlip::Tensor<float>& a, const hlip::Tensor<Other>& b) { return a + b; }
