#include "../support/gradients.hpp"

#include <hlip/models/configs.hpp>
#include <hlip/ops/matmul.hpp>

#include <algorithm>

using namespace test;

namespace {

using Ids = Tensor<std::int64_t, Cpu>;

/// A published configuration, shrunk: the names do not depend on the sizes.
ClipConfig shrunk(std::string_view name, int depth, int layers) {
  ClipConfig c = clip_config(name);
  c.embed_dim = 8;
  c.vision.img_size = {4, 4, 4}, c.vision.patch_size = {2, 2, 2};
  c.vision.embed_dim = 12, c.vision.num_heads = 2, c.vision.depth = depth;
  for (auto& list : c.vision.blocks_of_level)
    std::erase_if(list, [&](int block) { return block >= depth; });
  c.text = {.vocab_size = 20,
            .hidden_size = 6,
            .num_layers = layers,
            .num_heads = 2,
            .intermediate_size = 12,
            .max_positions = 16};
  return c;
}

std::vector<std::string> names_of(Clip<3, double, Cpu>& model) {
  std::vector<std::string> names;
  for (const auto& [name, p] : named_parameters(model)) names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

/// What the published checkpoints hold (reference document HLIP, 1.7 and 2).
std::vector<std::string> published_names(int depth, int layers, bool scans, bool registers,
                                         bool siglip) {
  std::vector<std::string> names = {"logit_scale", "visual.head.proj.weight", "text.proj.weight"};
  if (siglip) names.push_back("logit_bias");
  const auto both = [&](const std::string& layer) {
    names.push_back(layer + ".weight");
    names.push_back(layer + ".bias");
  };
  const std::string trunk = "visual.trunk.";
  for (const char* token : {"cls_token", "spatial_posemb"}) names.push_back(trunk + token);
  if (scans) names.push_back(trunk + "sequential_posemb");
  if (registers) names.push_back(trunk + "reg_token");
  both(trunk + "patch_embed.proj");
  both(trunk + "norm");
  for (int i = 0; i < depth; ++i)
    for (const char* layer : {"norm1", "norm2", "attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"})
      both(trunk + "blocks." + std::to_string(i) + "." + layer);
  const std::string bert = "text.transformer.";
  for (const char* table : {"word", "position", "token_type"})
    names.push_back(bert + "embeddings." + table + "_embeddings.weight");
  both(bert + "embeddings.LayerNorm");
  for (int i = 0; i < layers; ++i)
    for (const char* layer : {"attention.self.query", "attention.self.key", "attention.self.value",
                              "attention.output.dense", "attention.output.LayerNorm",
                              "intermediate.dense", "output.dense", "output.LayerNorm"})
      both(bert + "encoder.layer." + std::to_string(i) + "." + layer);
  std::sort(names.begin(), names.end());
  return names;
}

Clip<3, double, Cpu> small_model(bool siglip = false) {
  ClipConfig c = shrunk("vit_base_multiscan_h3_token1176", 3, 2);
  c.siglip = siglip;
  return Clip<3, double, Cpu>(c, 1);
}

}  // namespace

TEST_CASE(
    "clip: the state has the names of the published checkpoints, for every published "
    "configuration") {
  for (const std::string& name : clip_config_names()) {
    if (name.find("phantom") != std::string::npos) continue;
    CAPTURE(name);
    for (bool siglip : {false, true}) {
      ClipConfig c = shrunk(name, 3, 2);
      c.siglip = siglip;
      Clip<3, double, Cpu> model(c, 1);
      CHECK(names_of(model) == published_names(3, 2,
                                               name.find("multiscan") != std::string::npos ||
                                                   name == "vit_base_scan_study_token1176",
                                               name.find("dual") != std::string::npos, siglip));
    }
  }
}

TEST_CASE("clip: shapes, frozen tables and the starting scale") {
  Clip<3, double, Cpu> model = small_model();
  std::map<std::string, Variable*> p;
  for (auto& [name, var] : named_parameters(model)) p[name] = var;
  CHECK(p["visual.trunk.cls_token"]->shape() == Shape{1, 1, 12});
  CHECK(p["visual.trunk.spatial_posemb"]->shape() == Shape{1, 2, 2, 2, 12});
  CHECK(p["visual.trunk.sequential_posemb"]->shape() == Shape{1, 40, 12});
  CHECK(p["visual.trunk.patch_embed.proj.weight"]->shape() == Shape{12, 1, 2, 2, 2});
  CHECK(p["visual.trunk.blocks.0.attn.qkv.weight"]->shape() == Shape{36, 12});
  CHECK(p["visual.trunk.blocks.2.mlp.fc1.weight"]->shape() == Shape{48, 12});
  CHECK(p["visual.head.proj.weight"]->shape() == Shape{8, 12});
  CHECK(p["text.proj.weight"]->shape() == Shape{8, 6});
  for (auto& [name, var] : p)
    CHECK(var->requires_grad() == (name.find("posemb") == std::string::npos));
  CHECK(model.logit_scale.item() == doctest::Approx(std::log(1 / 0.07)).epsilon(1e-15));
  CHECK(model.logit_scale.rank() == 0);
  Clip<3, double, Cpu> sigmoid = small_model(true);
  CHECK(sigmoid.logit_scale.item() == doctest::Approx(std::log(10.0)).epsilon(1e-15));
  CHECK(sigmoid.logit_bias.item() == -10);
}

TEST_CASE("clip: features have length 1, and a seed means one model") {
  const auto a = small_model(), b = small_model();
  const Variable x(numbers({2, 3, 1, 4, 4, 4}, 1));
  const Ids ids = Ids::from_values({2, 4}, {2, 7, 3, 0, 2, 9, 9, 3});
  for (const Variable& f : {a.encode_image(x), a.encode_text(ids)}) {
    CHECK(f.shape() == Shape{2, 8});
    CHECK(largest_difference(sum(Array(square(f.value())), {1}), Array::ones({2})) < 1e-14);
  }
  CHECK(same_bits(a.encode_image(x).value(), b.encode_image(x).value()));
}

TEST_CASE(
    "clip: of an encoder with two outputs prompts are compared with the first, reports with the "
    "second, and both have length 1") {
  const ClipConfig c = shrunk("vit_base_scan_study_dualdinotxt1568", 3, 2);
  Clip<3, double, Cpu> model(c, 1);
  model.visual.trunk.reg_token = Variable(numbers({1, 1, 12}, 3), true);
  CHECK(model.visual.head.proj.weight.shape() == Shape{8, 24});
  CHECK(c.report_output() == 1);
  const Variable x(numbers({2, 3, 1, 4, 4, 4}, 1));
  const Array all = model.encode_image_outputs(x).value(), first = model.encode_image(x).value(),
              second = model.encode_image(x, {}, {}, 1).value();
  REQUIRE(all.shape() == Shape{4, 8});
  CHECK(largest_difference(sum(Array(square(all)), {1}), Array::ones({4})) < 1e-14);
  for (index_t study : {0, 1}) {
    CHECK(same_bits(Array(first.select(0, study).contiguous()),
                    Array(all.select(0, 2 * study).contiguous())));
    CHECK(same_bits(Array(second.select(0, study).contiguous()),
                    Array(all.select(0, 2 * study + 1).contiguous())));
  }
  CHECK(largest_difference(first, second) > 1e-3);
  CHECK(error_of([&] { model.encode_image(x, {}, {}, 2); }) ==
        "encode_image: output 2 of 2 that vit_base_scan_study_dualdinotxt1568 has");
  ClipConfig one = shrunk("vit_base_multiscan_h3_token1176", 3, 2);
  one.dual_text = true;
  CHECK(error_of([&] { Clip<3, double, Cpu>(one, 1); }) ==
        "vit_base_multiscan_h3_token1176: two text targets need an encoder with 2 outputs, this "
        "one has 1 (hint: pooling token_and_mean, reg_tokens 1)");
}

TEST_CASE("clip: the pooled text is the first token, or the mean over what is not padding") {
  auto model = small_model();
  const Ids ids = Ids::from_values({2, 4}, {2, 7, 3, 0, 2, 9, 9, 3});
  const Array hidden = model.text.transformer(ids).value().reshape({2, 4, 6}),
              w = model.text.proj.weight.value();
  CHECK(largest_difference(model.text(ids).value(),
                           matmul(hidden.select(1, 0), w.transpose(0, 1))) < 1e-13);
  model.text.pooling = TextPooling::mean;
  const Array first = mean(hidden.select(0, 0).slice(0, 0, 3), {0}, true),
              second = mean(hidden.select(0, 1), {0}, true);
  CHECK(largest_difference(
            model.text(ids).value(),
            matmul(concat(std::vector<Array>{first, second}, 0), w.transpose(0, 1))) < 1e-13);
}

TEST_CASE(
    "clip: a locked text tower trains its LayerNorms, its last layers if wanted, and the "
    "projection") {
  const auto trained = [](index_t layers, bool freeze_norms) {
    auto model = small_model();
    lock_text_tower(model, layers, freeze_norms);
    std::set<std::string> names;
    for (auto& [name, p] : named_parameters(model))
      if (p->requires_grad() && name.find("text.") == 0) names.insert(name);
    return names;
  };
  const auto all = trained(0, false);
  CHECK(all.size() == 1 + 2 + 2 * 4);
  for (const auto& name : all)
    CHECK_MESSAGE((name == "text.proj.weight" || name.find("LayerNorm") != std::string::npos),
                  name);
  CHECK(trained(0, true) == std::set<std::string>{"text.proj.weight"});
  const auto last = trained(1, true);
  CHECK(last.size() == 1 + 16);
  CHECK(last.count("text.transformer.encoder.layer.1.attention.self.query.weight") == 1);
  CHECK(last.count("text.transformer.encoder.layer.0.attention.self.query.weight") == 0);
}

TEST_CASE("clip: a shape error names the path of the layer") {
  const auto model = small_model();
  CHECK(error_of([&] {
          model.encode_image(Variable(numbers({1, 1, 2, 4, 4, 4}, 1)));
        }) ==
        "visual.trunk (hlip_vit): x is (1, 1, 2, 4, 4, 4), expected (B, N, in_chans = 1, D, H, W)");
  CHECK(error_of([&] {
          model.encode_text(Ids::ones({1, 17}));
        }) == "text.transformer (bert): 17 tokens, the position table has 16");
}
