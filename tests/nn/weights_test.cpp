#include "../io/temp_folder.hpp"
#include "../support/errors.hpp"

#include <hlip/backend/cpu.hpp>
#include <hlip/io/safetensors.hpp>
#include <hlip/nn/linear.hpp>
#include <hlip/nn/weights.hpp>

#include <doctest/doctest.h>

using namespace hlip;

namespace {

/// A file with a tensor of four elements for every name.
SafetensorsFile file_with(const TempFolder& folder, const std::vector<std::string>& names) {
  SafetensorsWriter writer;
  float value = 0;
  for (const auto& name : names) writer.add(name, Tensor<float>::full({2, 2}, ++value));
  writer.write(folder / "w.safetensors");
  return SafetensorsFile(folder / "w.safetensors");
}

}  // namespace

TEST_CASE(
    "weights: the keys and wrappers in front of a model's names are found, and nothing else is "
    "taken for one") {
  CHECK(wrapping_prefix({"a.weight"}).empty());
  CHECK(wrapping_prefix({"module.a.weight", "module.b"}) == "module.");
  CHECK(wrapping_prefix({"epoch", "optimizer.state.0.exp_avg", "state_dict.module.a.weight"}) ==
        "state_dict.module.");
  CHECK(wrapping_prefix({"model._orig_mod.a", "model_ema.a"}) == "model._orig_mod.");
  CHECK(wrapping_prefix({"modules.a", "model"}).empty());
}

TEST_CASE("weights: names are selected, renamed and left out, and the table says all of it") {
  TempFolder folder;
  NamedWeights weights(file_with(
      folder, {"optimizer.a", "state_dict.module.bert.weight", "state_dict.module.bert.gamma",
               "state_dict.module.bert.pooler", "state_dict.module.cls.w"}));
  CHECK(weights.prefix() == "state_dict.module.");
  weights.select("bert.");
  weights.leave_out("not needed", [](const std::string& name) { return name == "pooler"; });
  weights.rename([](const std::string& name) { return name == "gamma" ? "bias" : name; });
  CHECK(weights.names() == std::vector<std::string>{"bias", "weight"});
  CHECK(weights.tensor<float, Cpu>("weight").at({0, 0}) == 2);

  Initializer init(1);
  Linear<float, Cpu> layer(2, 2, true, 1, init);
  const LoadReport report = load_state_dict(layer, weights, false);
  CHECK(layer.weight.value().at({1, 1}) == 2);
  CHECK(weights_table(weights, report) ==
        "weights of " + folder / "w.safetensors" +
            " (without 'state_dict.module.bert.' in front)\n"
            "  loaded           1  weight\n"
            "  resized          0\n"
            "  missing          0\n"
            "  wrong shape      1  bias (2, 2) against (2)\n"
            "  unexpected       0\n"
            "  left out         1  cls.w: beside 'bert.'\n"
            "  left out         1  optimizer.a: beside 'state_dict.module.'\n"
            "  left out         1  pooler: not needed\n");
}

TEST_CASE("weights: two tensors cannot stand for one parameter") {
  TempFolder folder;
  NamedWeights weights(file_with(folder, {"a", "b"}));
  CHECK(test::error_of([&] {
          weights.rename([](const std::string&) { return std::string("c"); });
        }).find("\"b\": stands for \"c\", and so does \"a\"") != std::string::npos);
}

TEST_CASE("weights: many names are counted by their first part") {
  CHECK(detail::few_names({"a.1", "a.2"}) == "a.1, a.2");
  CHECK(detail::few_names({"a.1", "a.2", "a.3", "b", "c.1", "c.2", "c.3"}) ==
        "a. (3), b (1), c. (3)");
}
