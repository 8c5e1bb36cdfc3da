#include "../support/errors.hpp"
#include "../support/gradients.hpp"

#include <hlip/models/resnet3d.hpp>
#include <hlip/models/segmentation/pyramid_decoder.hpp>

using namespace test;

namespace {

using Decoder = PyramidDecoder3d<double, Cpu>;

ResNet3d<double, Cpu> encoder() {
  ResNet3dConfig c;
  c.name = "tiny";
  c.stem_width = 2, c.stem_kernel = 3, c.stem_pool = false, c.norm_groups = 1;
  c.layers = {{1, 1, 1}, {2, 1, 2}};
  Initializer init(3);
  return ResNet3d<double, Cpu>(c, init);
}
Decoder decoder(const ResNet3d<double, Cpu>& net, std::vector<index_t> widths = {2, 3}) {
  Initializer init(4);
  return Decoder(net.channels(), net.strides(), 1, widths, 4, init);
}

}  // namespace

TEST_CASE("PyramidDecoder3d: logits have the size of the volume, through maps of one stride too") {
  const auto net = encoder();  // the first layer's map is as large as the stem's
  Decoder head = decoder(net);
  const Variable x(numbers({2, 1, 8, 4, 12}, 1));
  CHECK(head(net(x), x).shape() == Shape{2, 4, 8, 4, 12});
  std::vector<std::string> names;
  for (const auto& p : named_parameters(head)) names.push_back(p.first);
  CHECK(std::count(names.begin(), names.end(), "up2.weight") == 1);
  CHECK(std::count(names.begin(), names.end(), "up1.weight") == 0);  // nothing to enlarge
  CHECK(std::count(names.begin(), names.end(), "mix0.conv2.weight") == 1);
}

TEST_CASE("PyramidDecoder3d: gradients reach every map and the volume") {
  const auto net = encoder();
  const Decoder head = decoder(net, {2});
  const auto maps = net(Variable(numbers({1, 1, 4, 4, 4}, 1)));
  std::vector<Array> inputs{numbers({1, 1, 4, 4, 4}, 2)};
  for (std::size_t i = 0; i < maps.size(); ++i)
    inputs.push_back(numbers(maps[i].shape(), 3 + static_cast<std::uint32_t>(i)));
  check_gradient(
      "maps and volume",
      [&](const std::vector<Variable>& v) {
        return head({v[1], v[2], v[3]}, v[0]);
      },
      inputs);
}

TEST_CASE("PyramidDecoder3d: what does not fit is refused by name") {
  const auto net = encoder();
  const Decoder head = decoder(net);
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  const Variable x(numbers({1, 1, 8, 8, 8}, 1));
  auto maps = net(x);
  CHECK(has(error_of([&] { head({maps[0], maps[1]}, x); }), "2 feature maps, expected 3"));
  const Variable longer(numbers({1, 1, 16, 8, 8}, 1));
  CHECK(has(error_of([&] { head(maps, longer); }), "beside one of (1, 1, 16, 8, 8)"));
  CHECK(has(error_of([&] { head({maps[2], maps[1], maps[2]}, x); }), "map 0"));
  const Variable odd(numbers({1, 1, 6, 8, 8}, 1));
  CHECK(has(error_of([&] { head(net(odd), odd); }), "multiples of the coarsest map's stride"));
  Initializer init(1);
  CHECK(has(error_of([&] { Decoder({2, 4}, {{2, 2, 2}}, 1, {4}, 2, init); }), "strides of 1"));
  CHECK(has(error_of([&] {
              Decoder({2, 4}, {{2, 2, 2}, {3, 3, 3}}, 1, {4}, 2, init);
            }),
            "a map of stride 3 above one of stride 2"));
}
