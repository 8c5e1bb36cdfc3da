// Statements of every kind and layer norm, for device_registers.py: what nvcc makes of them.
#include <hlip/backend/cuda.hpp>
#include <hlip/hlip.hpp>

using namespace hlip;

Tensor<float, Cuda> statements(const Tensor<float, Cuda>& a, const Tensor<float, Cuda>& b,
                               const Tensor<float, Cuda>& c) {
  c.assign((a * b + c) * 0.5f);
  c.assign(gelu(a));
  c.fill(0);
  const Tensor<bfloat16, Cuda> stored = a;
  const Var<float, Cuda> x(a, true), y(b, true);
  const Var<float, Cuda> product((x * y + x) * 0.5);
  product.backward(c);
  const Var<float, Cuda> normal = layer_norm(x, y, y, 1e-5);
  normal.backward(c);
  AdamW<float, Cuda> optimizer({{"x", x, 0.1}, {"y", y, 0.0}}, {});
  optimizer.step(1e-3, clip_scale(grad_norm(optimizer.parameters()), 1.0));
  return sum(Tensor<float, Cuda>(a.transpose(0, 1)), {0});
}
