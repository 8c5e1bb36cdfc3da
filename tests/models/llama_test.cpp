// The language model: names, cache, searches, image tokens, loss.
#include "../support/gradients.hpp"

#include <hlip/models/llama/generate.hpp>
#include <hlip/models/llama/splice.hpp>

#include <omp.h>

using namespace test;

namespace {

using Ids = std::vector<std::int64_t>;
using Model = Llama<double, Cpu>;

LlamaConfig tiny(index_t kv_heads = 2) {
  LlamaConfig c;
  c.vocab_size = 23, c.hidden_size = 12, c.intermediate_size = 20, c.num_layers = 2;
  c.num_heads = 4, c.num_kv_heads = kv_heads, c.head_dim = 4;
  c.max_positions = 32, c.init_std = 0.4;
  return c;
}
Model model(const LlamaConfig& c, std::uint64_t seed = 5) {
  Initializer init(seed);
  return Model(c, init);
}
Tensor<std::int64_t, Cpu> ids(const Shape& shape, const Ids& values) {
  return Tensor<std::int64_t, Cpu>::from_values(shape, std::span<const std::int64_t>(values));
}
/// Greedy search that reads the whole text again for every token.
Ids greedy_without_cache(const Model& llama, Ids text, index_t count, const Ids& ends) {
  NoGrad guard;
  Ids made;
  while (static_cast<index_t>(made.size()) < count) {
    const index_t n = static_cast<index_t>(text.size());
    const Variable states = llama.hidden(llama.embed(ids({1, n}, text)));
    const Array last = llama.logits(select(states, 1, n - 1)).value();
    made.push_back(argmax(last, 1).at({0}));
    text.push_back(made.back());
    if (std::find(ends.begin(), ends.end(), made.back()) != ends.end()) break;
  }
  return made;
}
/// Log-probability of a continuation.
double score_of(const Model& llama, Ids text, const Ids& continuation) {
  NoGrad guard;
  double total = 0;
  for (const std::int64_t id : continuation) {
    const index_t n = static_cast<index_t>(text.size());
    const Variable states = llama.hidden(llama.embed(ids({1, n}, text)));
    const Array last = llama.logits(select(states, 1, n - 1)).value();
    total += last.at({0, id}) - logsumexp(last).item();
    text.push_back(id);
  }
  return total;
}

}  // namespace

TEST_CASE("Llama: parameters are called and shaped as LlamaForCausalLM's") {
  for (const bool tied : {false, true})
    for (const bool bias : {false, true}) {
      LlamaConfig c = tiny();
      c.tie_word_embeddings = tied, c.attention_bias = c.mlp_bias = bias;
      Model llama = model(c);
      std::map<std::string, Shape> have, want;
      each_parameter(llama, [&](const std::string& name, auto& p) { have[name] = p.shape(); });
      for (const auto& [name, shape] : llama_parameters(c)) want[name] = shape;
      CHECK(have == want);
      CHECK(have.at("model.layers.1.self_attn.k_proj.weight") == Shape{8, 12});
      CHECK(have.count("lm_head.weight") == (tied ? 0 : 1));
      CHECK(have.count("model.layers.0.mlp.down_proj.bias") == (bias ? 1 : 0));
    }
}

TEST_CASE("Llama: tokens see what is before them alone, whatever follows or is hidden") {
  NoGrad guard;
  const Model llama = model(tiny());
  const Array all = llama.hidden(llama.embed(ids({1, 6}, {1, 4, 9, 2, 22, 0}))).value(),
              some = llama.hidden(llama.embed(ids({1, 3}, {1, 4, 9}))).value();
  CHECK(largest_difference(all.slice(1, 0, 3).contiguous(), some) < 1e-12);
  const auto mask = Tensor<std::uint8_t, Cpu>::from_values({1, 6}, {1, 1, 1, 0, 0, 0});
  const Array hidden = llama.hidden(llama.embed(ids({1, 6}, {1, 4, 9, 7, 7, 7})), mask).value();
  CHECK(largest_difference(hidden.slice(1, 0, 3).contiguous(), some) < 1e-12);
}

TEST_CASE("generate: the ids are those without a cache, of one beam and of greedy search") {
  int differing = 0;
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    const Model llama = model(tiny(seed % 2 == 0 ? 2 : 4), seed);
    const Ids prompt{1, 5, 3, 17};
    const Ids got = generate(llama, std::span<const std::int64_t>(prompt), {.max_new_tokens = 12});
    CHECK(got == greedy_without_cache(llama, prompt, 12, {}));
    CHECK(got.size() == 12);
    for (std::size_t i = 1; i < got.size(); ++i) differing += got[i] != got[0];
  }
  CHECK(differing > 6);  // not one token for ever
}

TEST_CASE("generate: ends after the end token, which is the last") {
  const Model llama = model(tiny());
  const Ids prompt{1, 5, 3, 17};
  const Ids free = generate(llama, std::span<const std::int64_t>(prompt), {.max_new_tokens = 12});
  const std::int64_t end = free[7];
  const auto first = std::find(free.begin(), free.end(), end);
  for (const Ids& ends : {Ids{end}, Ids{22, end}}) {
    if (ends.size() > 1 && std::find(free.begin(), first, 22) != first) continue;
    const Ids got = generate(llama, std::span<const std::int64_t>(prompt),
                             {.max_new_tokens = 12, .end_tokens = ends});
    CHECK(got == Ids(free.begin(), first + 1));
    CHECK(got == greedy_without_cache(llama, prompt, 12, ends));
  }
}

TEST_CASE("generate_each: of each prompt what it gets alone, whenever the others end") {
  NoGrad guard;
  const Model llama = model(tiny(), 3);
  const Variable prompts = llama.embed(ids({3, 3}, {1, 5, 3, 9, 9, 2, 7, 22, 1}));
  for (const index_t beams : {1, 3}) {
    GenerateOptions o{.max_new_tokens = 9, .beams = beams};
    const auto endless = generate_each(llama, prompts, o);
    o.end_tokens = {endless[0][2], endless[1][5]};
    const auto all = generate_each(llama, prompts, o);
    REQUIRE(all.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      const auto at = static_cast<index_t>(i);
      CHECK(all[i] == generate(llama, slice(prompts, 0, at, at + 1), o));
      CHECK((endless[i].size() == 9 && all[i].size() >= 1));
    }
    CHECK((all[0].size() <= 3 || beams > 1));
  }
}

TEST_CASE("generate: beams find what exhaustive search finds, and never less than fewer beams") {
  LlamaConfig c = tiny();
  c.vocab_size = 4, c.bos_token = 0;
  const Ids prompt{0, 3};
  int better = 0;
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    const Model llama = model(c, seed);
    double most = -1e9;
    Ids best;
    for (std::int64_t code = 0; code < 64; ++code) {
      const Ids text{code / 16, code / 4 % 4, code % 4};
      if (const double score = score_of(llama, prompt, text); score > most)
        most = score, best = text;
    }
    // 16 beams keep every text of two tokens
    const auto of_beams = [&](index_t beams) {
      return generate(llama, std::span<const std::int64_t>(prompt),
                      {.max_new_tokens = 3, .beams = beams});
    };
    CHECK(of_beams(16) == best);
    CHECK(score_of(llama, prompt, of_beams(16)) >= score_of(llama, prompt, of_beams(1)));
    better += of_beams(1) != best;
  }
  CHECK(better > 0);  // greedy search is not enough for all of them
}

TEST_CASE("BeamSearch: stops when as many texts have ended as there are beams") {
  BeamSearch search({.max_new_tokens = 9, .beams = 2, .end_tokens = {0}});
  const std::vector<float> first{2, 3, 1};  // token 0 ends
  const auto a = search.step(first);
  REQUIRE(a.size() == 2);
  CHECK(a[0] == std::pair<std::int64_t, std::int64_t>(0, 1));
  CHECK(a[1] == std::pair<std::int64_t, std::int64_t>(0, 2));
  CHECK_FALSE(search.done());
  const std::vector<float> second{9, 0, 0, 0, 9, 0};
  search.step(second);
  CHECK(search.done());
  CHECK(search.best() == Ids{1, 0});  // of log-probability per token
  CHECK(error_of([] { BeamSearch({.beams = 0}); }) ==
        "beam search: beams is 0, expected 1 to 1024");
  CHECK(error_of([] {
          BeamSearch other({.beams = 1});
          const std::vector<float> none{std::nanf(""), 1};
          other.step(none);
        }) == "beam search: logits of text 0 are no numbers");
}

TEST_CASE("BeamSearch: of equal scores the earlier text and the smaller id come first") {
  using Steps = std::vector<std::pair<std::int64_t, std::int64_t>>;
  BeamSearch search({.max_new_tokens = 9, .beams = 3});
  const std::vector<float> first{0, 1, 0, 1, 1, 2, 1, 0, 1, 1};
  CHECK(search.step(first) == Steps{{0, 5}, {0, 1}, {0, 3}});
  std::vector<float> second(30, 0);  // the first text leads by 1, the others are equal
  for (std::size_t i = 0; i < 8; ++i) second[i] = -9;
  CHECK(search.step(second) == Steps{{0, 8}, {0, 9}, {1, 0}});
}

TEST_CASE("Llama: gradients of parameters and of image tokens, and the same with checkpointing") {
  LlamaConfig c = tiny();
  c.num_layers = 1, c.vocab_size = 7, c.hidden_size = 6, c.intermediate_size = 5;
  Model llama = model(c);
  const Ids labels{ignored_label, ignored_label, ignored_label, 3, 6, ignored_label, 1, 2};
  const auto loss = [&](const Variable& image) {
    const Variable prompt = splice_image(llama, ids({2, 1}, {1, 1}), image, ids({2, 1}, {3, 2}));
    return next_token_loss(llama, llama.hidden(prompt), labels);
  };
  std::vector<Array> inputs{numbers({2, 2, 6}, 9)};
  for (auto& [name, p] : named_parameters(llama)) inputs.push_back(p->value().clone());
  for (const bool again : {false, true}) {
    llama.config.grad_checkpointing = again;
    check_gradient(
        "llama",
        [&](const std::vector<Variable>& v) {
          std::size_t i = 1;
          for (auto& [name, p] : named_parameters(llama)) *p = v[i++];
          return loss(v[0]);
        },
        inputs);
  }
}

TEST_CASE("Llama: LoRA changes nothing at first, and trains alone when the rest is frozen") {
  Model llama = model(tiny());
  const auto text = ids({1, 5}, {1, 2, 3, 4, 5});
  const Array before = llama.hidden(llama.embed(text)).value();
  set_requires_grad(llama, false, [](const std::string&) { return true; });
  Initializer init(3);
  llama.adapt(2, 4, init);
  const Variable after = llama.hidden(llama.embed(text));
  CHECK(same_bits(before, after.value()));
  const Ids labels{ignored_label, 2, 3, 4, 5};
  next_token_loss(llama, after, labels).backward();
  index_t trained = 0;
  each_parameter(llama, [&](const std::string& name, auto& p) {
    trained += p.has_grad();
    CHECK(p.has_grad() == (name.find("lora_") != std::string::npos));
  });
  CHECK(trained == 2 * 2 * 2);
}

TEST_CASE("Llama: the same bits at every number of threads") {
  const Llama<float, Cpu> llama = [] {
    LlamaConfig c = tiny();
    c.hidden_size = 64, c.head_dim = 16, c.intermediate_size = 160, c.init_std = 0.1;
    Initializer init(4);
    return Llama<float, Cpu>(c, init);
  }();
  const auto text = ids({2, 5}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const auto one = llama.hidden(llama.embed(text)).value();
  omp_set_num_threads(3);
  const auto three = llama.hidden(llama.embed(text)).value();
  omp_set_num_threads(threads);
  CHECK(same_bits(one, three));
}

TEST_CASE("Llama: what does not fit is said") {
  const Model llama = model(tiny());
  const auto fault = [&](auto fn) {
    return error_of([&] {
      NoGrad guard;
      fn();
    });
  };
  CHECK(fault([&] {
          llama.embed(ids({1, 2}, {1, 23}));
        }) ==
        "embed_tokens (gather_rows): index 1 is 23, expected 0 to 22 (the table has 23 rows)");
  CHECK(fault([&] {
          llama.hidden(Variable(Array::zeros({1, 33, 12})));
        }) == "llama: 33 tokens, expected at most 32 (max_position_embeddings)");
  CHECK(fault([&] {
          llama.hidden(Variable(Array::zeros({1, 3, 11})));
        }).find("(1, 3, 11)") != std::string::npos);
  const Ids prompt{1, 2};
  CHECK(fault([&] {
          generate(llama, std::span<const std::int64_t>(prompt), {.max_new_tokens = 32});
        }).find("at most 32 (max_position_embeddings)") != std::string::npos);
  CHECK(fault([&] { generate(llama, std::span<const std::int64_t>(), {}); }) ==
        "generate: the prompt has no tokens");
  const Variable states(Array::zeros({1, 2, 12}));
  const auto loss = [&](const Ids& labels) {
    return fault([&] { next_token_loss(llama, states, labels); });
  };
  CHECK(loss({5, ignored_label}) == "next_token_loss: no token has a label");
  CHECK(loss({ignored_label, 23}) == "next_token_loss: label 1 is 23, expected 0 to 22 or -100");
  CHECK(loss({1}) == "next_token_loss: 1 labels, expected 2 of 1 texts");
  LlamaConfig c = tiny();
  c.num_kv_heads = 3;
  CHECK(fault([&] { model(c); }) ==
        "llama: num_attention_heads 4 does not divide into 3 num_key_value_heads");
}
