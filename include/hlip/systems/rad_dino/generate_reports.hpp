// Reports of many radiographs: read by all threads, written a batch at a time.
#pragma once

#include <hlip/systems/rad_dino/encode_pictures.hpp>
#include <hlip/systems/rad_dino/report_writer_files.hpp>

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// What came of some pictures.
struct GeneratedReports {
  std::vector<std::size_t> pictures;  ///< which of those given could be read, rising
  std::vector<std::string> texts;     ///< a report of each of these
  std::vector<std::string> problems;  ///< of pictures left out
  std::string stopped_by;             ///< the picture that could not be read, after others
};

/// Writes reports of pictures.
/// @param files of the pictures  @param batch_size pictures at a time, fewer where keys and values
/// of so many would take more than 2 GiB
/// @param options of the search; end tokens are the decoder's and its tokenizer's, and no more
/// tokens are made than it has positions
/// @param skip_bad leave out pictures that cannot be read
/// @param progress called as progress(done, all) after every batch
/// @return also what was written before a picture that cannot be read, unless bad ones are skipped
/// @throws hlip::error naming that picture if it is among the first, and when none is left
template <class B, class Progress>
GeneratedReports generate_reports(const LoadedWriter<B>& from,
                                  const std::vector<std::string>& files, index_t batch_size,
                                  GenerateOptions options, bool skip_bad, Progress progress) {
  const ReportWriter<B>& writer = from.writer;
  options.end_tokens = writer.decoder.config.end_tokens;
  if (from.tokens.eos() >= 0) options.end_tokens.push_back(from.tokens.eos());
  options.max_new_tokens = std::min(
      options.max_new_tokens, writer.decoder.config.max_positions - writer.prompt_tokens() + 1);
  const LlamaConfig& c = writer.decoder.config;
  const index_t kept = 2 * c.num_layers * c.num_kv_heads * c.head_dim,  // numbers of a token
      tokens = writer.prompt_tokens() + options.max_new_tokens,
                each = kept * tokens * options.beams * static_cast<index_t>(sizeof(float));
  batch_size = std::clamp<index_t>((index_t{1} << 31) / each, 1, batch_size);
  GeneratedReports result;
  const auto size = static_cast<index_t>(files.size());
  for (index_t first = 0; first < size; first += batch_size) {
    const auto begin = static_cast<std::size_t>(first),
               count = static_cast<std::size_t>(std::min(batch_size, size - first));
    std::vector<std::string> faults;
    const auto prepared = prepare_pictures(writer.encoder, std::span(files).subspan(begin, count),
                                           first, {}, faults);
    for (const auto& fault : faults)
      if (!fault.empty() && !skip_bad && result.stopped_by.empty()) result.stopped_by = fault;
    if (!result.stopped_by.empty() && result.texts.empty()) throw error(result.stopped_by);
    if (!result.stopped_by.empty()) return result;
    std::vector<Tensor<float, B>> batch;
    for (std::size_t i = 0; i < count; ++i) {
      if (!faults[i].empty()) {
        result.problems.push_back(faults[i]);
        continue;
      }
      batch.push_back(prepared[i]);
      result.pictures.push_back(begin + i);
    }
    if (!batch.empty())
      for (const auto& ids : writer.write(concat(batch, 0), options))
        result.texts.push_back(from.tokens.decode(ids));
    progress(std::min(first + batch_size, size), size);
  }
  expect(!result.texts.empty(), "write_reports", "none of {} pictures could be read{}", size,
         result.problems.empty() ? "" : ": " + result.problems.front());
  return result;
}

HLIP_END
