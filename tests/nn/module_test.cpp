#include "../support/gradients.hpp"

#include <hlip/nn/linear.hpp>

#include <map>

using namespace test;

namespace {

using Layer = Linear<double, Cpu>;

struct Network {
  using value_type = double;
  using backend = Cpu;
  Variable token{numbers({1, 2}, 1), true}, none;
  std::vector<Layer> layers;
  Network() {
    Initializer init(5);
    for (int i = 0; i < 2; ++i) layers.emplace_back(2, 2, i == 0, 1.0, init);
  }
  template <class V> void visit(V&& v) {
    v("token", token);
    v("none", none);
    v("layers", layers);
  }
};
static_assert(Module<Network>);

/// Named tensors in memory, as a weight file offers them.
struct Source {
  struct Info {
    Shape shape;
  };
  std::map<std::string, Array> tensors;
  std::vector<std::string> names() const {
    std::vector<std::string> list;
    for (const auto& [name, t] : tensors) list.push_back(name);
    return list;
  }
  bool contains(const std::string& name) const { return tensors.count(name) > 0; }
  Info info(const std::string& name) const { return {tensors.at(name).shape()}; }
  template <class T, class B> Tensor<T, B> tensor(const std::string& name) const {
    return tensors.at(name);
  }
  template <class T> Tensor<T, Cpu> mapped(const std::string& name) const {
    return tensors.at(name);
  }
};

Source source_for(Network& network) {
  Source source;
  for (auto& [name, p] : named_parameters(network))
    source.tensors[name] = Array::full(p->shape(), static_cast<double>(source.tensors.size()));
  return source;
}

}  // namespace

TEST_CASE(
    "module: names are joined by dots, lists are numbered, and empty parameters are left out") {
  Network network;
  std::vector<std::string> names;
  for (const auto& [name, p] : named_parameters(network)) names.push_back(name);
  CHECK(names ==
        std::vector<std::string>{"token", "layers.0.weight", "layers.0.bias", "layers.1.weight"});
  CHECK(count_parameters(network) == 2 + 4 + 2 + 4);
}

TEST_CASE("module: freezing by name, counting what trains, dropping gradients") {
  Network network;
  set_requires_grad(network, false,
                    [](const std::string& name) { return name.find("layers.0") == 0; });
  CHECK(count_parameters(network, true) == 2 + 4);
  CHECK_FALSE(network.layers[0].weight.requires_grad());
  sum(network.layers[1].weight).backward();
  CHECK(network.layers[1].weight.has_grad());
  zero_grad(network);
  CHECK_FALSE(network.layers[1].weight.has_grad());
}

TEST_CASE("module: a copy shares its parameters") {
  Network network, copy = network;
  network.token.value().fill(9);
  CHECK(copy.token.value().at({0, 1}) == 9);
}

TEST_CASE("load_state_dict: copies every value into the parameter of its name") {
  Network network;
  const double* address = network.token.value().data();
  Source source = source_for(network);
  const LoadReport report = load_state_dict(network, source);
  CHECK(report.ok());
  CHECK(report.to_text().empty());
  CHECK(network.token.value().data() == address);
  for (auto& [name, p] : named_parameters(network))
    CHECK(same_bits(p->value(), source.tensors[name]));
}

TEST_CASE(
    "load_state_dict: strict loading names what is missing, unexpected or of another shape; "
    "otherwise the rest is loaded") {
  Network network;
  Source source = source_for(network);
  source.tensors.erase("token");
  source.tensors["head.weight"] = Array::ones({1});
  source.tensors["layers.0.bias"] = Array::ones({3});
  const std::string text =
      "missing (1): token\nunexpected (1): head.weight\nwrong shape (1): layers.0.bias (3) against "
      "(2)\n";
  CHECK(error_of([&] { load_state_dict(network, source); }) ==
        "load_state_dict: names or shapes differ\n" + text);
  const Array token = network.token.value().clone(), bias = network.layers[0].bias.value().clone();
  const LoadReport report = load_state_dict(network, source, false);
  CHECK_FALSE(report.ok());
  CHECK(report.to_text() == text);
  CHECK(same_bits(network.token.value(), token));
  CHECK(same_bits(network.layers[0].bias.value(), bias));
  CHECK(same_bits(network.layers[1].weight.value(), source.tensors["layers.1.weight"]));
}

TEST_CASE("load_state_dict: the counters of PyTorch's batch norms are passed over") {
  Network network;
  Source source = source_for(network);
  source.tensors["layers.0.num_batches_tracked"] = Array::ones({});
  CHECK(load_state_dict(network, source).ok());
  source.tensors["layers.0.batches"] = Array::ones({});
  CHECK(load_state_dict(network, source, false).unexpected ==
        std::vector<std::string>{"layers.0.batches"});
}

TEST_CASE(
    "map_state_dict: parameters become the tensors of the source; frozen ones stay frozen, other "
    "copies stay as they are") {
  Network network;
  set_requires_grad(network, false, [](const std::string& name) { return name == "token"; });
  const Network copy = network;
  const Array before = network.token.value().clone();
  Source source = source_for(network);
  CHECK(map_state_dict(network, source).ok());
  for (auto& [name, p] : named_parameters(network)) {
    CHECK(p->value().data() == source.tensors[name].data());
    CHECK(p->requires_grad() == (name != "token"));
  }
  CHECK(same_bits(copy.token.value(), before));
  source.tensors.erase("token");
  CHECK(error_of([&] { map_state_dict(network, source); }).find("missing (1): token") !=
        std::string::npos);
}

TEST_CASE("load_state_dict: a long list of names is cut") {
  LoadReport report;
  for (int i = 0; i < 12; ++i) report.missing.push_back("n" + std::to_string(i));
  CHECK(report.to_text() == "missing (12): n0 n1 n2 n3 n4 n5 n6 n7 …\n");
}

TEST_CASE(
    "context: children draw other numbers than their parent and than each other, and the same ones "
    "again") {
  const Context root{true, {1, 0, 5}};
  std::set<std::uint32_t> streams{root.key.stream};
  for (std::uint32_t i = 0; i < 200; ++i) {
    const Context child = root.child(i);
    CHECK(child.training);
    CHECK(child.key.seed == 1);
    CHECK(child.key.step == 5);
    streams.insert(child.key.stream);
    for (std::uint32_t j = 0; j < 20; ++j) streams.insert(child.child(j).key.stream);
  }
  CHECK(streams.size() == 1 + 200 + 200 * 20);
  CHECK(root.child(3).key.stream == root.child(3).key.stream);
}
