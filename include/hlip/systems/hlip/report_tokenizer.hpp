// The tokenizer of a vocabulary, or one learned from the reports of a data set. Needs utf8proc.
#pragma once

#include <hlip/text/clean_report.hpp>
#include <hlip/text/wordpiece.hpp>
#include <hlip/text/wordpiece_learn.hpp>

#include <string>
#include <vector>

HLIP_BEGIN

/// What reports are cut up with: the pieces of a vocabulary file or, without one, pieces learned
/// from the reports.
/// @param vocab path, or empty  @param studies each with a `report`, a list of texts; not looked at
/// when there is a vocabulary
template <class Studies>
WordPieceTokenizer report_tokenizer(const std::string& vocab, const Studies& studies) {
  if (!vocab.empty()) return WordPieceTokenizer::load(vocab);
  std::vector<std::string> texts;
  for (const auto& s : studies)
    for (const auto& part : s.report) texts.push_back(clean_report(part));
  return WordPieceTokenizer(learn_wordpiece(texts, {.max_size = 30522}));
}

HLIP_END
