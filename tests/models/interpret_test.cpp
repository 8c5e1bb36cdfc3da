#include "../support/gradients.hpp"

#include <hlip/models/interpret.hpp>

using namespace test;

namespace {

HlipVitConfig config(const std::vector<std::vector<int>>& blocks, index_t depth) {
  HlipVitConfig c;
  c.name = "small";
  c.img_size = {4, 4, 4}, c.patch_size = {2, 2, 2};
  c.embed_dim = 12, c.num_heads = 2, c.mlp_ratio = 2, c.depth = depth, c.init_std = 0.3;
  c.blocks_of_level = blocks;
  return c;
}
HlipVit<3, double, Cpu> encoder(const HlipVitConfig& c) {
  Initializer init(11);
  HlipVit<3, double, Cpu> vit(c, init);
  vit.cls_token = Variable(numbers({1, 1, c.embed_dim}, 21), true);
  return vit;
}
const auto classes = [](const Variable& features) { return Variable(features * 1.0); };
Array study(index_t scans, std::uint32_t stream = 1) {
  return numbers({1, scans, 1, 4, 4, 4}, stream);
}

}  // namespace

TEST_CASE("interpret: at every level the logit is the one of the plain forward pass") {
  const auto vit = encoder(config({{0, 3}, {1, 4}, {2, 5}}, 6));
  const Array x = study(3);
  const Array features = [&] {
    NoGrad guard;
    return vit(Variable(x)).value();
  }();
  for (int level = 1; level <= 3; ++level) {
    const auto found = interpret(vit, x, classes, 5, {}, level);
    CHECK(found.block == level + 2);
    CHECK(largest_difference(found.logits, features) < 1e-12);
    CHECK(found.relevance.shape() == Shape{3, 2, 2, 2});
    CHECK(found.attention.dim(0) == (level == 1 ? 6 : level == 2 ? 3 : 1));
    CHECK(found.attention.dim(2) == (level == 1 ? 5 : level == 2 ? 9 : 25));
    CHECK(min(found.relevance).item() >= 0);
    CHECK(max(found.relevance).item() > 0);
  }
}

TEST_CASE("interpret: the gradient of a slice's attention is that of central differences") {
  // Attention of one head is moved by hand: with one block, everything after it is linear enough to
  // check the whole chain.
  const auto c = config({{0}, {}, {1}}, 2);
  const auto vit = encoder(c);
  const Array x = study(2);
  const auto found = interpret(vit, x, classes, 3, {}, 1);
  // With all attention to one patch, the value of that patch decides; its relevance is attention
  // times gradient, halved over two heads.
  double by_hand = 0;
  const auto a = found.attention, g = found.gradient;
  for (index_t head = 0; head < 2; ++head)
    by_hand += std::max(0.0, a.at({3, head, 0, 2}) * g.at({3, head, 0, 2})) / 2;
  // Group 3 is slice 1 of scan 1, column 2 its second patch
  CHECK(std::abs(found.relevance.at({1, 1, 0, 1}) - by_hand) < 1e-15);
}

TEST_CASE(
    "interpret: a level without blocks, several studies and a class that does not exist are "
    "refused") {
  const auto vit = encoder(config({{0}, {}, {1}}, 2));
  CHECK_THROWS_WITH_AS(interpret(vit, study(1), classes, 0, {}, 2),
                       doctest::Contains("no block of small attends at level 2"), error);
  CHECK_THROWS_AS(interpret(vit, study(1), classes, 12), error);
  CHECK_THROWS_AS(interpret(vit, numbers({2, 1, 1, 4, 4, 4}, 1), classes, 0), error);
  const auto no_study = encoder(config({{0}, {1}, {}}, 2));
  CHECK_THROWS_WITH_AS(interpret(no_study, study(1), classes, 0),
                       doctest::Contains("the whole study"), error);
}
