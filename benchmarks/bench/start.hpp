// From the start of the process to the first probability on a cached volume, without the passes
// through the transformers.
#pragma once

#include "options.hpp"

#include <hlip/cli/process_time.hpp>
#include <hlip/systems/hlip/trained_model.hpp>
#include <hlip/systems/hlip/zero_shot_ct.hpp>

#include <memory>

namespace bench {

inline void add_start(CLI::App& root, Subjects& subjects) {
  struct Options : RunOptions {
    std::string checkpoint, file;
  };
  auto o = std::make_shared<Options>();
  auto* app = root.add_subcommand(
      "start",
      "from the start of the process to the first probability on a cached volume, without the "
      "forward passes; the process does nothing else");
  app->add_option("--checkpoint", o->checkpoint, "of train_ct_rate, or of hlip_bench checkpoint")
      ->required()
      ->check(CLI::ExistingDirectory);
  app->add_option("--file", o->file,
                  "volume of a cache (preprocess_ct_rate, or hlip_bench preprocess --out)")
      ->required()
      ->check(CLI::ExistingFile);
  add_provider(app, *o);
  app->add_option("--threads", o->threads[0], "OpenMP threads")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  subjects.emplace_back(app, [o] {
    set_threads(o->threads[0]);
    double forward = 0;
    const auto passing = [&](auto pass) {
      const auto start = std::chrono::steady_clock::now();
      auto features = pass();
      forward += seconds_since(start);
      return features;
    };
    const NoGrad guard;
    const TrainedModel<> trained = load_trained_model(o->checkpoint);
    const auto encode = [&](const std::vector<std::string>& prompts) {
      std::vector<std::vector<std::int64_t>> ids;
      for (const auto& p : prompts)
        ids.push_back(trained.tokenizer->encode_unpadded(p, trained.model.config.context_length));
      return passing([&] { return trained.model.encode_text(pad_ids(ids)).value().to_vector(); });
    };
    const ZeroShotClassifier classifier(
        ct_rate_prompts(PromptTemplate::volume), encode,
        std::exp(static_cast<double>(trained.model.logit_scale.item())));
    const Var<float> input(stack_volumes({preprocess_ct(CtCacheFile(o->file), trained.preset)}));
    const auto p = classifier.probabilities(
        passing([&] { return trained.model.encode_image(input).value().to_vector(); }));
    const double all = seconds_since_start(), rest = all - forward;
    print("start", {{"model", trained.model.config.name}}, o->threads[0], 1, {rest, rest},
          {{"forward_seconds", forward}, {"first_probability", p.at(0)}});
  });
}

/// Something for `start` to start with.
inline void add_checkpoint(CLI::App& root, Subjects& subjects) {
  struct Options {
    std::string model = "vit_base_singlescan_h2_token2744", vocab, out;
  };
  auto o = std::make_shared<Options>();
  auto* app = root.add_subcommand(
      "checkpoint", "writes a checkpoint of a joint model with random weights: OUT/step_0");
  add_model(app, o->model);
  app->add_option("--vocab", o->vocab, "vocab.txt, one piece a line")
      ->required()
      ->check(CLI::ExistingFile);
  app->add_option("--out", o->out, "folder")->required();
  subjects.emplace_back(app, [o] {
    ClipConfig config = clip_config(o->model);
    const auto vocabulary = Vocabulary::load(o->vocab);
    config.text.vocab_size = std::max<index_t>(config.text.vocab_size, vocabulary.size());
    CtPreset preset;
    for (int d = 0; d < 3; ++d)
      preset.size[static_cast<std::size_t>(d)] = config.vision.img_size[d];
    const auto start = std::chrono::steady_clock::now();
    Clip<> model(config, 0);
    CheckpointStore(o->out, stage_names(hlip_stages()))
        .save("step", 0, [&](const std::string& folder) {
          SafetensorsWriter weights;
          for (const auto& [name, var] : named_parameters(model)) weights.add(name, var->value());
          weights.write(folder + "/model.safetensors");
          write_model_files(folder, config, to_string(preset), vocabulary);
        });
    const double seconds = seconds_since(start);
    print("checkpoint", {{"model", o->model}, {"parameters", count_parameters(model)}}, 1, 1,
          {seconds, seconds});
  });
}

}  // namespace bench
