// expect: different backends: copy one of them with to_backend<B>\(x\) first
#include <hlip/hlip.hpp>

#if defined(HLIP_CONTROL)
using Other = hlip::Cpu;
#else
using Other = hlip::Reference;
#endif

hlip::Tensor<float> f(const hlip::Tensor<float>& a, const hlip::Tensor<float, Other>& b) {
  return a + b;
}
