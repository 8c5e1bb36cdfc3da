// What the consumer projects build, each in its own way: two files that include everything.
#include <hlip/hlip.hpp>

#include <cstdio>

float sum_of_squares(const hlip::Tensor<float>& x);

int main() {
  const float got = sum_of_squares(hlip::Tensor<float>::full({2, 3}, 2.0f));
  std::printf("hlip %s: %g\n", HLIP_VERSION, static_cast<double>(got));
  return got == 24.0f ? 0 : 1;
}
