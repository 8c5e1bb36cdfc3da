// Encoders of pictures in folders as Hugging Face keeps them.
#include "../io/temp_folder.hpp"
#include "../support/gradients.hpp"

#include <hlip/models/hf_dinov2.hpp>
#include <hlip/models/vit_outputs.hpp>

#include <filesystem>

using namespace test;

namespace {

VitConfig small(FeedForward ffn, index_t registers) {
  VitConfig c;
  c.img_size = 12, c.patch_size = 4;
  c.embed_dim = 48, c.depth = 2, c.num_heads = 4;
  c.ffn = ffn, c.reg_tokens = registers;
  c.layer_scale = 0.5;
  return c;
}
Vit<> random_vit(const VitConfig& c) {
  Initializer init(0);
  Vit<> vit(c, init);
  std::uint32_t stream = 1;
  each_parameter(vit, [&](const std::string&, auto& p) {
    p.value().assign(numbers(p.shape(), stream++, -0.3, 0.3).template to<float>());
  });
  return vit;
}
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
void replace_in_file(const std::string& path, const std::string& from, const std::string& to) {
  std::string text = read_file(path);
  REQUIRE(text.find(from) != text.npos);
  atomic_write(path, text.replace(text.find(from), from.size(), to));
}
/// A sound folder, and the message of one in which a text of config.json is another.
std::string fault_with(const std::string& from, const std::string& to) {
  TempFolder folder;
  Vit<> vit = random_vit(small(FeedForward::mlp, 0));
  write_hf_dinov2(folder.string(), vit);
  replace_in_file(folder / "config.json", from, to);
  return error_of([&] {
    const HfDinov2 stored(folder.string());
    Initializer init(1);
    Vit<> other(stored.config(), init);
    stored.load(other);
  });
}

}  // namespace

TEST_CASE("hf_dinov2: what is written is read to the same bits, configuration included") {
  for (const FeedForward ffn : {FeedForward::mlp, FeedForward::swiglu})
    for (const index_t registers : {0, 4}) {
      TempFolder folder;
      Vit<> from = random_vit(small(ffn, registers));
      write_hf_dinov2(folder.string(), from);
      const HfDinov2 stored(folder.string());
      const VitConfig& c = stored.config();
      CHECK((c.img_size == 12 && c.patch_size == 4 && c.embed_dim == 48 && c.depth == 2));
      CHECK((c.num_heads == 4 && c.ffn == ffn && c.reg_tokens == registers && c.mask_token));
      CHECK((c.positions.interpolate_offset == 0 && c.positions.antialias == (registers > 0)));
      Initializer init(1);
      Vit<> to(c, init);
      CHECK(has(stored.load(to), "missing          0"));
      const auto a = named_parameters(from), b = named_parameters(to);
      REQUIRE(a.size() == b.size());
      for (std::size_t i = 0; i < a.size(); ++i)
        CHECK_MESSAGE(same_bits(a[i].second->value(), b[i].second->value()), a[i].first);
      // names as transformers has them
      const SafetensorsFile file(folder / "model.safetensors");
      CHECK(file.metadata("format") == "pt");
      for (const char* name : {"embeddings.patch_embeddings.projection.weight",
                               "encoder.layer.1.attention.attention.value.bias",
                               "encoder.layer.0.layer_scale2.lambda1", "layernorm.weight"})
        CHECK_MESSAGE(file.contains(name), name);
      CHECK(file.contains("encoder.layer.0.mlp.weights_in.weight") == (ffn == FeedForward::swiglu));
      CHECK(file.contains("embeddings.register_tokens") == (registers > 0));
    }
}

TEST_CASE("hf_dinov2: positions are resized to the grid as transformers does") {
  // Dinov2Embeddings.interpolate_pos_encoding: F.interpolate(size=, mode="bicubic",
  // align_corners=False), antialias=True in the model with registers alone
  for (const index_t registers : {0, 2}) {
    TempFolder folder;
    Vit<> from = random_vit(small(FeedForward::mlp, registers));
    write_hf_dinov2(folder.string(), from);
    const HfDinov2 stored(folder.string());
    const Tensor<float> plane =
        from.pos_embed.value().slice(1, 1, 10).reshape({3, 3, 48}).permute({2, 0, 1}).contiguous();
    const Tensor<float> want = interpolate(
        plane, {2, 5}, registers > 0 ? Interpolation::cubic_antialias : Interpolation::cubic);
    const Tensor<float> got = resize_grid_positions(from.pos_embed, 1, 2, 5,
                                                    stored.config().positions)
                                  .value()
                                  .slice(1, 1, 11)
                                  .reshape({2, 5, 48})
                                  .permute({2, 0, 1})
                                  .contiguous();
    CHECK(largest_difference(want.to<double>(), got.to<double>()) < 1e-6);
  }
}

TEST_CASE("hf_dinov2: a configuration that asks for something else or for the absurd is named") {
  CHECK(fault_with("\"gelu\"", "\"gelu\"") == "no error");
  for (const auto& [from, to, message] :
       std::vector<std::tuple<std::string, std::string, std::string>>{
           {"\"dinov2\"", "\"vit\"",
            "model_type: is \"vit\", expected dinov2 or dinov2_with_registers"},
           {"\"dinov2\"", "7", "model_type: is 7, expected a word"},
           {"\"gelu\"", "\"relu\"", "hidden_act: is \"relu\", expected gelu"},
           {"\"hidden_size\": 48", "\"hidden_size\": 16384", "hidden_size: is 16384, in "},
           {"\"hidden_size\": 48", "\"hidden_size\": 16385",
            "hidden_size: is 16385, expected a whole number of 1 to 16384"},
           {"\"hidden_size\": 48", "\"hidden_size\": -1", "hidden_size: is -1"},
           {"\"hidden_size\": 48", "\"hidden_size\": 48.5", "hidden_size: is 48.5"},
           {"\"hidden_size\": 48", "\"hidden_size\": \"48\"", "hidden_size: is \"48\""},
           {"\"hidden_size\": 48,", "", "hidden_size: is 768, in "},
           {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1024",
            "num_hidden_layers: is 1024, in "},
           {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1e300",
            "num_hidden_layers: is 1e+300"},
           {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", "num_hidden_layers: is 1, in "},
           {"\"num_attention_heads\": 4", "\"num_attention_heads\": 5",
            "num_attention_heads: is 5, into which hidden_size 48 does not divide"},
           {"\"image_size\": 12", "\"image_size\": 16", "image_size: is 16, in "},
           {"\"image_size\": 12", "\"image_size\": [12, 12]", "image_size: is [12,12]"},
           {"\"patch_size\": 4", "\"patch_size\": 2", "patch_size: is 2, in "},
           {"\"num_channels\": 3", "\"num_channels\": 1", "num_channels: is 1, in "},
           {"\"mlp_ratio\": 4", "\"mlp_ratio\": 65", "mlp_ratio: is 65"},
           {"\"mlp_ratio\": 4", "\"mlp_ratio\": 2", "wrong shape"},
           {"\"mlp_ratio\": 4", "\"mlp_ratio\": null", "mlp_ratio: is null, expected a number"},
           {"\"layer_norm_eps\": 1e-06", "\"layer_norm_eps\": 1e-05",
            "layer_norm_eps: is 1e-05, expected 1e-06"},
           {"\"use_swiglu_ffn\": false", "\"use_swiglu_ffn\": true", "missing"},
           {"\"use_swiglu_ffn\": false", "\"use_swiglu_ffn\": 0", "expected true or false"},
           {"\"qkv_bias\": true", "\"qkv_bias\": false", "qkv_bias: is false, expected true"},
           {"\"model_type\": \"dinov2\"", "\"model_type\": \"dinov2_with_registers\"",
            "num_register_tokens: is 4, in "},
           {"{", "[{", "not valid JSON"}}) {
    const std::string told = fault_with(from, to);
    CHECK_MESSAGE(has(told, message), told);
    CHECK_MESSAGE(has(told, "/config.json"), told);
  }
}

TEST_CASE("hf_dinov2: a folder without one of its files, and weights cut short, are named") {
  namespace fs = std::filesystem;
  TempFolder folder;
  const auto told = [&] { return error_of([&] { HfDinov2{folder.string()}; }); };
  CHECK(has(told(), "config.json: is not there; expected a folder with config.json"));
  Vit<> vit = random_vit(small(FeedForward::mlp, 0));
  write_hf_dinov2(folder.string(), vit);
  CHECK(told() == "no error");
  const std::string weights = folder / "model.safetensors";
  fs::resize_file(weights, fs::file_size(weights) - 1);
  CHECK(has(told(), "model.safetensors: "));
  fs::resize_file(weights, 7);
  CHECK(has(told(), "model.safetensors: "));
  fs::remove(weights);
  CHECK(has(told(), "has neither model.safetensors nor pytorch_model.bin"));
  atomic_write(folder / "pytorch_model.bin", "no checkpoint");
  CHECK(has(told(), "pytorch_model.bin: "));
}

TEST_CASE("hf_dinov2: a model that transformers has no words for is not written") {
  TempFolder folder;
  VitConfig c = small(FeedForward::mlp, 0);
  c.layer_scale = 0;
  Vit<> vit = random_vit(c);
  CHECK(has(error_of([&] { write_hf_dinov2(folder.string(), vit); }), "has LayerScale"));
  CHECK(folder.entries() == 0);
}
