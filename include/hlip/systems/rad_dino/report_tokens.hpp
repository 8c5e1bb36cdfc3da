// The tokens of reports, learned words or SentencePiece, and the prompt that pictures stand in.
#pragma once

#include <hlip/tensor/shape.hpp>
#include <hlip/text/sentencepiece.hpp>
#include <hlip/text/word_tokens.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

HLIP_BEGIN

/// One of the two ways to cut reports into tokens.
class ReportTokens {
 public:
  explicit ReportTokens(WordTokenizer words) : of_(std::move(words)) {}
  explicit ReportTokens(SentencePiece pieces) : of_(std::move(pieces)) {}

  std::int64_t vocab_size() const {
    return std::visit([](const auto& of) { return of.vocab_size(); }, of_);
  }
  /// Ids of the beginning and the end of a text; -1 where there is none.
  std::int64_t bos() const {
    return std::visit([](const auto& of) { return of.bos(); }, of_);
  }
  std::int64_t eos() const {
    return std::visit([](const auto& of) { return of.eos(); }, of_);
  }
  /// Ids of a text in UTF-8, without bos and eos.
  std::vector<std::int64_t> encode(std::string_view text) const {
    return std::visit([&](const auto& of) { return of.encode(text); }, of_);
  }
  /// The text of ids. Those beyond the vocabulary, which a decoder may have so that its size is a
  /// round one, are nothing in it.
  std::string decode(std::vector<std::int64_t> ids) const {
    std::erase_if(ids, [&](std::int64_t id) { return id >= vocab_size(); });
    return std::visit([&](const auto& of) { return of.decode(ids); }, of_);
  }
  /// The vocabulary, if it is one of words.
  const Vocabulary* words() const {
    const auto* words = std::get_if<WordTokenizer>(&of_);
    return words != nullptr ? &words->vocabulary() : nullptr;
  }

 private:
  std::variant<WordTokenizer, SentencePiece> of_;
};

/// What is asked of the decoder. `<image>` in it stands for the image tokens, which come first
/// where it is absent.
inline constexpr std::string_view report_request =
    "<image> Provide a description of the findings in the radiology image.";

inline constexpr std::string_view image_mark = "<image>";

/// Ids before and behind the image tokens.
struct ReportPrompt {
  std::vector<std::int64_t> before, after;

  index_t tokens() const { return static_cast<index_t>(before.size() + after.size()); }
};

/// A prompt in ids, after bos. @throws hlip::error when the request has a second `<image>`
HLIP_LAZY ReportPrompt report_prompt(const ReportTokens& tokens, std::string_view request) {
  const auto at = request.find(image_mark);
  const bool marked = at != std::string_view::npos;
  const std::string_view behind = marked ? request.substr(at + image_mark.size()) : request;
  expect(behind.find(image_mark) == std::string_view::npos, "prompt",
         "has a second <image>, expected one place for the image tokens");
  ReportPrompt prompt;
  if (tokens.bos() >= 0) prompt.before.push_back(tokens.bos());
  if (marked)
    for (const auto id : tokens.encode(request.substr(0, at))) prompt.before.push_back(id);
  prompt.after = tokens.encode(behind);
  return prompt;
}

HLIP_END
