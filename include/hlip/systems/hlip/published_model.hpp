// Weights that others published, as something to use. Needs nlohmann_json and utf8proc.
#pragma once

#include <hlip/io/weights_file.hpp>
#include <hlip/models/load_weights.hpp>
#include <hlip/systems/hlip/trained_model.hpp>

#include <string>

HLIP_BEGIN

/// Weights in a file of their own, as other programs publish them: the caller says what they are
/// weights of. A bias of the logits makes it a SigLIP model, matrices of LoRA one with LoRA (alpha
/// = rank, as HLIP trains it).
/// @param config of the model; the sizes of its vocabulary and of the shared feature space are
/// those of the weights
/// @throws hlip::error with the table of names when a parameter is missing or of another shape
template <int Levels = 3, class B = Cpu>
TrainedModel<Levels, B> load_published_model(const std::string& file, ClipConfig config,
                                             const std::string& vocab) {
  NamedWeights weights(open_weights(file, MapAccess::copy_on_write));
  TrainedModel<Levels, B> t;
  t.path = file;
  t.tokenizer = std::make_shared<const WordPieceTokenizer>(WordPieceTokenizer::load(vocab));
  config.siglip = weights.contains("logit_bias");
  // A size counts where the other side of its matrix is the model's: a matrix of no width could
  // claim any length.
  for (const auto& name : weights.names()) {
    const Shape& shape = weights.info(name).shape;
    if (shape.rank() != 2) continue;
    if (name.ends_with("visual.head.proj.weight") && shape[1] == config.vision.output_width())
      config.embed_dim = shape[0];
    if (name.ends_with("embeddings.word_embeddings.weight") && shape[1] == config.text.hidden_size)
      config.text.vocab_size = shape[0];
    if (name.ends_with(".lora_A.default.weight") && shape[0] <= shape[1])
      config.text.lora_rank = shape[0], config.text.lora_alpha = static_cast<double>(shape[0]);
  }
  if (t.tokenizer->vocab_size() > config.text.vocab_size)
    fail_file(vocab, "", "has {} pieces, the weights {}", t.tokenizer->vocab_size(),
              config.text.vocab_size);
  t.model = Clip<Levels, float, B>(config, Initializer::without_values());
  const LoadReport report = load_clip_weights(t.model, weights, true);
  t.table = weights_table(weights, report);
  if (!report.missing.empty() || !report.mismatched.empty())
    fail_file(file, "", "does not hold all of the model {}\n{}", config.name, t.table);
  for (int d = 0; d < 3; ++d)
    t.preset.size[static_cast<std::size_t>(d)] = config.vision.img_size[d];
  return t;
}

HLIP_END
