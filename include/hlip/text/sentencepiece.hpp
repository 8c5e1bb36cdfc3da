// Tokens of language models whose folders have a tokenizer.model, as Llama's and Vicuna's.
// Needs libsentencepiece. Source: Kudo and Richardson 2018, "SentencePiece".
#pragma once

#include <hlip/core/check.hpp>

#include <sentencepiece_processor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// A SentencePiece model: text to ids and back. Copies share it.
class SentencePiece {
 public:
  /// @param path of a tokenizer.model  @throws hlip::error naming the file
  HLIP_LAZY explicit SentencePiece(const std::string& path)
      : path_(path), model_(std::make_shared<sentencepiece::SentencePieceProcessor>()) {
    if (const auto status = model_->Load(path); !status.ok())
      fail_file(path, "", "is no SentencePiece model: {}", quote_text(status.ToString(), 200));
  }
  std::int64_t vocab_size() const { return model_->GetPieceSize(); }
  /// Ids of the beginning and the end of a text; -1 where the model has none.
  std::int64_t bos() const { return model_->bos_id(); }
  std::int64_t eos() const { return model_->eos_id(); }

  /// The ids of a text in UTF-8, without bos and eos.
  HLIP_LAZY std::vector<std::int64_t> encode(std::string_view text) const {
    std::vector<int> ids;
    if (const auto status = model_->Encode({text.data(), text.size()}, &ids); !status.ok())
      fail_file(path_, "", "cannot encode a text of {} bytes: {}", text.size(),
                quote_text(status.ToString(), 200));
    return std::vector<std::int64_t>(ids.begin(), ids.end());
  }
  /// The text of ids; bos, eos and other control tokens are nothing in it.
  /// @throws hlip::error naming an id outside the vocabulary
  HLIP_LAZY std::string decode(const std::vector<std::int64_t>& ids) const {
    std::vector<int> small;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      expect(ids[i] >= 0 && ids[i] < vocab_size(), "sentencepiece",
             "id {} is {}, expected 0 to {} (the vocabulary of {})", i, ids[i], vocab_size() - 1,
             path_);
      small.push_back(static_cast<int>(ids[i]));
    }
    std::string text;
    if (const auto status = model_->Decode(small, &text); !status.ok())
      fail_file(path_, "", "cannot decode {} ids: {}", ids.size(),
                quote_text(status.ToString(), 200));
    return text;
  }

 private:
  std::string path_;
  std::shared_ptr<sentencepiece::SentencePieceProcessor> model_;
};

HLIP_END
