#include "../support/gradients.hpp"

#include <hlip/nn/patch_embed.hpp>

using namespace test;

namespace {
using Embed = PatchEmbed3D<double, Cpu>;
}

TEST_CASE("patch embedding: a convolution whose stride is its kernel, the remainder ignored") {
  Initializer init(3);
  const Embed embed(2, 5, {2, 3, 2}, init);
  // 2 x 2 x 3 patches, one slice and one column left over
  const Array x = numbers({2, 2, 5, 6, 7}, 1);
  const Array y = embed(Variable(x)).value();
  REQUIRE(y.shape() == Shape{2 * 2 * 2 * 3, 5});
  double most = 0;
  for (index_t n = 0, row = 0; n < 2; ++n)
    for (index_t d = 0; d < 2; ++d)
      for (index_t h = 0; h < 2; ++h)
        for (index_t w = 0; w < 3; ++w, ++row)
          for (index_t o = 0; o < 5; ++o) {
            double sum = embed.proj.bias.value().at({o});
            for (index_t c = 0; c < 2; ++c)
              for (index_t i = 0; i < 2; ++i)
                for (index_t j = 0; j < 3; ++j)
                  for (index_t k = 0; k < 2; ++k)
                    sum += embed.proj.weight.value().at({o, c, i, j, k}) *
                           x.at({n, c, 2 * d + i, 3 * h + j, 2 * w + k});
            most = std::max(most, std::abs(sum - y.at({row, o})));
          }
  CHECK(most < 1e-13);
}

TEST_CASE("patch embedding: gradients of volume, filter and bias") {
  check_gradient("patch embedding",
                 [](const std::vector<Variable>& v) {
                   Embed embed;
                   embed.patch_size = {2, 1, 2};
                   embed.proj.weight = v[1], embed.proj.bias = v[2];
                   return embed(v[0]);
                 },
                 {numbers({1, 1, 3, 2, 4}, 1), numbers({3, 1, 2, 1, 2}, 2), numbers({3}, 3)});
}

TEST_CASE(
    "patch embedding: patches of a constant volume are not kept, and the filter gets the same "
    "gradient, bit for bit") {
  Initializer init(3);
  Embed embed(2, 5, {2, 3, 2}, init);
  const Array x = numbers({2, 2, 5, 6, 7}, 1), c = numbers({24, 5}, 2);
  embed(Variable(x, true)).backward(c);
  const Array weight = embed.proj.weight.grad(), bias = embed.proj.bias.grad();
  embed.proj.weight.zero_grad(), embed.proj.bias.zero_grad();
  embed(Variable(x)).backward(c);
  CHECK(same_bits(embed.proj.weight.grad(), weight));
  CHECK(same_bits(embed.proj.bias.grad(), bias));
}

TEST_CASE("patch embedding: a volume smaller than a patch or with other channels is an error") {
  Initializer init(3);
  const Embed embed(1, 5, {2, 3, 2}, init);
  CHECK(error_of([&] {
          embed(Variable(Array::ones({1, 1, 5, 2, 7})));
        }) == "patch_embed (patch_embed): x is (1, 1, 5, 2, 7), smaller than one patch (2, 3, 2)");
  CHECK(error_of([&] {
          embed(Variable(Array::ones({1, 2, 4, 6, 4})));
        }) ==
        "patch_embed (patch_embed): x is (1, 2, 4, 6, 4), expected (N, in_chans = 1, D, H, W)");
}

TEST_CASE("patch embedding of pictures: that of volumes one slice deep, bit for bit") {
  Initializer init(3);
  const PatchEmbed2D<double, Cpu> embed(3, 5, 2, init);
  const Array x = numbers({2, 3, 4, 7}, 1);
  Embed deep;
  deep.patch_size = {1, 2, 2};
  deep.proj.weight = Variable(embed.proj.weight.value().reshape({5, 3, 1, 2, 2}));
  deep.proj.bias = embed.proj.bias;
  const Array y = embed(Variable(x)).value();
  CHECK(y.shape() == Shape{2 * 2 * 3, 5});
  CHECK(same_bits(y, deep(Variable(x.reshape({2, 3, 1, 4, 7}))).value()));
}

TEST_CASE("patch embedding of pictures: gradients of picture, filter and bias") {
  check_gradient("pictures",
                 [](const std::vector<Variable>& v) {
                   PatchEmbed2D<double, Cpu> embed;
                   embed.patch_size = 2;
                   embed.proj.weight = v[1], embed.proj.bias = v[2];
                   return embed(v[0]);
                 },
                 {numbers({2, 1, 3, 4}, 1), numbers({3, 1, 2, 2}, 2), numbers({3}, 3)});
}

TEST_CASE("patch embedding of pictures: other channels are an error") {
  Initializer init(3);
  const PatchEmbed2D<double, Cpu> embed(1, 5, 2, init);
  CHECK(error_of([&] {
          embed(Variable(Array::ones({1, 2, 4, 4})));
        }) == "patch_embed (patch_embed): x is (1, 2, 4, 4), expected (N, in_chans = 1, H, W)");
}
