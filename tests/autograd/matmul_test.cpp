#include "../support/gradients.hpp"

#include <hlip/autograd/functions/matmul.hpp>
#include <hlip/autograd/functions/shape.hpp>

using namespace test;

namespace {
const Function product = [](const std::vector<Variable>& v) { return matmul(v[0], v[1]); };
}

TEST_CASE("matmul: gradients of matrices, batches and broadcast batches") {
  const std::vector<std::vector<Shape>> shapes = {{{3, 4}, {4, 5}},
                                                  {{1, 4}, {4, 1}},
                                                  {{2, 3, 4}, {2, 4, 5}},
                                                  {{2, 3, 4}, {4, 5}},
                                                  {{3, 4}, {2, 4, 5}},
                                                  {{2, 1, 3, 4}, {3, 4, 2}},
                                                  {{2, 1, 2, 3}, {1, 3, 3, 2}}};
  for (const auto& s : shapes)
    check_gradient(to_string(s[0]) + " " + to_string(s[1]), product,
                   {numbers(s[0], 1), numbers(s[1], 2)});
}

TEST_CASE("matmul: gradients through views") {
  check_gradient("transposed leaves", product,
                 {numbers({4, 3}, 1).transpose(0, 1), numbers({5, 4}, 2).transpose(0, 1)});
  check_gradient("strided leaves", product,
                 {numbers({6, 8}, 1).slice(0, 0, 6, 2).slice(1, 0, 8, 2),
                  numbers({4, 10}, 2).slice(1, 1, 10, 3)});
  check_gradient("transposed inside",
                 [](const std::vector<Variable>& v) { return matmul(v[0], transpose(v[0], 0, 1)); },
                 {numbers({3, 4}, 1)});
  check_gradient("heads moved to the front",
                 [](const std::vector<Variable>& v) {
                   return matmul(permute(v[0], {1, 0, 2}), permute(v[1], {1, 2, 0}));
                 },
                 {numbers({3, 2, 4}, 1), numbers({5, 2, 4}, 2)});
}
