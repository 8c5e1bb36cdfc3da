#include <hlip/hlip.hpp>

float sum_of_squares(const hlip::Tensor<float>& x) {
  const hlip::Tensor<float> y = x * x;
  float total = 0;
  for (hlip::index_t i = 0; i < y.numel(); ++i) total += y.data()[i];
  return total;
}
