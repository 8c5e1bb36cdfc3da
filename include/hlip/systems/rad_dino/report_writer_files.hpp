// A writer of reports on disk: what it is made of at first, what a checkpoint keeps of it beside
// the weights that train, and how it is loaded to be used. Needs nlohmann_json, libdeflate, zlib
// and libsentencepiece.
#pragma once

#include <hlip/models/llama/hf_llama.hpp>
#include <hlip/models/llama/write_hf_llama.hpp>
#include <hlip/nn/trained_part.hpp>
#include <hlip/systems/rad_dino/report_writer.hpp>

#include <cmath>
#include <filesystem>
#include <span>
#include <string>
#include <utility>

HLIP_BEGIN

/// What of a writer of reports trains; the projector always does.
enum class WriterTraining { all, lora, projector };

/// Reads "all", "lora" or "projector". @throws hlip::error on anything else
HLIP_LAZY WriterTraining writer_training_named(std::string_view name) {
  constexpr std::string_view names[] = {"all", "lora", "projector"};
  for (int i = 0; i < 3; ++i)
    if (name == names[i]) return static_cast<WriterTraining>(i);
  fail("report writer", "{} is nothing that trains, expected all, lora or projector",
       quote_text(name));
}

/// How a decoder comes to be, and how it learns.
struct WriterDescription {
  std::string decoder = "tiny";  ///< a Hugging Face folder, or "tiny": made for the reports
  std::string train = "all";     ///< see WriterTraining
  index_t lora_rank = 8;
  double lora_alpha = 16;
  std::string request = std::string(report_request);
};

/// A small decoder for the words of few reports.
/// @param width of it; 32 of it are a head
HLIP_LAZY LlamaConfig tiny_decoder_config(index_t width, index_t layers,
                                          const ReportTokens& tokens) {
  LlamaConfig c;
  c.vocab_size = tokens.vocab_size(), c.hidden_size = width, c.num_layers = layers;
  c.intermediate_size = 3 * width, c.head_dim = 32;
  c.num_heads = c.num_kv_heads = std::max<index_t>(1, width / c.head_dim);
  // narrow layers that begin small pass on little of a picture
  c.init_std = 1 / std::sqrt(static_cast<double>(width));
  c.bos_token = tokens.bos(), c.end_tokens = {tokens.eos()};
  return c;
}

namespace detail {

HLIP_LAZY ReportTokens folder_tokens(const std::string& folder, const LlamaConfig& config) {
  const std::string path = folder + "/tokenizer.model";
  if (!is_file(path))
    fail_file(path, "",
              "is not there; the decoder's tokens are a SentencePiece model (hint: tokenizer.json "
              "alone is not read)");
  SentencePiece pieces(path);
  if (pieces.vocab_size() > config.vocab_size)
    fail_file(path, "", "has {} pieces, {}/config.json describes a model of {}",
              pieces.vocab_size(), folder, config.vocab_size);
  return ReportTokens(std::move(pieces));
}

/// Random projector, decoder with its LoRA, and what of both trains.
template <class B>
void finish_writer(ReportWriter<B>& w, const WriterDescription& d, const ReportTokens& tokens,
                   Initializer& init) {
  const auto anything = [](const std::string&) { return true; };
  const index_t in = w.encoder.vit.config.embed_dim;
  // as large as PyTorch's linear layers begin
  w.projector = ImageProjector<float, B>(in, w.decoder.config.hidden_size,
                                         1 / std::sqrt(3.0 * static_cast<double>(in)), init);
  const WriterTraining training = writer_training_named(d.train);
  if (training != WriterTraining::all)
    each_parameter(w.decoder, [](const std::string&, auto& p) {
      if (p.requires_grad()) p.set_requires_grad(false);
    });
  if (training == WriterTraining::lora) w.decoder.adapt(d.lora_rank, d.lora_alpha, init);
  set_requires_grad(w.projector, true, anything);
  w.prompt = report_prompt(tokens, d.request);
  if (w.prompt_tokens() >= w.decoder.config.max_positions)
    fail("report writer", "the prompt alone has {} tokens, the decoder has {} positions",
         w.prompt_tokens(), w.decoder.config.max_positions);
}

}  // namespace detail

/// The tokens of a decoder: those of its folder, or words of the reports.
HLIP_LAZY ReportTokens writer_tokens(const WriterDescription& d,
                                     std::span<const std::string> reports,
                                     std::int64_t min_word_count) {
  if (d.decoder != "tiny")
    return detail::folder_tokens(d.decoder, hf_llama_folder_config(d.decoder));
  std::vector<std::string> texts(reports.begin(), reports.end());
  std::string request = d.request;
  if (const auto at = request.find(image_mark); at != request.npos)
    request.replace(at, image_mark.size(), " ");
  // often enough to be known
  for (std::int64_t i = 0; i < min_word_count; ++i) texts.push_back(request);
  return ReportTokens(WordTokenizer::learn(texts, min_word_count));
}

/// A writer as training begins: random projector, decoder of a folder or random.
/// @param tiny sizes of a decoder that is made
/// @throws hlip::error naming the file and what is missing or does not fit
template <class B>
ReportWriter<B> make_report_writer(PictureEncoder<B> encoder, const WriterDescription& d,
                                   const ReportTokens& tokens, const LlamaConfig& tiny,
                                   Initializer& init) {
  ReportWriter<B> w;
  w.encoder = std::move(encoder);
  if (d.decoder == "tiny") w.decoder = Llama<float, B>(tiny, init);
  else
    w.decoder = HfLlama(d.decoder).load<float, B>(d.train == "all" ? LlamaWeights::widened
                                                                   : LlamaWeights::as_stored);
  detail::finish_writer(w, d, tokens, init);
  return w;
}

/// Writes what a checkpoint needs beside the trained weights: report_writer.json, and where the
/// whole decoder trains decoder_config.json and its tokens, so that no other folder is needed.
template <class B>
void write_writer_files(const std::string& folder, const ReportWriter<B>& w,
                        const WriterDescription& d, const ReportTokens& tokens) {
  Json j;
  j["format"] = 1;
  j["decoder"] = d.decoder == "tiny"
                     ? d.decoder
                     : std::filesystem::absolute(d.decoder).lexically_normal().string();
  j["train"] = d.train;
  j["lora"] = {{"rank", d.lora_rank}, {"alpha", d.lora_alpha}};
  j["request"] = d.request;
  atomic_write(folder + "/report_writer.json", j.dump(2) + "\n");
  if (d.train == "all")
    atomic_write(folder + "/decoder_config.json", hf_llama_json(w.decoder.config).dump(2) + "\n");
  if (tokens.words() != nullptr) atomic_write(folder + "/vocab.txt", tokens.words()->to_text());
  else if (d.train == "all")
    atomic_write(folder + "/tokenizer.model", read_file(d.decoder + "/tokenizer.model"));
}

/// What write_writer_files wrote. @throws hlip::error naming the file
HLIP_LAZY WriterDescription read_writer_description(const std::string& folder) {
  const std::string path = folder + "/report_writer.json";
  const Json j = read_json(path, {.max_bytes = std::size_t{1} << 20});
  WriterDescription d;
  try {
    d.decoder = j.at("decoder").get<std::string>(), d.train = j.at("train").get<std::string>();
    d.lora_rank = j.at("lora").at("rank").get<index_t>();
    d.lora_alpha = j.at("lora").at("alpha").get<double>();
    d.request = j.at("request").get<std::string>();
    if (j.at("format") != 1) fail_file(path, "format", "is {}, expected 1", j.at("format").dump());
  } catch (const Json::exception& e) {
    fail_file(path, "", "{}", e.what());
  }
  return d;
}

namespace detail {

/// Throws unless a projector takes features of this width. @param encoder where they come from
HLIP_LAZY void expect_width(const SafetensorsFile& stored, index_t width,
                            const std::string& encoder) {
  const char* first = "projector.0.weight";
  if (!stored.contains(first)) fail_file(stored.path(), first, "is not there");
  const Shape shape = stored.info(first).shape;
  if (shape.rank() != 2 || shape[1] != width)
    fail_file(stored.path(), first,
              "takes features of width {}, those of {} have {} (hint: --encoder with the one that "
              "it was trained with)",
              shape.rank() == 2 ? shape[1] : 0, encoder, width);
}

/// Throws unless a decoder of these sizes is stored, before memory is asked for it.
HLIP_LAZY void expect_decoder(const SafetensorsFile& stored, const LlamaConfig& config) {
  for (const auto& [own, shape] : llama_parameters(config)) {
    const std::string name = "decoder." + own;
    if (!stored.contains(name)) fail_file(stored.path(), name, "is not there");
    if (!(stored.info(name).shape == shape))
      fail_file(stored.path(), name, "is {}, decoder_config.json says {}",
                to_string(stored.info(name).shape), to_string(shape));
  }
}

}  // namespace detail

/// A writer to be used, with its tokens.
template <class B> struct LoadedWriter {
  ReportWriter<B> writer;
  ReportTokens tokens;
  std::string path;  ///< of the checkpoint
};

/// Where a run keeps its encoder.
inline std::string writer_encoder_folder(const std::string& run) { return run + "/encoder"; }

/// Loads a writer, from the newest sound checkpoint of a run or from a checkpoint.
/// @param encoder, decoder to be taken instead of those it was trained with; empty for these
/// @throws hlip::error naming the file and what is missing or does not fit
template <class B>
LoadedWriter<B> load_report_writer(const std::string& from, const std::string& encoder = "",
                                   const std::string& decoder = "") {
  const std::string path = find_checkpoint(from, stage_names(rad_dino_stages()),
                                           {"model.safetensors", "report_writer.json"});
  WriterDescription d = read_writer_description(path);
  const bool own = d.train == "all";
  if (!decoder.empty() && own)
    fail_file(path, "", "holds the whole decoder, expected no other beside it");
  if (!decoder.empty()) d.decoder = decoder;
  const LlamaConfig config = own ? hf_llama_config(path + "/decoder_config.json")
                                 : hf_llama_folder_config(d.decoder);
  ReportTokens tokens = is_file(path + "/vocab.txt")
                            ? ReportTokens(WordTokenizer(Vocabulary::load(path + "/vocab.txt")))
                            : detail::folder_tokens(own ? path : d.decoder, config);
  const bool averaged = is_file(path + "/model_ema.safetensors");
  const SafetensorsFile stored(path + (averaged ? "/model_ema.safetensors" : "/model.safetensors"));
  ReportWriter<B> w;
  std::filesystem::path at = std::filesystem::absolute(path).lexically_normal();
  if (!at.has_filename()) at = at.parent_path();  // of a path with a slash at its end
  const std::string run = at.parent_path().string();
  const std::string where = encoder.empty() ? writer_encoder_folder(run) : encoder;
  w.encoder = load_picture_encoder<B>(where);
  detail::expect_width(stored, w.encoder.vit.config.embed_dim, where);
  Initializer init = Initializer::without_values();
  if (own) detail::expect_decoder(stored, config);
  if (own) w.decoder = Llama<float, B>(config, init);
  else w.decoder = HfLlama(d.decoder).load<float, B>(LlamaWeights::as_stored);
  detail::finish_writer(w, d, tokens, init);
  TrainedPart<ReportWriter<B>> trained{&w};
  load_state_dict(trained, stored);
  return {std::move(w), std::move(tokens), path};
}

HLIP_END
