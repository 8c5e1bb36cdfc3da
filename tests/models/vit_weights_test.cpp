// Weights of encoders under the names of every program that writes them.
#include "../io/temp_folder.hpp"
#include "../support/gradients.hpp"

#include <hlip/io/safetensors.hpp>
#include <hlip/io/safetensors_writer.hpp>
#include <hlip/models/vit_outputs.hpp>
#include <hlip/models/vit_weights.hpp>

#include <utility>
#include <vector>

using namespace test;

namespace {

using Stored = std::vector<std::pair<std::string, Tensor<float>>>;

VitConfig small(FeedForward ffn = FeedForward::mlp, index_t registers = 0) {
  VitConfig c;
  c.img_size = 12, c.patch_size = 4;
  c.embed_dim = 128, c.depth = 3, c.num_heads = 2;
  c.ffn = ffn, c.reg_tokens = registers;
  c.layer_scale = 1;
  if (registers > 0) c.positions = {.interpolate_offset = 0, .antialias = true};
  return c;
}

/// An encoder none of whose parameters is a constant.
Vit<> random_vit(const VitConfig& c, std::uint32_t stream) {
  Initializer init(0);
  Vit<> vit(c, init);
  each_parameter(vit, [&](const std::string&, auto& p) {
    p.value().assign(numbers(p.shape(), stream++, -0.2, 0.2).template to<float>());
  });
  return vit;
}
Vit<> empty_vit(const VitConfig& c) {
  Initializer init(7);
  return Vit<>(c, init);
}
Stored stored(Vit<>& vit) {
  Stored list;
  each_parameter(vit,
                 [&](const std::string& name, auto& p) { list.emplace_back(name, p.value()); });
  return list;
}
void replace(std::string& name, std::string_view from, std::string_view to) {
  if (const auto at = name.find(from); at != name.npos) name.replace(at, from.size(), to);
}
NamedWeights weights_of(const TempFolder& folder, const Stored& list) {
  SafetensorsWriter writer;
  for (const auto& [name, tensor] : list) writer.add(name, tensor);
  writer.write(folder / "w.safetensors");
  NamedWeights weights(SafetensorsFile(folder / "w.safetensors"));
  name_as_vit(weights);
  return weights;
}
bool same_features(const Vit<>& a, const Vit<>& b) {
  const Var<float> x(numbers({2, 3, 12, 12}, 99).to<float>());
  NoGrad guard;
  const auto f = vit_features(a, x), g = vit_features(b, x);
  return same_bits(f.cls.value(), g.cls.value()) && same_bits(f.patches.value(), g.patches.value());
}
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
const FeedForward both[] = {FeedForward::mlp, FeedForward::swiglu};

/// As timm keeps it: the class token with its position, the table without, gate and value as fc1.
Stored as_timm(Vit<>& vit) {
  Stored list;
  const bool registers = vit.config.reg_tokens > 0;
  for (auto& [name, value] : stored(vit)) {
    if (name == "mask_token") continue;
    replace(name, "register_tokens", "reg_token");
    replace(name, ".mlp.w12.", ".mlp.fc1.");
    replace(name, ".mlp.w3.", ".mlp.fc2.");
    if (name == "cls_token" && registers) value = value + vit.pos_embed.value().slice(1, 0, 1);
    if (name == "pos_embed" && registers) value = value.slice(1, 1, value.dim(1)).contiguous();
    list.emplace_back(name, value);
  }
  list.emplace_back("head.weight", Tensor<float>::ones({5, 128}));
  return list;
}

/// As Hugging Face keeps it: query, key and value apart.
Stored as_hf(Vit<>& vit, const std::string& front) {
  Stored list;
  for (auto& [name, value] : stored(vit)) {
    if (name.find(".attn.qkv.") == name.npos) {
      list.emplace_back(front + detail::name_for_hf(name), value);
      continue;
    }
    const index_t rows = value.dim(0) / 3;
    index_t at = 0;
    for (const char* which : {"query", "key", "value"}) {
      std::string part = name;
      replace(part, ".attn.qkv.", std::string(".attn.") + which + ".");
      list.emplace_back(front + detail::name_for_hf(part),
                        value.slice(0, at, at + rows).contiguous());
      at += rows;
    }
  }
  return list;
}

}  // namespace

TEST_CASE("vit_weights: DINOv2's names, plain and of a training checkpoint with blocks in chunks") {
  for (const FeedForward ffn : both)
    for (const bool training : {false, true}) {
      CAPTURE(training);
      TempFolder folder;
      Vit<> from = random_vit(small(ffn), 1), to = empty_vit(small(ffn));
      Stored list;
      for (auto& [name, value] : stored(from)) {
        if (training) {
          replace(name, "blocks.0.", "blocks.0.0.");
          replace(name, "blocks.1.", "blocks.0.1.");
          replace(name, "blocks.2.", "blocks.1.2.");
          name = "teacher.backbone." + name;
        }
        list.emplace_back(name, value);
      }
      if (training) {
        list.emplace_back("teacher.dino_head.last_layer.weight_g", Tensor<float>::ones({5, 1}));
        list.emplace_back("student.backbone.cls_token", Tensor<float>::ones({1, 1, 128}));
      }
      const NamedWeights weights = weights_of(folder, list);
      const LoadReport report = load_vit_weights(to, weights);
      CHECK_MESSAGE(report.ok(), report.to_text());
      CHECK(report.loaded.size() == named_parameters(to).size());
      CHECK(weights.left_out().size() == (training ? 2 : 0));
      CHECK(same_features(from, to));
      const VitConfig c = vit_config_of_weights(weights);
      CHECK((c.img_size == 12 && c.patch_size == 4 && c.embed_dim == 128 && c.depth == 3));
      CHECK((c.num_heads == 2 && c.ffn == ffn && c.mlp_ratio == doctest::Approx(4).epsilon(0.01)));
      CHECK((c.layer_scale == 1 && c.reg_tokens == 0));
    }
}

TEST_CASE("vit_weights: timm's names, with registers, gate and value packed, and no mask token") {
  for (const FeedForward ffn : both)
    for (const index_t registers : {0, 4}) {
      CAPTURE(registers);
      TempFolder folder;
      Vit<> from = random_vit(small(ffn, registers), 1), to = empty_vit(small(ffn, registers));
      const NamedWeights weights = weights_of(folder, as_timm(from));
      const LoadReport report = load_vit_weights(to, weights);
      CHECK_MESSAGE(report.ok(), report.to_text());
      CHECK(same_features(from, to));
      CHECK(has(weights_table(weights, report), "left out"));
      const VitConfig c = vit_config_of_weights(weights);
      CHECK((c.img_size == 12 && c.ffn == ffn && c.reg_tokens == registers));
      CHECK(c.positions.antialias == (registers > 0));
      Initializer init(3);
      Vit<> made(c, init);
      CHECK(load_vit_weights(made, weights).ok());
      CHECK(same_features(from, made));
    }
}

TEST_CASE("vit_weights: Hugging Face's names, query, key and value apart") {
  for (const FeedForward ffn : both)
    for (const index_t registers : {0, 3})
      for (const std::string front : {"", "dinov2.", "model."}) {
        CAPTURE(front);
        TempFolder folder;
        Vit<> from = random_vit(small(ffn, registers), 1), to = empty_vit(small(ffn, registers));
        const Stored list = as_hf(from, front);
        CHECK(std::any_of(list.begin(), list.end(), [&](const auto& entry) {
          return entry.first == front + "encoder.layer.2.attention.attention.key.bias";
        }));
        const NamedWeights weights = weights_of(folder, list);
        const LoadReport report = load_vit_weights(to, weights);
        CHECK_MESSAGE(report.ok(), report.to_text());
        CHECK(same_features(from, to));
      }
}

TEST_CASE("vit_weights: the names of transformers' modules since version 5, gate and value apart") {
  for (const FeedForward ffn : both) {
    TempFolder folder;
    Vit<> from = random_vit(small(ffn), 1), to = empty_vit(small(ffn));
    Stored list;
    for (auto& [name, value] : as_hf(from, "")) {
      replace(name, ".attention.attention.query.", ".attention.q_proj.");
      replace(name, ".attention.attention.key.", ".attention.k_proj.");
      replace(name, ".attention.attention.value.", ".attention.v_proj.");
      replace(name, ".attention.output.dense.", ".attention.o_proj.");
      replace(name, ".mlp.weights_out.", ".mlp.down_proj.");
      std::string gate = name, up = name;
      replace(gate, ".mlp.weights_in.", ".mlp.gate_proj.");
      replace(up, ".mlp.weights_in.", ".mlp.up_proj.");
      const index_t half = value.dim(0) / 2;
      if (gate == name) list.emplace_back(name, value);
      else list.emplace_back(gate, value.slice(0, 0, half).contiguous());
      if (up != name) list.emplace_back(up, value.slice(0, half, 2 * half).contiguous());
    }
    const NamedWeights weights = weights_of(folder, list);
    const LoadReport report = load_vit_weights(to, weights);
    CHECK_MESSAGE(report.ok(), report.to_text());
    CHECK(same_features(from, to));
    CHECK(vit_config_of_weights(weights).ffn == ffn);
  }
}

TEST_CASE("vit_weights: gate and value of timm's packed layer are in DINOv2's order") {
  // one block whose attention adds nothing: x + w3(silu(gate)·value), by hand
  VitConfig c = small(FeedForward::swiglu);
  c.depth = 1;
  Vit<> from = random_vit(c, 1), to = empty_vit(c);
  TempFolder folder;
  load_vit_weights(to, weights_of(folder, as_timm(from)));
  const auto& layer = to.blocks[0].swiglu;
  const Tensor<float> x = numbers({1, 128}, 5).to<float>(),
                      all = from.blocks[0].swiglu.w12.weight.value();
  const index_t hidden = all.dim(0) / 2;
  const auto product = [&](const Tensor<float>& w, const Tensor<float>& b) {
    return Tensor<float>(matmul(x, w.permute({1, 0}).contiguous()) + b);
  };
  const Tensor<float> bias = from.blocks[0].swiglu.w12.bias.value();
  const Tensor<float> gate = product(all.slice(0, 0, hidden).contiguous(),
                                     bias.slice(0, 0, hidden)),
                      value = product(all.slice(0, hidden, 2 * hidden).contiguous(),
                                      bias.slice(0, hidden, 2 * hidden));
  const Tensor<float> gated = gate * sigmoid(gate) * value;
  const Tensor<float> want =
      matmul(gated, from.blocks[0].swiglu.w3.weight.value().permute({1, 0}).contiguous()) +
      from.blocks[0].swiglu.w3.bias.value();
  CHECK(largest_difference(layer(Var<float>(x)).value().to<double>(), want.to<double>()) < 1e-5);
}

TEST_CASE("vit_weights: a table of positions for another size is resized, another width is not") {
  TempFolder folder;
  VitConfig larger = small();
  larger.img_size = 20;
  Vit<> from = random_vit(larger, 1), to = empty_vit(small());
  const NamedWeights weights = weights_of(folder, stored(from));
  const LoadReport report = load_vit_weights(to, weights);
  CHECK(report.ok());
  CHECK(report.resized == std::vector<std::string>{"pos_embed (1, 26, 128) → (1, 10, 128)"});
  CHECK(has(weights_table(weights, report), "resized          1  pos_embed (1, 26, 128)"));
  CHECK(same_bits(to.pos_embed.value(),
                  resize_grid_positions(from.pos_embed, 1, 3, 3, to.config.positions).value()));

  // of timm, without the class token's
  VitConfig registers = small(FeedForward::mlp, 4);
  registers.img_size = 20;
  Vit<> timm = random_vit(registers, 1), fits = empty_vit(small(FeedForward::mlp, 4));
  const LoadReport resized = load_vit_weights(fits, weights_of(folder, as_timm(timm)));
  CHECK(resized.ok());
  CHECK(resized.resized.size() == 1);

  VitConfig wider = small();
  wider.embed_dim = 192, wider.num_heads = 3;
  Vit<> other = random_vit(wider, 1);
  const LoadReport bad = load_vit_weights(to, weights_of(folder, stored(other)));
  CHECK(bad.mismatched.size() > 10);
}

TEST_CASE("vit_weights: what is missing or beyond hlip is told with the table") {
  TempFolder folder;
  Vit<> from = random_vit(small(), 1), to = empty_vit(small());
  const auto told = [&](const Stored& list) {
    const NamedWeights weights = weights_of(folder, list);
    return error_of(
        [&] { expect_whole_encoder(weights, load_vit_weights(to, weights), "an encoder"); });
  };
  const Stored all = stored(from);
  CHECK(told(all) == "no error");
  Stored without;
  for (const auto& entry : all)
    if (entry.first != "blocks.1.norm2.bias") without.push_back(entry);
  CHECK(has(told(without), "w.safetensors: does not hold an encoder\n"));
  CHECK(has(told(without), "missing          1  blocks.1.norm2.bias"));
  Stored more = all;
  more.emplace_back("blocks.1.attn.q_norm.weight", Tensor<float>::ones({64}));
  CHECK(has(told(more), "unexpected       1  blocks.1.attn.q_norm.weight"));
  // a key of another shape than the query's is no part of an attention
  Stored parts = as_hf(from, "");
  for (auto& [name, value] : parts)
    if (name.ends_with("layer.0.attention.attention.key.weight"))
      value = Tensor<float>::ones({64, 128});
  CHECK(has(told(parts), "missing          1  blocks.0.attn.qkv.weight"));
}

TEST_CASE(
    "vit_weights: files that are no encoder, or absurd ones, are refused before memory is taken") {
  TempFolder folder;
  Vit<> from = random_vit(small(), 1);
  const Stored all = stored(from);
  const auto with = [&](const std::string& changed, const Tensor<float>* value) {
    Stored list;
    for (const auto& entry : all) {
      if (entry.first != changed) list.push_back(entry);
      else if (value) list.emplace_back(changed, *value);
    }
    const NamedWeights weights = weights_of(folder, list);
    return error_of([&] { expect_held(vit_config_of_weights(weights), weights); });
  };
  const auto zeros = [](const Shape& shape) { return Tensor<float>::zeros(shape); };
  CHECK(with("", nullptr) == "no error");
  CHECK(has(with("patch_embed.proj.weight", nullptr),
            "patch_embed.proj.weight: is not there, so these are no weights of an encoder"));
  CHECK(has(with("blocks.0.norm1.weight", nullptr), "depth: is 0, expected 1 to 1024"));
  for (const auto& [name, shape, part] : std::vector<std::tuple<std::string, Shape, std::string>>{
           {"pos_embed", {1, 12, 128}, "whose positions form no square"},
           {"pos_embed", {12, 128}, "expected 3 axes"},
           {"pos_embed", {1, 1 << 30, 0}, "whose positions form no square"},
           {"patch_embed.proj.weight", {128, 3, 0, 0}, "patch_size: is 0, expected 1 to 1024"},
           {"patch_embed.proj.weight", {128, 0, 1 << 20, 4}, "patch_size: is 1048576"},
           {"patch_embed.proj.weight", {0, 3, 4, 4}, "embed_dim: is 0, expected 1 to 16384"},
           {"patch_embed.proj.weight", {1 << 20, 0, 4, 4}, "in_chans: is 0"},
           {"patch_embed.proj.weight", {128, 3, 4}, "expected 4 axes"},
           {"blocks.0.mlp.fc2.weight", {128, 0}, "mlp_ratio: is 0"},
           {"blocks.0.mlp.fc2.weight", {0, 1 << 24}, "mlp_ratio: is 131072"},
           {"patch_embed.proj.weight",
            {16384, 1, 1, 1},
            "numbers, an encoder of 3 blocks of width 16384 has"}}) {
    const Tensor<float> value = zeros(shape);
    const std::string fault = with(name, &value);
    CHECK_MESSAGE(has(fault, part), fault);
  }
}

TEST_CASE("vit_weights: the number of parameters is known before they are") {
  for (const FeedForward ffn : both)
    for (const index_t registers : {0, 2})
      for (const double scale : {0.0, 1.0}) {
        VitConfig c = small(ffn, registers);
        c.layer_scale = scale, c.mask_token = scale > 0, c.mlp_ratio = 2.5;
        Vit<> vit = empty_vit(c);
        CHECK(vit_parameter_count(c) == count_parameters(vit));
      }
}
