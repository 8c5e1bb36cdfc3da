#include "../io/temp_folder.hpp"
#include "../support/gradients.hpp"

#include <hlip/models/hf_text_model.hpp>

using namespace test;

namespace {

const std::string config =
    R"({"model_type":"bert","hidden_act":"gelu","vocab_size":9,"hidden_size":6,)"
    R"("num_hidden_layers":2,"num_attention_heads":2,"intermediate_size":8,)"
    R"("max_position_embeddings":7,"type_vocab_size":2,"layer_norm_eps":1e-5,)"
    R"("hidden_dropout_prob":0.25,"attention_probs_dropout_prob":0.25,"pad_token_id":0})";

std::string fault_with(const std::string& part, const std::string& other) {
  TempFolder folder;
  std::string text = config;
  text.replace(text.find(part), part.size(), other);
  atomic_write(folder / "config.json", text);
  return error_of([&] { HfTextModel{folder.string()}; });
}
bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("hf_text_model: sizes and weights are those of the folder") {
  TempFolder folder;
  atomic_write(folder / "config.json", config);
  const HfTextModel model(folder.string());
  const BertConfig& c = model.config();
  CHECK((c.vocab_size == 9 && c.hidden_size == 6 && c.num_layers == 2 && c.num_heads == 2 &&
         c.intermediate_size == 8 && c.max_positions == 7 && c.type_vocab_size == 2));
  CHECK((c.layer_norm_eps == 1e-5 && c.dropout == 0.25));
  CHECK(model.vocab_path() == folder / "vocab.txt");
  CHECK(has(error_of([&] { model.weights_path(); }),
            "has neither model.safetensors nor pytorch_model.bin"));

  Initializer one(1), two(2);
  Bert<float, Cpu> from(c, one), to(c, two);
  const auto write = [&](bool whole) {
    SafetensorsWriter writer;
    each_parameter(from, [&](const std::string& name, auto& p) {
      if (whole || name != "encoder.layer.1.output.dense.bias") writer.add(name, p.value());
    });
    writer.write(folder / "model.safetensors");
  };
  write(true);
  CHECK(has(model.load(to), "missing          0"));
  const auto ids = Tensor<std::int64_t>::from_values({1, 3}, {1, 5, 2});
  CHECK(same_bits(from(ids).value(), to(ids).value()));
  CHECK(to.embeddings.layer_norm.eps == 1e-5);
  write(false);
  CHECK(has(error_of([&] { model.load(to); }), "does not hold the encoder"));
  CHECK(has(error_of([&] { model.load(to); }),
            "missing          1  encoder.layer.1.output.dense.bias"));
}

TEST_CASE("hf_text_model: what hlip would compute otherwise is refused") {
  CHECK(has(fault_with("\"bert\"", "\"roberta\""),
            "model_type: is \"roberta\", expected bert or cxr-bert"));
  CHECK(has(fault_with("\"gelu\"", "\"gelu_new\""), "hidden_act: is \"gelu_new\", expected gelu"));
  CHECK(has(fault_with("\"hidden_size\":6,", ""), "hidden_size: is not there"));
  CHECK(has(fault_with("\"num_hidden_layers\":2", "\"num_hidden_layers\":-2"),
            "num_hidden_layers: is -2, expected a whole number from 1"));
  CHECK(has(fault_with("\"vocab_size\":9", "\"vocab_size\":1e300"), "vocab_size: is 1e+300"));
  CHECK(has(
      fault_with("\"attention_probs_dropout_prob\":0.25", "\"attention_probs_dropout_prob\":0.5"),
      "hlip has one rate for both"));
  CHECK(has(fault_with("\"pad_token_id\":0", "\"pad_token_id\":1"),
            "pad_token_id: is 1, expected 0"));
  CHECK(has(fault_with("{\"model_type\"", "[\"model_type\""), "not valid JSON"));
  TempFolder folder;
  CHECK(has(error_of([&] { HfTextModel{folder.string()}; }), "config.json: is not there"));
  atomic_write(folder / "config.json", config);
  atomic_write(folder / "tokenizer_config.json", R"({"do_lower_case":false})");
  CHECK(has(error_of([&] { HfTextModel{folder.string()}; }), "do_lower_case: is false"));
}
