// A program for a GPU with an operation and a loop of its own, on one layer. Without a GPU it has
// shown that it compiles and links.
#include <hlip/backend/cuda.hpp>
#include <hlip/hlip.hpp>

#include <cstdio>

using namespace hlip;

struct Half {
  static constexpr std::string_view name = "half";
  template <class V> HLIP_FN V operator()(V x) const { return x * V(0.5); }
  template <class V> HLIP_FN V pull(V, V, V dy) const { return dy * V(0.5); }
};

/// Of a layer whose weights are `weight`: what a sum of halves is, and its gradient.
template <class B> float halves(float weight) {
  Tensor<float, B> w = Tensor<float, B>::zeros({4, 8});
  float* values = w.data();
  for_each_index(B{}, w.numel(), [=] HLIP_LAMBDA(index_t i) { values[i] = weight; });
  const Var<float, B> x(Tensor<float, B>::ones({2, 8})), v(w, true);
  const Var<float, B> loss = sum(
      map_expression(Half{}, linear(x, v, Var<float, B>(Tensor<float, B>::zeros({4})))));
  loss.backward();
  return loss.item() + v.grad().to_vector()[0];
}

int main() {
  const float expected = halves<Cpu>(0.25f);
  std::printf("hlip %s: %g on the host\n", HLIP_VERSION, static_cast<double>(expected));
  if (!has_device(Cuda{})) return std::puts("no GPU"), 0;
  return halves<Cuda>(0.25f) == expected ? 0 : 1;
}
