#include "../support/gradients.hpp"

#include <hlip/models/segmentation/linear_head.hpp>
#include <hlip/models/segmentation/simple_pyramid.hpp>
#include <hlip/models/segmentation/u_net.hpp>
#include <hlip/models/segmentation/uper_net.hpp>
#include <hlip/models/segmentation/vit_feature_maps.hpp>

#include <algorithm>

using namespace test;

namespace {

using Maps = FeatureMaps<double, Cpu>;

const Context trains{true, {.seed = 3}};

/// Four maps of one size, as blocks of a transformer give them.
Maps maps_of(index_t pictures, index_t dim, index_t side) {
  Maps maps;
  for (std::uint32_t i = 0; i < 4; ++i) maps.emplace_back(numbers({pictures, dim, side, side}, i));
  return maps;
}

/// Gradients of everything that trains, and of x.
template <class M, class Fn>
void check_gradients(const std::string& what, M& module, const Shape& shape, Fn forward) {
  std::vector<Array> inputs = {numbers(shape, 9)};
  std::vector<Variable*> trained;
  for (auto& [name, p] : named_parameters(module))
    if (p->requires_grad()) {
      trained.push_back(p);
      inputs.push_back(p->value().clone());
    }
  check_gradient(
      what,
      [&](const std::vector<Variable>& v) {
        for (std::size_t i = 0; i < trained.size(); ++i) *trained[i] = v[i + 1];
        return forward(v[0]);
      },
      inputs);
}

template <class M> std::vector<std::string> names_of(M& module) {
  std::vector<std::string> names;
  for (const auto& [name, p] : named_parameters(module)) names.push_back(name);
  return names;
}

Vit<double, Cpu> small_vit(index_t depth) {
  VitConfig c;
  c.name = "vit";
  c.img_size = 8, c.patch_size = 2, c.in_chans = 1, c.embed_dim = 8, c.depth = depth,
  c.num_heads = 2;
  c.reg_tokens = 1;
  Initializer init(1);
  return {c, init};
}

}  // namespace

TEST_CASE("resize_map: bilinear, pixels as areas; nothing to do for a map of that size") {
  const Variable x(Array::from_values({1, 1, 1, 2}, {0, 4}));
  CHECK(largest_difference(resize_map(x, 2, 4).value(),
                           Array::from_values({1, 1, 2, 4}, {0, 1, 3, 4, 0, 1, 3, 4})) < 1e-15);
  CHECK(resize_map(x, 1, 2).value().shares_storage(x.value()));
  CHECK(error_of([&] {
          resize_map(Variable(Array::zeros({2, 2})), 1, 1);
        }) == "resize_map: x is (2, 2), expected (N, C, H, W)");
}

TEST_CASE("quarter_blocks: the last of every quarter, also of few") {
  CHECK(quarter_blocks(12) == std::vector<index_t>{3, 6, 9, 12});
  CHECK(quarter_blocks(6) == std::vector<index_t>{2, 3, 5, 6});
  CHECK(quarter_blocks(2) == std::vector<index_t>{1, 1, 2, 2});
  CHECK(quarter_blocks(1) == std::vector<index_t>{1, 1, 1, 1});
}

TEST_CASE("vit_feature_maps: normed patch tokens of the blocks, row by row of the grid") {
  const auto vit = small_vit(3);
  const Variable images(numbers({2, 1, 6, 8}, 5));
  const Maps maps = vit_feature_maps(vit, images, {1, 3, 3});
  REQUIRE(maps.size() == 3);
  const auto last = vit_intermediate(vit, images, 3);
  for (const auto& [map, block] : {std::pair{0, 0}, {1, 2}, {2, 2}}) {
    const Array& got = maps[static_cast<std::size_t>(map)].value();
    const Array patches = last[static_cast<std::size_t>(block)].patches.value();
    REQUIRE(got.shape() == Shape{2, 8, 3, 4});
    for (index_t p = 0; p < 12; ++p)
      CHECK(got.at({1, 5, p / 4, p % 4}) == doctest::Approx(patches.at({1, p, 5})));
  }
  CHECK(error_of([&] {
          vit_feature_maps(vit, images, {1, 4});
        }) == "vit: a feature map of block 4, expected 1 to 3");
  CHECK(error_of([&] {
          vit_feature_maps(vit, images, {2, 1});
        }) == "vit: a feature map of block 1, expected 2 to 3");
  CHECK_THROWS_AS(vit_feature_maps(vit, images, {0}), error);
}

TEST_CASE("decoders: all of them take the maps of a transformer and say how large masks are") {
  const Maps maps = maps_of(2, 8, 5);
  Initializer init(0);
  const LinearHead<double, Cpu> linear(8, 3, init);
  const SimplePyramidHead<double, Cpu> simple(8, 6, 3, init);
  const UPerNet<double, Cpu> uper(8, 6, 3, init);
  for (const Context& context : {Context{}, trains}) {
    CHECK(linear(maps, context).shape() == Shape{2, 3, 5, 5});
    CHECK(simple(maps, context).shape() == Shape{2, 3, 20, 20});
    CHECK(uper(maps, context).shape() == Shape{2, 3, 20, 20});
  }
  CHECK(linear({maps[3]}).shape() == Shape{2, 3, 5, 5});
}

TEST_CASE("decoders: gradients") {
  Initializer init(2);
  LinearHead<double, Cpu> linear(4, 2, init);
  check_gradients("linear", linear, {2, 4, 2, 3},
                  [&](const Variable& x) { return linear({x}, trains); });
  SimplePyramid<double, Cpu> simple(8, 5, init);
  check_gradients("simple pyramid", simple, {1, 8, 2, 2}, [&](const Variable& x) {
    const Maps levels = simple({x});
    const Variable a = reshape(levels[0], {levels[0].numel()}),
                   b = reshape(levels[1], {levels[1].numel()}),
                   c = reshape(levels[2], {levels[2].numel()}),
                   d = reshape(levels[3], {levels[3].numel()});
    return concat<double, Cpu>({a, b, c, d}, 0);
  });
}

TEST_CASE("uper_net: in training whole channels are dropped, by draws that can be repeated") {
  const Maps maps = maps_of(2, 4, 4);
  Initializer init(2);
  UPerNet<double, Cpu> net(4, 5, 2, init);
  const Array once = net(maps, trains).value(), again = net(maps, trains).value(),
              other = net(maps, Context{true, {.seed = 4}}).value();
  CHECK(same_bits(once, again));
  net.decoder.dropout_rate = 0.9;
  const Array dropped = net(maps, trains).value();
  CHECK_FALSE(same_bits(once, dropped));
  net.decoder.dropout_rate = 0;
  CHECK(same_bits(net(maps, trains).value(), net(maps, Context{true, {.seed = 4}}).value()));
  net.decoder.dropout_rate = 0.9;
  // What drops whole channels leaves one number a picture and class where all of them are gone
  net.decoder.cls.bias.value().fill(7);
  net.decoder.dropout_rate = 1 - 1e-9;
  CHECK(largest_difference(net(maps, trains).value(), Array::full({2, 2, 16, 16}, 7)) == 0);
}

TEST_CASE("uper_head: also of an encoder whose maps differ in channels and sizes") {
  Initializer init(2);
  const UPerHead<double, Cpu> head({2, 3, 4, 5}, 6, 2, init);
  const Maps maps = {Variable(numbers({1, 2, 14, 11}, 1)), Variable(numbers({1, 3, 7, 6}, 2)),
                     Variable(numbers({1, 4, 4, 3}, 3)), Variable(numbers({1, 5, 2, 2}, 4))};
  CHECK(head(maps).shape() == Shape{1, 2, 14, 11});
  CHECK(error_of([&] {
          head({maps[1], maps[1], maps[2], maps[3]});
        }) == "uper_net: map 0 is (1, 3, 7, 6), expected (N = 1, C = 2, h, w)");
}

TEST_CASE("decoders: maps that do not fit are named") {
  Initializer init(0);
  const LinearHead<double, Cpu> linear(8, 3, init);
  CHECK(error_of([&] { linear(Maps()); }) == "linear_head: no feature maps, expected at least one");
  CHECK(error_of([&] { linear(maps_of(1, 4, 3)); }) ==
        "linear_head: the last map is (1, 4, 3, 3), expected (N, C = 8, h, w)");
  const SimplePyramidHead<double, Cpu> simple(8, 6, 3, init);
  CHECK(error_of([&] { simple(maps_of(1, 4, 3)); }) ==
        "simple_pyramid: the last map is (1, 4, 3, 3), expected (N, C = 8, h, w)");
  CHECK_THROWS_AS(simple(maps_of(1, 8, 1)), error);  // half of one patch
  CHECK(error_of([&] { SimplePyramid<double, Cpu>(6, 4, init); }) ==
        "simple_pyramid: dim is 6 and width 4, expected a multiple of 4 and at least 1");
  const UPerNet<double, Cpu> uper(8, 6, 3, init);
  Maps maps = maps_of(2, 8, 4);
  CHECK(error_of([&] { uper({maps[0], maps[1]}); }) == "block_scales: 2 feature maps, expected 4");
  maps[2] = Variable(Array::zeros({2, 8, 3, 4}));
  CHECK(error_of([&] { uper(maps); }) ==
        "block_scales: maps of (2, 8, 4, 4) and (2, 8, 3, 4), expected one size");
  CHECK(error_of([&] { uper(maps_of(1, 8, 4), trains); }) ==
        "batch_norm_relu: x is (1, 6, 1, 1): one element a channel has no variance");
}

TEST_CASE("u_net: logits of every pixel, in sizes that all levels halve") {
  Initializer init(0);
  const UNet<double, Cpu> net({.in_chans = 2, .classes = 3, .width = 4, .levels = 3}, init);
  CHECK(net(Variable(numbers({2, 2, 8, 12}, 1)), trains).shape() == Shape{2, 3, 8, 12});
  CHECK(net(Variable(numbers({1, 2, 4, 4}, 1))).shape() == Shape{1, 3, 4, 4});
  CHECK(error_of([&] {
          net(Variable(Array::zeros({1, 2, 8, 10})));
        }) ==
        "u_net: x is (1, 2, 8, 10), expected a height and width that are multiples of 4, as 3 "
        "levels halve them 2 times (hint: pad or crop the pictures)");
  CHECK_THROWS_AS(net(Variable(Array::zeros({1, 2, 0, 4}))), error);
  CHECK(error_of([&] {
          net(Variable(Array::zeros({1, 1, 8, 8})));
        }) == "u_net: x is (1, 1, 8, 8), expected (N, in_chans = 2, H, W)");
  CHECK_THROWS_AS((UNet<double, Cpu>({.levels = 0}, init)), error);
  CHECK_THROWS_AS((UNet<double, Cpu>({.levels = 11}, init)), error);
  CHECK_THROWS_AS((UNet<double, Cpu>({.classes = 0}, init)), error);
}

TEST_CASE("u_net: gradients of the picture and of everything that trains") {
  Initializer init(2);
  UNet<double, Cpu> net({.in_chans = 1, .classes = 2, .width = 2, .levels = 2}, init);
  check_gradients("u_net", net, {2, 1, 4, 4}, [&](const Variable& x) { return net(x, trains); });
}

TEST_CASE("u_net: every level has twice the channels; a wider one has as many names") {
  Initializer init(0);
  UNet<double, Cpu> net({.width = 3, .levels = 2}, init), wide({.width = 6, .levels = 2}, init);
  auto names = names_of(net);
  CHECK(names == names_of(wide));
  CHECK(net.enc[1].a.conv.weight.shape() == Shape{6, 3, 3, 3});
  CHECK(net.up[0].weight.shape() == Shape{6, 3, 2, 2});
  CHECK(net.dec[0].a.conv.weight.shape() == Shape{3, 6, 3, 3});
  for (const char* wanted :
       {"enc0.a.conv.weight", "enc1.b.bn.running_var", "up0.bias", "dec0.b.bn.weight", "cls.bias"})
    CHECK(std::count(names.begin(), names.end(), wanted) == 1);
  CHECK(count_parameters(wide, true) > 3 * count_parameters(net, true));
}
