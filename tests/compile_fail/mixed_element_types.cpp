// expect: convert it with cast<T>\(x\)
#include <hlip/hlip.hpp>

#if defined(HLIP_CONTROL)
using Result = float;
#else
using Result = double;
#endif

hlip::Tensor<Result> f(const hlip::Tensor<float>& a, const hlip::Tensor<float>& b) { return a + b; }
