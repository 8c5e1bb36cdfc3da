// A language model that goes on with a prompt, token by token.
#pragma once

#include "options.hpp"

#include <hlip/models/llama/generate.hpp>
#include <hlip/models/llama/hf_llama.hpp>

#include <memory>
#include <string>
#include <vector>

namespace bench {

/// A step is a whole answer: the prompt is read, then every new token in turn.
inline void add_decode(CLI::App& root, Subjects& subjects) {
  struct Options : RunOptions {
    std::string folder;
    index_t prompt = 32, tokens = 32;
  };
  auto o = std::make_shared<Options>();
  auto* app = root.add_subcommand(
      "decode",
      "greedy answer of a language model to a prompt of noise, with a cache; weights as "
      "the folder has them");
  app->add_option("--folder", o->folder, "Llama as Hugging Face keeps it")
      ->required()
      ->check(CLI::ExistingDirectory);
  add_count(app, "--prompt", o->prompt, "tokens of the prompt");
  add_count(app, "--tokens", o->tokens, "tokens of the answer");
  add_run_options(app, *o, 3);
  subjects.emplace_back(app, [o] {
    const NoGrad guard;
    const HfLlama files(o->folder);
    Llama<float> llama = files.load(LlamaWeights::as_stored);
    std::vector<std::int64_t> prompt;
    for (index_t i = 0; i < o->prompt; ++i)
      prompt.push_back(3 + i * 7919 % (llama.config.vocab_size - 3));
    GenerateOptions options;
    options.max_new_tokens = o->tokens;
    options.end_tokens.clear();  // noise knows no end
    for (const int threads : o->threads) {
      set_threads(threads);
      std::vector<std::int64_t> answer;
      const Seconds seconds = seconds_of_steps(o->steps, [&] {
        answer = generate(llama, std::span<const std::int64_t>(prompt), options);
      });
      print("decode",
            {{"prompt", o->prompt}, {"tokens", o->tokens}, {"parameters", count_parameters(llama)}},
            threads, o->steps, seconds, {{"answer", answer}});
    }
  });
}

}  // namespace bench
