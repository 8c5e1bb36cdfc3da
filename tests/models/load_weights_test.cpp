#include "../io/temp_folder.hpp"
#include "../support/gradients.hpp"

#include <hlip/io/safetensors.hpp>
#include <hlip/models/configs.hpp>
#include <hlip/models/load_weights.hpp>

using namespace test;

namespace {

using Ids = Tensor<std::int64_t, Cpu>;

ClipConfig small(index_t lora_rank = 0) {
  ClipConfig c = clip_config("phantom");
  c.embed_dim = 8;
  c.vision.img_size = {4, 4, 4}, c.vision.patch_size = {2, 2, 2}, c.vision.embed_dim = 12,
  c.vision.depth = 2, c.vision.num_heads = 2;
  c.vision.blocks_of_level = {{0}, {}, {1}};
  c.text = {.vocab_size = 9,
            .hidden_size = 6,
            .num_layers = 2,
            .num_heads = 2,
            .intermediate_size = 8,
            .max_positions = 7,
            .dropout = 0,
            .init_std = 0.5,
            .lora_rank = lora_rank,
            .lora_alpha = 2};
  return c;
}
Clip<> model(std::uint64_t seed, index_t lora_rank = 0) { return Clip<>(small(lora_rank), seed); }

/// Writes the parameters of a module, each under `renamed(name)`.
template <class M, class Renamed>
NamedWeights saved(const TempFolder& folder, M& module, Renamed renamed) {
  SafetensorsWriter writer;
  each_parameter(module,
                 [&](const std::string& name, auto& p) { writer.add(renamed(name), p.value()); });
  writer.write(folder / "w.safetensors");
  return NamedWeights(SafetensorsFile(folder / "w.safetensors", {}, MapAccess::copy_on_write));
}
template <class M> bool same_parameters(M& a, M& b) {
  const auto x = named_parameters(a), y = named_parameters(b);
  bool same = x.size() == y.size();
  for (std::size_t i = 0; i < x.size() && same; ++i)
    same = x[i].first == y[i].first && same_bits(x[i].second->value(), y[i].second->value());
  return same;
}
const Ids ids = Ids::from_values({2, 4}, {2, 7, 3, 0, 2, 8, 8, 3});

}  // namespace

TEST_CASE(
    "load_weights: a checkpoint of open_clip fits as it is, pooler and position ids left out") {
  TempFolder folder;
  Clip<> from = model(1), to = model(2), mapped = model(3);
  SafetensorsWriter writer;
  each_parameter(from, [&](const std::string& name, auto& p) {
    writer.add("state_dict.module." + name, p.value());
  });
  writer.add("state_dict.module.text.transformer.pooler.dense.weight", Tensor<float>::ones({6, 6}));
  writer.add("state_dict.module.text.transformer.embeddings.position_ids",
             Tensor<std::int64_t>::arange(7));
  writer.write(folder / "w.safetensors");
  for (const bool map : {false, true}) {
    NamedWeights weights(SafetensorsFile(folder / "w.safetensors", {}, MapAccess::copy_on_write));
    const LoadReport report = load_clip_weights(map ? mapped : to, weights, map);
    CHECK(report.ok());
    CHECK(report.loaded.size() == named_parameters(to).size());
    CHECK(weights.left_out().size() == 2);
  }
  CHECK(same_parameters(from, to));
  CHECK(same_parameters(from, mapped));
}

TEST_CASE("load_weights: tables of positions are resized, another width is a wrong shape") {
  TempFolder folder;
  ClipConfig larger = small();
  larger.vision.img_size = {8, 8, 4}, larger.vision.max_num_scans = 5;
  Clip<> from(larger, 1);
  NamedWeights weights = saved(folder, from, [](const std::string& name) { return name; });
  ClipConfig config = small();
  config.vision.max_num_scans = 3, config.vision.embed_dim = 12;
  Clip<> to(config, 2);
  const LoadReport report = load_clip_weights(to, weights);
  CHECK(report.ok());
  CHECK(report.resized ==
        std::vector<std::string>{"visual.trunk.spatial_posemb (1, 4, 4, 2, 12) → (1, 2, 2, 2, 12)",
                                 "visual.trunk.sequential_posemb (1, 5, 12) → (1, 3, 12)"});
  CHECK(same_bits(to.visual.trunk.spatial_posemb.value(),
                  resize_spatial(from.visual.trunk.spatial_posemb.value(), 2, 2, 2)));
  CHECK(same_bits(to.visual.trunk.sequential_posemb.value(),
                  from.visual.trunk.sequential_posemb.value().slice(1, 0, 3).contiguous()));

  larger.vision.embed_dim = 24;
  Clip<> wider(larger, 1);
  NamedWeights other = saved(folder, wider, [](const std::string& name) { return name; });
  CHECK(load_clip_weights(to, other).mismatched.size() > 10);
}

TEST_CASE(
    "load_weights: LoRA changes nothing at first, and weights go into a model with it and out of "
    "it") {
  Clip<> plain = model(1), adapted = model(1, 2);
  CHECK(same_bits(plain.encode_text(ids).value(), adapted.encode_text(ids).value()));
  CHECK(count_parameters(adapted) == count_parameters(plain) + 2 * 2 * (6 * 2 + 2 * 6));

  TempFolder folder;
  NamedWeights from_plain = saved(folder, plain, [](const std::string& name) { return name; });
  Clip<> to = model(2, 2);
  LoadReport report = load_clip_weights(to, from_plain);
  CHECK(report.missing.size() == 8);
  for (const auto& name : report.missing)
    CHECK_MESSAGE(name.find(".lora_") != std::string::npos, name);
  CHECK(report.unexpected.empty());
  CHECK(same_bits(plain.encode_text(ids).value(), to.encode_text(ids).value()));

  to.text.transformer.encoder.layer[0].attention.self.query.lora_b.weight.value().fill(0.3f);
  NamedWeights from_adapted = saved(folder, to, [](const std::string& name) { return name; });
  CHECK(from_adapted.contains(
      "text.transformer.base_model.model.encoder.layer.0.attention.self.query.base_layer.weight"));
  CHECK(
      from_adapted.contains("text.transformer.base_model.model.encoder.layer.1.attention.self."
                            "value.lora_A.default.weight"));
  CHECK(from_adapted.contains(
      "text.transformer.base_model.model.encoder.layer.1.attention.self.key.weight"));
  Clip<> again = model(3, 2);
  CHECK(load_clip_weights(again, from_adapted).ok());
  CHECK(same_bits(again.encode_text(ids).value(), to.encode_text(ids).value()));
  CHECK_FALSE(same_bits(again.encode_text(ids).value(), plain.encode_text(ids).value()));
}

TEST_CASE(
    "load_weights: with --lora-text only the matrices and the projection of the text tower train") {
  Clip<> m = model(1, 2);
  lock_text_beside_lora(m);
  index_t trained = 0;
  for (const auto& parameter : named_parameters(m))
    if (const std::string& name = parameter.first;
        name.starts_with("text.") && parameter.second->requires_grad()) {
      CHECK_MESSAGE((name == "text.proj.weight" || name.find(".lora_") != std::string::npos), name);
      ++trained;
    }
  CHECK(trained == 1 + 8);
  sum(Var<float>(square(m.encode_text(ids) - 1))).backward();
  const auto& self = m.text.transformer.encoder.layer[0].attention.self;
  CHECK_FALSE(self.query.weight.has_grad());
  CHECK_FALSE(m.text.transformer.embeddings.word.weight.has_grad());
  // A has none while B is zero
  CHECK(largest_difference(Array(cast<double>(self.value.lora_b.weight.grad())),
                           Array::zeros({6, 2})) > 0);
}

TEST_CASE(
    "load_weights: BERT as Hugging Face saves it, bare, below a head, and with the old names of "
    "LayerNorm") {
  TempFolder folder;
  Initializer one(1), two(2);
  Bert<float, Cpu> from(small().text, one), to(small().text, two);
  SafetensorsWriter writer;
  each_parameter(from, [&](const std::string& name, auto& p) {
    std::string old = "bert." + name;
    if (const auto at = old.find("LayerNorm."); at != std::string::npos)
      old.replace(at + 10, std::string::npos, old.ends_with("weight") ? "gamma" : "beta");
    writer.add(old, p.value());
  });
  for (const char* name :
       {"bert.pooler.dense.bias", "bert.embeddings.position_ids", "cls.predictions.bias"})
    writer.add(name, Tensor<float>::ones({6}));
  writer.write(folder / "w.safetensors");
  NamedWeights weights{SafetensorsFile(folder / "w.safetensors")};
  CHECK(load_bert_weights(to, weights).ok());
  CHECK(same_parameters(from, to));
  CHECK(weights.left_out().size() == 3);
}

TEST_CASE("load_weights: a 2-D vision transformer inside a checkpoint, with the tables it gives") {
  TempFolder folder;
  Clip<> to = model(1), untouched = model(1);
  SafetensorsWriter writer;
  each_parameter(to.visual.trunk, [&](const std::string& name, auto& p) {
    if (name.starts_with("blocks.") || name.starts_with("norm.") || name == "patch_embed.proj.bias")
      writer.add("model." + name, Tensor<float>::full(p.shape(), 0.5f));
  });
  writer.add("model.cls_token", Tensor<float>::ones({1, 1, 12}));
  writer.add("model.pos_embed", Tensor<float>::full({1, 10, 12}, 0.25f));
  writer.add("model.patch_embed.proj.weight", Tensor<float>::full({12, 3, 2, 2}, 2.f));
  writer.add("model.head.weight", Tensor<float>::ones({3, 12}));
  writer.write(folder / "w.safetensors");
  NamedWeights weights{SafetensorsFile(folder / "w.safetensors")};
  const LoadReport report = load_image_weights(to.visual.trunk, weights);
  CHECK(report.ok());
  CHECK(report.resized ==
        std::vector<std::string>{"patch_embed.proj.weight (12, 3, 2, 2) → (12, 1, 2, 2, 2)",
                                 "pos_embed (1, 10, 12) → spatial_posemb (1, 2, 2, 2, 12)"});
  CHECK(weights.left_out().size() == 1);
  // with the class token's position
  CHECK(to.visual.trunk.cls_token.value().at({0, 0, 0}) == 1.25f);
  // 3 channels, spread over 2 slices
  CHECK(to.visual.trunk.patch_embed.proj.weight.value().at({0, 0, 0, 0, 0}) == 3.f);
  CHECK(to.visual.trunk.spatial_posemb.value().at({0, 0, 0, 0, 0}) == doctest::Approx(0.25f));
  CHECK(same_parameters(to.text, untouched.text));

  NamedWeights not_a_vit = saved(folder, to.text, [](const std::string& name) { return name; });
  CHECK(error_of([&] {
          load_image_weights(to.visual.trunk, not_a_vit);
        }).find("cls_token: is not there, so these are no weights of a 2-D vision transformer") !=
        std::string::npos);
  LoadReport nothing;
  CHECK(error_of([&] {
          expect_some_loaded(not_a_vit, nothing);
        }).find("holds nothing that fits the model\nweights of ") != std::string::npos);
}
