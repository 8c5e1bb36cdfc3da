// The shortest program that trains: what compiling such a one costs its author is in budget.txt.
#include <hlip/hlip.hpp>

using namespace hlip;

int main() {
  Initializer init(/*seed=*/1);
  Linear<> model(8, 1, true, 1.0, init);
  const Var<float> x(Tensor<float>::arange(64).reshape({8, 8}));
  AdamW<> optimizer(optimized_parameters(named_parameters(model), /*weight_decay=*/0.0), {});
  for (int step = 0; step < 100; ++step) {
    optimizer.zero_grad();
    mean(square(model(x) - 1.0)).backward();
    optimizer.step(/*lr=*/1e-3);
  }
}
