#include "../support/gradients.hpp"

#include <hlip/models/vit_outputs.hpp>

using namespace test;

namespace {

using Encoder = Vit<double, Cpu>;
using Input = VitInput<double, Cpu>;
using Masks = Tensor<std::uint8_t, Cpu>;

/// A table for 3 x 3 patches of 2 x 2 pixels, width 12.
VitConfig small() {
  VitConfig c;
  c.name = "small";
  c.img_size = 6, c.patch_size = 2, c.in_chans = 2;
  c.embed_dim = 12, c.depth = 2, c.num_heads = 2, c.mlp_ratio = 2;
  return c;
}
/// Every parameter drawn at a size that shows in the result.
Encoder encoder(const VitConfig& c) {
  Initializer init(11);
  Encoder vit(c, init);
  std::uint32_t stream = 20;
  for (auto& [name, p] : named_parameters(vit))
    *p = Variable(numbers(p->shape(), stream++, -0.5, 0.5), true);
  return vit;
}
Variable pictures(index_t n, index_t h, index_t w, std::uint32_t stream = 1) {
  return Variable(numbers({n, 2, h, w}, stream));
}
Array rows_of(const Array& x, const VitGrid& g) {
  return x.slice(0, g.begin, g.begin + g.images * g.tokens()).clone();
}

}  // namespace

TEST_CASE("vit: tokens are class, registers and patches, positions on all but the registers") {
  VitConfig c = small();
  c.reg_tokens = 2;
  const Encoder vit = encoder(c);
  const Variable x = pictures(2, 6, 6);
  const auto tokens = vit.embed({x});
  const VitGrid& g = tokens.grids[0];
  CHECK(g.tokens() == 3 + 9);
  const Array patches = vit.patch_embed(x).value(), positions = vit.pos_embed.value(),
              all = tokens.x.value();
  REQUIRE(all.shape() == Shape{24, 12});
  for (index_t n = 0; n < 2; ++n) {
    const auto row = [&](index_t r) { return all.select(0, r); };
    CHECK(largest_difference(row(g.cls(n)), vit.cls_token.value().reshape({12}) +
                                                positions.select(1, 0).reshape({12})) < 1e-15);
    for (index_t r = 0; r < 2; ++r)
      CHECK(same_bits(row(g.cls(n) + 1 + r).contiguous(),
                      vit.register_tokens.value().select(1, r).reshape({12}).contiguous()));
    for (index_t p = 0; p < 9; ++p)
      CHECK(largest_difference(
                row(g.patch(n, p)),
                patches.select(0, n * 9 + p) + positions.select(1, 1 + p).reshape({12})) < 1e-15);
  }
}

TEST_CASE("vit: pictures of two sizes in one pass give the bits of two passes, gradients too") {
  for (const bool checkpointed : {false, true}) {
    VitConfig c = small();
    c.reg_tokens = 1, c.grad_checkpointing = checkpointed;
    const Variable large = pictures(2, 6, 6, 1), wide = pictures(3, 4, 8, 2);
    Encoder together = encoder(c);
    const auto both = together({large, wide});
    REQUIRE(both.grids.size() == 2);
    CHECK(both.grids[1].begin == 2 * 11);
    CHECK(both.grids[1].rows == 2);
    CHECK(both.grids[1].columns == 4);
    const Array cotangent = numbers(both.x.shape(), 3);
    both.x.backward(cotangent);
    Encoder apart = encoder(c);
    for (const auto& [x, number] : {std::pair{large, 0}, {wide, 1}}) {
      const VitGrid& g = both.grids[static_cast<std::size_t>(number)];
      const auto one = apart({x});
      CHECK(same_bits(one.x.value(), rows_of(both.x.value(), g)));
      one.x.backward(rows_of(cotangent, g));
    }
    const auto a = named_parameters(together), b = named_parameters(apart);
    for (std::size_t i = 0; i < a.size(); ++i) {
      CAPTURE(a[i].first);
      // nothing is masked, and the norm comes later
      const bool used = a[i].first != "mask_token" && !a[i].first.starts_with("norm.");
      CHECK(a[i].second->has_grad() == used);
      CHECK(b[i].second->has_grad() == used);
      if (!used) continue;
      CHECK(largest_difference(a[i].second->grad(), b[i].second->grad()) < 1e-12);
    }
  }
}

TEST_CASE("vit: a masked patch is the mask token, and what was there does not matter") {
  const Encoder vit = encoder(small());
  const Masks masks = Masks::from_values({2, 9},
                                         {1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  Input seen(pictures(2, 6, 6)), other(pictures(2, 6, 6));
  seen.masks = other.masks = masks;
  const Array changed = other.images.value().clone();
  changed.slice(0, 0, 1).slice(2, 0, 2).slice(3, 0, 2).fill(7);  // patch 0 of picture 0
  other.images = Variable(changed);
  const auto a = vit.embed({seen}), b = vit.embed({other});
  CHECK(same_bits(a.x.value(), b.x.value()));
  const VitGrid& g = a.grids[0];
  for (const index_t p : {0, 4, 8})
    CHECK(largest_difference(a.x.value().select(0, g.patch(0, p)),
                             vit.mask_token.value().reshape({12}) +
                                 vit.pos_embed.value().select(1, 1 + p).reshape({12})) < 1e-15);
  const auto plain = vit.embed({Input(seen.images)});
  CHECK(same_bits(a.x.value().slice(0, 10, 20).clone(), plain.x.value().slice(0, 10, 20).clone()));
  CHECK_FALSE(same_bits(a.x.value(), plain.x.value()));
}

TEST_CASE(
    "vit: gradients of the pictures and of every parameter, with registers, masks and two sizes") {
  VitConfig c = small();
  c.reg_tokens = 1, c.embed_dim = 4, c.depth = 1, c.in_chans = 1, c.img_size = 4;
  Encoder vit = encoder(c);
  std::vector<Array> inputs = {numbers({2, 1, 4, 4}, 1), numbers({1, 1, 2, 6}, 2)};
  for (auto& [name, p] : named_parameters(vit)) inputs.push_back(p->value().clone());
  check_gradient(
      "vit",
      [&](const std::vector<Variable>& v) {
        std::size_t i = 2;
        for (auto& [name, p] : named_parameters(vit)) *p = v[i++];
        std::vector<Input> both{Input(v[0]), Input(v[1])};
        both[0].masks = Masks::from_values({2, 4}, {0, 1, 0, 0, 1, 1, 0, 0});
        return vit.norm(vit(both).x);
      },
      inputs);
}

TEST_CASE("vit: checkpointed blocks give the same bits in training, stochastic depth included") {
  for (const DropPath form : {DropPath::by_subset, DropPath::by_sequence}) {
    VitConfig c = small();
    c.drop_path = 0.5, c.drop_path_form = form;
    Encoder plain = encoder(c);
    c.grad_checkpointing = true;
    Encoder again = encoder(c);
    const Context context{true, {1, 2, 3}};
    const Variable x = pictures(4, 6, 6);
    const auto a = plain({x}, context), b = again({x}, context);
    CHECK(same_bits(a.x.value(), b.x.value()));
    CHECK_FALSE(same_bits(a.x.value(), plain({x}).x.value()));
    a.x.backward(Array::ones(a.x.shape())), b.x.backward(Array::ones(b.x.shape()));
    CHECK(
        same_bits(plain.blocks[0].attn.qkv.weight.grad(), again.blocks[0].attn.qkv.weight.grad()));
    CHECK(same_bits(plain.pos_embed.grad(), again.pos_embed.grad()));
  }
}

TEST_CASE("vit: a picture's remainder beyond whole patches is ignored") {
  const Encoder vit = encoder(small());
  const Array x = numbers({1, 2, 7, 6}, 1);
  CHECK(
      same_bits(vit({Variable(x)}).x.value(), vit({Variable(x.slice(2, 0, 6).clone())}).x.value()));
}

TEST_CASE("vit outputs: class and patch tokens are rows of the normed tokens") {
  VitConfig c = small();
  c.reg_tokens = 2;
  const Encoder vit = encoder(c);
  const Variable x = pictures(2, 4, 6);
  const auto tokens = vit({x});
  const Array normed = vit.norm(tokens.x).value();
  const auto features = vit_features(vit, x);
  REQUIRE(features.cls.shape() == Shape{2, 12});
  REQUIRE(features.patches.shape() == Shape{2, 6, 12});
  const VitGrid& g = tokens.grids[0];
  for (index_t n = 0; n < 2; ++n) {
    CHECK(largest_difference(features.cls.value().select(0, n), normed.select(0, g.cls(n))) == 0);
    for (index_t p = 0; p < 6; ++p)
      CHECK(largest_difference(features.patches.value().select(0, n).select(0, p),
                               normed.select(0, g.patch(n, p))) == 0);
  }
}

TEST_CASE("vit outputs: the last of the last n blocks is the result, the others come before it") {
  const Encoder vit = encoder(small());
  const Variable x = pictures(1, 6, 6);
  const auto both = vit_intermediate(vit, x, 2), last = vit_intermediate(vit, x, 1);
  REQUIRE(both.size() == 2);
  REQUIRE(last.size() == 1);
  CHECK(same_bits(both[1].cls.value(), vit_features(vit, x).cls.value()));
  CHECK(same_bits(last[0].patches.value(), both[1].patches.value()));
  CHECK_FALSE(same_bits(both[0].cls.value(), both[1].cls.value()));
  CHECK(error_of([&] { vit_intermediate(vit, x, 3); }) == "small: 3 last blocks of 2");
  CHECK_THROWS_AS(vit_intermediate(vit, x, 0), error);
}

TEST_CASE("vit outputs: attention of the last block weighs its values into what it adds") {
  for (const index_t depth : {1, 2}) {
    VitConfig c = small();
    c.depth = depth, c.reg_tokens = 1;
    const Encoder vit = encoder(c);
    const Variable x = pictures(2, 6, 4);
    const Array p = vit_last_attention(vit, x);
    const index_t tokens = 2 + 6;
    REQUIRE(p.shape() == Shape{2, 2, tokens, tokens});
    CHECK(largest_difference(sum(p, {3}), Array::ones({2, 2, tokens})) < 1e-14);
    // the last block once more, with these probabilities
    const auto before = vit.embed({x});
    const Variable in =
        depth == 1 ? before.x
                   : vit.blocks[0](PackedTokens<double, Cpu>{before.x, before.layouts()}, {}).x;
    const auto& block = vit.blocks.back();
    const Variable qkv = reshape(block.attn.qkv(block.norm1(in)), {2, tokens, 36});
    const Variable mixed = reshape(permute(matmul(Variable(p), by_heads(qkv, 2, 2)), {0, 2, 1, 3}),
                                   {2 * tokens, 12});
    const Variable middle = in + block.attn.proj(mixed) * block.ls1.gamma;
    const Variable want = middle + block.mlp(block.norm2(middle)) * block.ls2.gamma;
    CHECK(largest_difference(want.value(), vit({x}).x.value()) < 1e-12);
  }
}

TEST_CASE("vit: parameters under the names of DINOv2's checkpoints") {
  VitConfig c = small();
  c.depth = 1, c.reg_tokens = 1;
  Encoder vit = encoder(c);
  std::vector<std::string> names;
  for (const auto& [name, p] : named_parameters(vit)) names.push_back(name);
  CHECK(names == std::vector<std::string>{"cls_token",
                                          "pos_embed",
                                          "register_tokens",
                                          "mask_token",
                                          "patch_embed.proj.weight",
                                          "patch_embed.proj.bias",
                                          "blocks.0.norm1.weight",
                                          "blocks.0.norm1.bias",
                                          "blocks.0.attn.qkv.weight",
                                          "blocks.0.attn.qkv.bias",
                                          "blocks.0.attn.proj.weight",
                                          "blocks.0.attn.proj.bias",
                                          "blocks.0.ls1.gamma",
                                          "blocks.0.norm2.weight",
                                          "blocks.0.norm2.bias",
                                          "blocks.0.mlp.fc1.weight",
                                          "blocks.0.mlp.fc1.bias",
                                          "blocks.0.mlp.fc2.weight",
                                          "blocks.0.mlp.fc2.bias",
                                          "blocks.0.ls2.gamma",
                                          "norm.weight",
                                          "norm.bias"});
}

TEST_CASE("vit: configurations and inputs that do not fit are named") {
  VitConfig c = small();
  Initializer init(1);
  c.img_size = 7;
  CHECK(error_of([&] { Encoder(c, init); }) ==
        "small: img_size 7 is not a multiple of patch_size 2");
  c = small(), c.depth = 0;
  CHECK(error_of([&] { Encoder(c, init); }) ==
        "small: in_chans 2, embed_dim 12, depth 0, reg_tokens 0, expected at least 1, 1, 1, 0");
  c = small(), c.mask_token = false;
  const Encoder vit = encoder(small()), without = encoder(c);
  CHECK(error_of([&] { vit({}); }) == "small: no pictures");
  CHECK(error_of([&] {
          vit({Variable(Array::ones({1, 3, 6, 6}))});
        }) == "small: images is (1, 3, 6, 6), expected (N, in_chans = 2, H, W)");
  CHECK_THROWS_AS(vit({pictures(1, 1, 6)}), error);
  Input masked(pictures(1, 6, 6));
  masked.masks = Masks::zeros({1, 9});
  CHECK(error_of([&] { without({masked}); }) == "small: masks for a model without mask token");
  masked.masks = Masks::zeros({1, 8});
  CHECK(error_of([&] { vit({masked}); }) == "small: masks is (1, 8), expected (N = 1, h·w = 9)");
}
