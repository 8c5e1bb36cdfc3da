#include "../support/errors.hpp"
#include "../support/gradients.hpp"

#include <hlip/models/resnet3d.hpp>

using namespace test;

namespace {

ResNet3dConfig tiny() {
  ResNet3dConfig c;
  c.name = "tiny";
  c.stem_width = 4, c.stem_kernel = 3;
  c.layers = {{4, 2, 1}, {2, 1, 2}};
  return c;
}

}  // namespace

TEST_CASE("ResNet3d: maps have the channels and strides that are announced") {
  for (const bool bottleneck : {true, false}) {
    ResNet3dConfig c = tiny();
    c.bottleneck = bottleneck;
    Initializer init(1);
    const ResNet3d<double, Cpu> net(c, init);
    const auto maps = net(Variable(numbers({2, 1, 16, 8, 24}, 1)));
    const auto channels = net.channels();
    const auto strides = net.strides();
    REQUIRE(maps.size() == 3);
    REQUIRE(channels.size() == 3);
    for (std::size_t i = 0; i < maps.size(); ++i) {
      const auto& s = strides[i];
      CHECK(maps[i].shape() == Shape{2, channels[i], 16 / s[0], 8 / s[1], 24 / s[2]});
    }
  }
}

TEST_CASE("ResNet3d: the parameters of ResNet-50 and ResNet-18 are those of torchvision in 3-D") {
  ResNet3dConfig c;
  Initializer none = Initializer::without_values();
  ResNet3d<float, Cpu> deep(c, none);
  std::vector<std::string> names;
  for (const auto& [name, p] : named_parameters(deep)) names.push_back(name);
  CHECK(names.front() == "conv1.weight");
  for (const char* name : {"bn1.running_var", "layer1.0.conv1.weight", "layer1.0.bn3.bias",
                           "layer1.0.downsample.0.weight", "layer1.0.downsample.1.running_mean",
                           "layer3.5.conv2.weight", "layer4.2.bn3.weight"})
    CHECK_MESSAGE(std::count(names.begin(), names.end(), name) == 1, name);
  CHECK(std::count(names.begin(), names.end(), "layer1.1.downsample.0.weight") == 0);
  // the layers' shapes multiplied out by hand, without a classifier
  CHECK(count_parameters(deep, true) == 46155072);
  c.layers = {{64, 2, 1}, {128, 2, 2}, {256, 2, 2}, {512, 2, 2}};
  c.bottleneck = false;
  ResNet3d<float, Cpu> shallow(c, none);
  CHECK(count_parameters(shallow, true) == 33160000);
}

TEST_CASE("ResNet3d: with group norms a volume does not depend on its batch") {
  ResNet3dConfig c = tiny();
  c.norm_groups = 2;
  Initializer init(2);
  ResNet3d<double, Cpu> net(c, init);
  for (const auto& [name, p] : named_parameters(net)) CHECK(p->requires_grad());  // nothing runs
  const Array x = numbers({2, 1, 8, 8, 8}, 1);
  const Context training{true, {}};
  const Array both = net(Variable(x), training).back().value(),
              alone = net(Variable(x.slice(0, 1, 2)), training).back().value();
  CHECK(largest_difference(both.slice(0, 1, 2), alone) < 1e-12);
}

TEST_CASE("ResNet3d: gradients, through a stride, a pool and a block without a downsample") {
  ResNet3dConfig c = tiny();
  c.norm_groups = 1;
  Initializer init(5);
  const ResNet3d<double, Cpu> net(c, init);
  check_gradient("x and two weights",
                 [&](const std::vector<Variable>& v) {
                   ResNet3d<double, Cpu> n = net;
                   n.conv1.weight = v[1];
                   n.layers[0][1].bn2.weight = v[2];
                   return n(v[0]).back();
                 },
                 {numbers({1, 1, 8, 4, 4}, 1), numbers({4, 1, 3, 3, 3}, 2), numbers({4}, 3)});
}

TEST_CASE("ResNet3d: sizes that make no network, and other inputs, are refused by name") {
  const auto refusal = [](auto change) {
    ResNet3dConfig c = tiny();
    change(c);
    return error_of([&] {
      Initializer init(1);
      ResNet3d<float, Cpu> net(c, init);
    });
  };
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  CHECK(has(refusal([](auto& c) { c.stem_kernel = 4; }), "tiny: stem_kernel 4"));
  CHECK(has(refusal([](auto& c) { c.layers.clear(); }), "no layers"));
  CHECK(has(refusal([](auto& c) { c.layers[1].width = 0; }), "a layer of width 0"));
  CHECK(has(refusal([](auto& c) { c.norm_groups = 3; }), "do not divide into 3 norm_groups"));
  Initializer init(1);
  const ResNet3d<float, Cpu> net(tiny(), init);
  CHECK(has(error_of([&] {
              net(Var<float, Cpu>(Tensor<float, Cpu>::zeros({1, 2, 8, 8, 8})));
            }),
            "in_chans = 1"));
}
