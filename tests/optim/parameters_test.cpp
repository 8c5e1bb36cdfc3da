#include "../support/gradients.hpp"

#include <hlip/optim/parameters.hpp>

using namespace test;

TEST_CASE(
    "parameter groups: the reference decays matrices, tokens and filters, and no norm, bias or "
    "scale") {
  CHECK(decays("visual.trunk.cls_token", 3));
  CHECK(decays("visual.trunk.patch_embed.proj.weight", 5));
  CHECK(decays("visual.trunk.blocks.0.attn.qkv.weight", 2));
  CHECK(decays("text.transformer.embeddings.word_embeddings.weight", 2));
  CHECK_FALSE(decays("visual.trunk.blocks.0.norm1.weight", 1));
  CHECK_FALSE(decays("visual.trunk.blocks.0.attn.qkv.bias", 1));
  CHECK_FALSE(decays("logit_scale", 0));
  CHECK_FALSE(decays("logit_bias", 0));
  CHECK_FALSE(decays("some.ln_final.weight", 2));
  CHECK_FALSE(decays("bn1.weight", 2));
}

TEST_CASE("parameter groups: frozen parameters are in no group") {
  Variable w(numbers({2, 2}, 1), true), bias(numbers({2}, 2), true), frozen(numbers({2, 2}, 3));
  const auto list = optimized_parameters(
      std::vector<std::pair<std::string, Variable*>>{
          {"w", &w}, {"w.bias", &bias}, {"table", &frozen}},
      0.2);
  REQUIRE(list.size() == 2);
  CHECK(list[0].name == "w");
  CHECK(list[0].weight_decay == 0.2);
  CHECK(list[1].weight_decay == 0);
}

TEST_CASE(
    "gradient clipping: one norm over all parameters, and the factor that brings it to the limit") {
  Variable a(Array::zeros({2}), true), b(Array::zeros({1}), true), none(Array::zeros({1}), true);
  a.set_grad(Array::from_values({2}, {3, 4}));
  b.set_grad(Array::from_values({1}, {12}));
  const std::vector<OptimizedParameter<double, Cpu>> list = {
      {"a", a, 0}, {"b", b, 0}, {"none", none, 0}};
  CHECK(grad_norm(list) == doctest::Approx(13).epsilon(1e-15));
  CHECK(clip_scale(13, 0) == 1);
  CHECK(clip_scale(13, 20) == 1);
  CHECK(clip_scale(13, 6.5) == doctest::Approx(0.5).epsilon(1e-6));
  CHECK(clip_scale(0, 1) == 1);
}

TEST_CASE(
    "gradient clipping: every clip group has a norm of its own, groups without parameters have "
    "none") {
  Variable a(Array::zeros({2}), true), b(Array::zeros({1}), true), c(Array::zeros({1}), true);
  a.set_grad(Array::from_values({2}, {3, 4}));
  b.set_grad(Array::from_values({1}, {12}));
  c.set_grad(Array::from_values({1}, {5}));
  const std::vector<OptimizedParameter<double, Cpu>> list = {
      {"a", a, 0, 1, 0}, {"b", b, 0, 1, 2}, {"c", c, 0, 1, 2}};
  const auto squares = Array::empty({3});
  sums_of_squares(list, squares);
  const auto norms = clip_group_norms(list, std::span<const double>(squares.to_vector()));
  REQUIRE(norms.size() == 3);
  CHECK(norms[0] == doctest::Approx(5).epsilon(1e-15));
  CHECK(norms[1] == 0);
  CHECK(norms[2] == doctest::Approx(13).epsilon(1e-15));
}
