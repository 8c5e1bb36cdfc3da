#include "../support/errors.hpp"

#include <hlip/losses/contrastive.hpp>
#include <hlip/models/configs.hpp>
#include <hlip/systems/hlip/encode_pairs.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace hlip;
using test::error_of;

namespace {

Clip<> model(bool dual) {
  ClipConfig c;
  c.name = "tiny";
  c.embed_dim = 8;
  c.vision.img_size = {4, 4, 4}, c.vision.patch_size = {2, 2, 2};
  c.vision.embed_dim = 12, c.vision.depth = 2, c.vision.num_heads = 2, c.vision.init_std = 0.3,
  c.vision.blocks_of_level = {{}, {0}, {1}};
  c.text = {.vocab_size = 20,
            .hidden_size = 8,
            .num_layers = 1,
            .num_heads = 2,
            .intermediate_size = 16,
            .max_positions = 8,
            .dropout = 0.0,
            .init_std = 0.3};
  if (dual) with_dual_text(c);
  else c.vision.reg_tokens = 1, c.vision.pooling = VisualPooling::token_and_mean;
  return Clip<>(c, 3);
}

ImageTextBatch<> batch(index_t from, index_t studies) {
  ImageTextBatch<> b{Tensor<float>::empty({studies, 2, 1, 4, 4, 4}),
                     Tensor<std::int64_t>::empty({studies, 4}),
                     Tensor<std::int64_t>::empty({studies, 3})};
  for (index_t i = 0; i < b.volumes.numel(); ++i)
    b.volumes.data()[i] = static_cast<float>(std::sin(0.37 * static_cast<double>(from * 128 + i)));
  for (index_t i = 0; i < b.ids.numel(); ++i) b.ids.data()[i] = 2 + (from * 4 + i * 7) % 18;
  for (index_t i = 0; i < b.sentences.numel(); ++i)
    b.sentences.data()[i] = 2 + (from * 3 + i * 5) % 18;
  return b;
}

double largest(const Tensor<float>& a, const Tensor<float>& b) {
  REQUIRE(a.shape() == b.shape());
  return static_cast<double>(max(Tensor<float>(abs(a - b))).item());
}

}  // namespace

TEST_CASE("encode pairs: the first output meets the sentence, the second the report") {
  const Clip<> dual = model(true);
  const ImageTextBatch<> b = batch(0, 3);
  const auto pairs = encode_pairs(dual, b, {});
  CHECK(pairs.targets == 2);
  REQUIRE(pairs.text.shape() == Shape{6, 8});
  CHECK(largest(pairs.text.value().slice(0, 0, 6, 2), dual.encode_text(b.sentences).value()) <
        1e-6);
  CHECK(largest(pairs.text.value().slice(0, 1, 6, 2), dual.encode_text(b.ids).value()) < 1e-6);
  CHECK(largest(
            pairs.image.value().slice(0, 1, 6, 2),
            dual.encode_image(Var<float>(b.volumes), {}, {}, dual.config.report_output()).value()) <
        1e-6);
  ImageTextBatch<> without = b;
  without.sentences = {};
  CHECK(error_of([&] { encode_pairs(dual, without, {}); }).find("encode_pairs: sentences are ") ==
        0);
}

TEST_CASE("encode pairs: without a second text every output meets the report") {
  const Clip<> single = model(false);
  const ImageTextBatch<> b = batch(0, 3);
  const auto pairs = encode_pairs(single, b, {});
  CHECK(pairs.targets == 2);
  for (index_t k : {0, 1})
    CHECK(largest(pairs.text.value().slice(0, k, 6, 2), single.encode_text(b.ids).value()) < 1e-6);
}

TEST_CASE(
    "encode pairs: accumulated over batches, two targets have the loss and the gradients of one "
    "batch") {
  const ImageTextBatch<> parts[] = {batch(0, 2), batch(2, 2)};
  const ImageTextBatch<> whole{
      concat(std::vector<Tensor<float>>{parts[0].volumes, parts[1].volumes}, 0),
      concat(std::vector<Tensor<std::int64_t>>{parts[0].ids, parts[1].ids}, 0),
      concat(std::vector<Tensor<std::int64_t>>{parts[0].sentences, parts[1].sentences}, 0)};
  const auto loss = [](const PairFeatures<float, Cpu>& p) {
    return mean_over_targets(p.image, p.text, p.targets,
                             [](const Var<float>& i, const Var<float>& t) {
                               return clip_loss(i, t, Var<float>(Tensor<float>::scalar(5)));
                             });
  };
  Clip<> at_once = model(true), in_parts = model(true);
  const auto one = accumulate_gradients(
      1, [&](index_t, AccumulationPass) { return encode_pairs(at_once, whole, {}); }, loss);
  const auto two = accumulate_gradients(
      2, [&](index_t j, AccumulationPass) { return encode_pairs(in_parts, parts[j], {}); }, loss);
  CHECK(two[0].item() == doctest::Approx(one[0].item()).epsilon(1e-5));
  auto a = named_parameters(at_once), b = named_parameters(in_parts);
  std::size_t compared = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].second->has_grad()) {
      CAPTURE(a[i].first);
      CHECK(largest(a[i].second->grad(), b[i].second->grad()) < 1e-4);
      ++compared;
    }
  CHECK(compared > 20);
}
