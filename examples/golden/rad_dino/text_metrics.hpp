// Kind text_metrics: ROUGE-L, ROUGE-N and BLEU of pairs of sentences.
#pragma once

#include "../tolerances.hpp"

#include <hlip/eval/average_precision.hpp>
#include <hlip/eval/bleu.hpp>
#include <hlip/eval/rouge.hpp>

namespace golden {

namespace detail {

/// The lines of a tensor of UTF-8 bytes.
inline std::vector<std::string> lines_of(const Fixture& f, const std::string& name) {
  std::vector<std::string> lines(1);
  for (const auto byte : f.integers(name)) {
    if (byte == '\n') lines.emplace_back();
    else lines.back() += static_cast<char>(static_cast<unsigned char>(byte));
  }
  return lines;
}

inline void check_rouge(Fixture& f, const std::vector<std::string>& references,
                        const std::vector<std::string>& hypotheses) {
  std::vector<double> l, f1, of_words, of_pairs, captioning;
  std::vector<std::int64_t> lengths;
  for (std::size_t i = 0; i < references.size(); ++i) {
    const RougeScore score = rouge_l(references[i], hypotheses[i]);
    l.insert(l.end(), {score.precision, score.recall, score.f1}), f1.push_back(score.f1);
    of_words.push_back(rouge_n(references[i], hypotheses[i], 1).f1);
    of_pairs.push_back(rouge_n(references[i], hypotheses[i], 2).f1);
    // captions are compared with their punctuation
    const NumberedWords words(white_space_words(references[i]), white_space_words(hypotheses[i]));
    lengths.push_back(longest_common_subsequence(words));
    const RougeScore caption = rouge_of(lengths.back(), words.reference.size(),
                                        words.hypothesis.size());
    captioning.push_back(f_beta(caption.precision, caption.recall, 1.2));
  }
  const auto n = static_cast<index_t>(references.size());
  f.compare("output.rougeL_prf", l, {n, 3}, of_an_operator);
  f.compare("output.rougeL_mean_f", mean_without_nan(f1), of_an_operator);
  f.compare("output.rouge1_f", of_words, of_an_operator);
  f.compare("output.rouge2_f", of_pairs, of_an_operator);
  f.compare_exact("output.lcs.length", lengths, {n});
  f.compare("output.lcs.beta12", captioning, of_an_operator);
}

inline void check_bleu(Fixture& f, const std::vector<std::string>& references,
                       const std::vector<std::string>& hypotheses) {
  BleuCounts plain, at_least_one;
  std::vector<double> epsilon, add_one;
  for (std::size_t i = 0; i < references.size(); ++i) {
    plain.add(bleu_counts(references[i], hypotheses[i]));
    const BleuCounts own = bleu_counts(references[i], hypotheses[i], ShortHypothesis::adds_one);
    at_least_one.add(own);
    epsilon.push_back(bleu(own, longest_ngram, BleuSmoothing::epsilon));
    add_one.push_back(bleu(own, longest_ngram, BleuSmoothing::add_one));
  }
  f.compare_exact("output.sacrebleu_counts", {plain.matches.begin(), plain.matches.end()},
                  {longest_ngram});
  f.compare_exact("output.sacrebleu_totals", {plain.totals.begin(), plain.totals.end()},
                  {longest_ngram});
  std::vector<double> percent;
  for (int n = 1; n <= longest_ngram; ++n) percent.push_back(100 * plain.precision(n));
  f.compare("output.sacrebleu_precisions", percent, of_an_operator);
  f.compare("output.sacrebleu_bp", plain.brevity_penalty(), of_an_operator);
  f.compare("output.sacrebleu_score", 100 * corpus_bleu4(references, hypotheses), of_an_operator);
  for (int n = 1; n <= longest_ngram; ++n)
    f.compare(fmt::format("output.corpus_bleu{}", n), bleu(at_least_one, n), of_an_operator);
  f.compare("output.sentence_bleu4_method1", epsilon, of_an_operator);
  f.compare("output.sentence_bleu4_method2", add_one, of_an_operator);
}

}  // namespace detail

template <class B> void check_text_metrics(Fixture& f) {
  const auto references = detail::lines_of(f, "input.reference"),
             hypotheses = detail::lines_of(f, "input.hypothesis");
  if (references.size() != hypotheses.size())
    fail_file(f.path(), "input", "{} references and {} hypotheses", references.size(),
              hypotheses.size());
  detail::check_rouge(f, references, hypotheses);
  detail::check_bleu(f, references, hypotheses);
}

}  // namespace golden
