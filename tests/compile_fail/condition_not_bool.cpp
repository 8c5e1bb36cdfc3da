// expect: the condition of where is a bool tensor, for example x > 0
#include <hlip/hlip.hpp>

hlip::Tensor<float> f(const hlip::Tensor<float>& x) {
#if defined(HLIP_CONTROL)
  return where(x > 0, x, 0);
#else
  return where(x, x, 0);
#endif
}
