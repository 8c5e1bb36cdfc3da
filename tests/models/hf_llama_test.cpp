// Language models in folders as Hugging Face keeps them, in one file and in shards.
#include "../io/temp_folder.hpp"
#include "../support/gradients.hpp"

#include <hlip/models/llama/generate.hpp>
#include <hlip/models/llama/hf_llama.hpp>
#include <hlip/models/llama/write_hf_llama.hpp>

#include <filesystem>

using namespace test;

namespace {

LlamaConfig tiny() {
  LlamaConfig c;
  c.vocab_size = 23, c.hidden_size = 12, c.intermediate_size = 20, c.num_layers = 2;
  c.num_heads = 4, c.num_kv_heads = 2, c.head_dim = 4;
  c.max_positions = 32, c.init_std = 0.3, c.rope_theta = 500, c.end_tokens = {};
  return c;
}
Llama<> model(const LlamaConfig& c) {
  Initializer init(5);
  return Llama<>(c, init);
}
/// Writes config.json and the weights as S: parameter i into shard i modulo `shards`.
template <class S> void write_shards(const TempFolder& folder, Llama<>& llama, std::size_t shards) {
  std::vector<SafetensorsWriter> writers(shards);
  Json map = Json::object();
  std::size_t i = 0;
  for (const auto& [name, p] : named_parameters(llama)) {
    writers[i % shards].add(name, p->value().template to<S>());
    map[name] = fmt::format("model-{}.safetensors", i++ % shards);
  }
  for (std::size_t s = 0; s < shards; ++s)
    writers[s].write(folder / fmt::format("model-{}.safetensors", s));
  Json index;
  index["weight_map"] = map;
  atomic_write(folder / "model.safetensors.index.json", index.dump());
  atomic_write(folder / "config.json", hf_llama_json(llama.config).dump());
}
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
/// What is said of a folder in which one entry of config.json is another; null takes it out.
std::string fault_with(const char* key, const Json& value) {
  TempFolder folder;
  Llama<> llama = model(tiny());
  write_shards<float>(folder, llama, 2);
  Json json = hf_llama_json(llama.config);
  if (value.is_null()) json.erase(key);
  else json[key] = value;
  atomic_write(folder / "config.json", json.dump());
  return error_of([&] { HfLlama{folder.string()}; });
}
std::vector<std::int64_t> answer(const Llama<>& llama) {
  const std::vector<std::int64_t> prompt{1, 5, 3, 17};
  return generate(llama, std::span<const std::int64_t>(prompt), {.max_new_tokens = 12});
}

}  // namespace

TEST_CASE("hf_llama: what is written is read to the same bits, configuration included") {
  for (const bool tied : {false, true}) {
    TempFolder folder;
    LlamaConfig c = tiny();
    c.tie_word_embeddings = tied, c.attention_bias = !tied, c.end_tokens = {2, 7};
    Llama<> from = model(c);
    write_hf_llama(folder.string(), from);
    const HfLlama stored(folder.string());
    CHECK(hf_llama_json(stored.config()) == hf_llama_json(c));
    Llama<> to = stored.load();
    const auto a = named_parameters(from), b = named_parameters(to);
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      CHECK_MESSAGE(same_bits(a[i].second->value(), b[i].second->value()), a[i].first);
      CHECK(b[i].second->requires_grad());
    }
  }
}

TEST_CASE("hf_llama: shards hold what one file holds, whatever lies in which") {
  TempFolder one, three;
  Llama<> from = model(tiny());
  write_hf_llama(one.string(), from);
  write_shards<float>(three, from, 3);
  const HfLlama stored(three.string());
  CHECK(stored.weights().files() == 3);
  CHECK(stored.weights().names() == WeightShards(one.string()).names());
  CHECK(answer(stored.load()) == answer(from));
}

TEST_CASE(
    "hf_llama: weights of bfloat16 stay as they are in the map and give the same answer as "
    "widened ones") {
  TempFolder folder;
  Llama<> from = model(tiny());
  write_shards<bfloat16>(folder, from, 2);
  const HfLlama stored(folder.string());
  Llama<> wide = stored.load(), mapped = stored.load(LlamaWeights::as_stored);
  CHECK(count_parameters(mapped) == count_parameters(from));
  CHECK(count_parameters(wide, true) == count_parameters(from));
  each_parameter(mapped, [&](const std::string& name, auto& p) {
    CHECK_MESSAGE(p.stored() == (p.rank() == 2), name);
    if (p.rank() == 2) CHECK_FALSE(p.requires_grad());
  });
  CHECK(answer(mapped) == answer(wide));
  NoGrad guard;
  const auto text = Tensor<std::int64_t>::from_values({1, 7}, {1, 2, 3, 4, 5, 6, 7});
  const auto logits = [&](const Llama<>& llama) {
    return llama.logits(llama.hidden(llama.embed(text))).value().to<double>();
  };
  CHECK(largest_difference(logits(mapped), logits(wide)) < 1e-5);
}

TEST_CASE(
    "hf_llama: rope_theta at the top, in rope_parameters, or nowhere; end tokens of "
    "generation_config.json") {
  Llama<> llama = model(tiny());
  const auto config_with = [&](const Json& entries, const char* generation = nullptr) {
    TempFolder folder;
    write_hf_llama(folder.string(), llama);
    Json json = hf_llama_json(llama.config);
    json.erase("rope_theta");
    json.update(entries);
    atomic_write(folder / "config.json", json.dump());
    if (generation != nullptr) atomic_write(folder / "generation_config.json", generation);
    return HfLlama(folder.string()).config();
  };
  CHECK(config_with(Json::object()).rope_theta == 10000);
  CHECK(config_with({{"rope_theta", 77.0}}).rope_theta == 77);
  CHECK(config_with({{"rope_parameters", {{"rope_theta", 78.0}, {"rope_type", "default"}}}})
            .rope_theta == 78);
  CHECK(config_with({{"rope_scaling", nullptr}, {"num_key_value_heads", 2}}).num_kv_heads == 2);
  CHECK(config_with({{"eos_token_id", 4}}, "{\"eos_token_id\": [5, 6]}").end_tokens ==
        std::vector<std::int64_t>{5, 6});
  CHECK(config_with({{"eos_token_id", 4}}, "{}").end_tokens == std::vector<std::int64_t>{4});
}

TEST_CASE("hf_llama: entries that are missing, absurd or ask for something else are named") {
  CHECK(has(fault_with("vocab_size", nullptr), "config.json: vocab_size: is not there"));
  CHECK(has(fault_with("model_type", "gpt2"), "model_type: is \"gpt2\", expected llama"));
  CHECK(has(fault_with("hidden_act", "gelu"), "hidden_act: is \"gelu\", expected silu"));
  CHECK(has(fault_with("num_hidden_layers", 100000), "num_hidden_layers: is 100000"));
  CHECK(has(fault_with("hidden_size", -4), "hidden_size: is -4"));
  CHECK(has(fault_with("head_dim", 3), "head_dim: is 3, expected an even number"));
  CHECK(has(fault_with("num_key_value_heads", 3), "num_key_value_heads: is 3"));
  CHECK(has(fault_with("rope_scaling", {{"type", "linear"}, {"factor", 2.0}}),
            "rope_scaling: asks for positions of type \"linear\""));
  CHECK(has(fault_with("eos_token_id", "end"), "eos_token_id: is \"end\""));
  CHECK(has(fault_with("rms_norm_eps", 0), "rms_norm_eps: is 0"));
  // sizes that the weights do not have, named before anything is made of that size
  CHECK(has(fault_with("hidden_size", 100000), "is (23, 12), "));
  CHECK(has(fault_with("num_hidden_layers", 3),
            "\"model.layers.2.self_attn.q_proj.weight\": is "
            "not there"));
  CHECK(has(error_of([] { HfLlama("/nowhere"); }), "/nowhere/config.json: is not there"));
}

TEST_CASE("hf_llama: shards that are missing, lack a tensor or lie elsewhere are named") {
  Llama<> llama = model(tiny());
  const auto fault_of = [&](auto change) {
    TempFolder folder;
    write_shards<float>(folder, llama, 2);
    Json index = read_json(folder / "model.safetensors.index.json");
    change(folder, index["weight_map"]);
    atomic_write(folder / "model.safetensors.index.json", index.dump());
    return error_of([&] { HfLlama{folder.string()}; });
  };
  CHECK(has(fault_of([](const TempFolder& f, Json&) {
              std::filesystem::remove(f / "model-1.safetensors");
            }),
            "model-1.safetensors: is not there; "));
  CHECK(has(fault_of([](const TempFolder&, Json& map) {
              map["model.norm.weight"] = map["model.norm.weight"] == "model-0.safetensors"
                                             ? "model-1.safetensors"
                                             : "model-0.safetensors";
            }),
            "\"model.norm.weight\": is not in this shard"));
  CHECK(has(fault_of([](const TempFolder&, Json& map) { map.erase("model.norm.weight"); }),
            "index.json: \"model.norm.weight\": is not there"));
  CHECK(has(fault_of([](const TempFolder&, Json& map) {
              map["model.norm.weight"] = "../model-0.safetensors";
            }),
            "expected a file beside the index"));
  CHECK(has(fault_of([](const TempFolder&, Json& map) { map["model.norm.weight"] = 7; }),
            "is 7, expected the name of a file"));
  CHECK(has(fault_of([](const TempFolder&, Json& map) { map = 7; }), "weight_map: is not there"));
  CHECK(has(
      fault_of([](const TempFolder& f, Json&) { atomic_write(f / "model-1.safetensors", "cut"); }),
      "model-1.safetensors: "));
  TempFolder empty;
  CHECK(has(error_of([&] { WeightShards{empty.string()}; }), "has neither model.safetensors"));
}
