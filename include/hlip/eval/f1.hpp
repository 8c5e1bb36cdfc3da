// F1 of many labels at once, and of sets of extracted facts: what reports are compared by.
#pragma once

#include <hlip/eval/auc.hpp>
#include <hlip/text/mention.hpp>

#include <array>
#include <set>

HLIP_BEGIN

/// 2·tp / (2·tp + fp + fn); 0 where nothing is there and nothing is claimed.
inline double f1_score(std::int64_t true_positive, std::int64_t false_positive,
                       std::int64_t false_negative) {
  const std::int64_t all = 2 * true_positive + false_positive + false_negative;
  return all == 0 ? 0 : 2 * static_cast<double>(true_positive) / static_cast<double>(all);
}

/// F1 over labels that may hold together.
struct LabelF1 {
  std::vector<double> per_label;
  double macro = not_a_number;  ///< the mean of per_label
  double micro = not_a_number;  ///< of the counts of all labels together
};

/// F1 of yes/no labels.
/// @param reference, hypothesis 0 or 1, row-major (reports, labels)
/// @throws hlip::error if the sizes do not fit or a value is neither 0 nor 1
HLIP_LAZY LabelF1 label_f1(std::span<const std::int64_t> reference,
                           std::span<const std::int64_t> hypothesis, std::int64_t labels) {
  const auto width = static_cast<std::size_t>(labels);
  expect(labels > 0 && reference.size() == hypothesis.size() && reference.size() % width == 0,
         "label_f1", "{} reference and {} hypothesis values, expected as many and rows of {}",
         reference.size(), hypothesis.size(), labels);
  struct Counts {
    std::int64_t hit = 0, alarm = 0, miss = 0;
  };
  std::vector<Counts> counts(width);
  for (std::size_t i = 0; i < reference.size(); ++i) {
    for (const auto v : {reference[i], hypothesis[i]})
      expect(v == 0 || v == 1, "label_f1", "label {} of report {} is {}, expected 0 or 1",
             i % width, i / width, v);
    Counts& c = counts[i % width];
    c.hit += reference[i] & hypothesis[i];
    c.alarm += hypothesis[i] & ~reference[i], c.miss += reference[i] & ~hypothesis[i];
  }
  LabelF1 f1;
  Counts all;
  for (const Counts& c : counts) {
    f1.per_label.push_back(f1_score(c.hit, c.alarm, c.miss));
    all.hit += c.hit, all.alarm += c.alarm, all.miss += c.miss;
  }
  f1.macro = mean_without_nan(f1.per_label);
  f1.micro = f1_score(all.hit, all.alarm, all.miss);
  return f1;
}

/// Mentions as yes/no labels: only a positive mention is a yes, an uncertain one is a no.
/// @throws hlip::error on another number than those of Mention
HLIP_LAZY std::vector<std::int64_t> positive_mentions(std::span<const std::int64_t> mentions) {
  std::vector<std::int64_t> yes;
  for (std::size_t i = 0; i < mentions.size(); ++i) {
    expect(mentions[i] >= 0 && mentions[i] <= 3, "positive_mentions",
           "mention {} is {}, expected 0 (blank), 1 (positive), 2 (negative) or 3 (uncertain)", i,
           mentions[i]);
    yes.push_back(mentions[i] == static_cast<std::int64_t>(Mention::positive));
  }
  return yes;
}

/// The same of mentions. @param uncertain_too whether an uncertain one is a yes as well
HLIP_LAZY std::vector<std::int64_t> positive_mentions(std::span<const Mention> mentions,
                                                      bool uncertain_too = false) {
  std::vector<std::int64_t> yes;
  for (const Mention m : mentions)
    yes.push_back(m == Mention::positive || (uncertain_too && m == Mention::uncertain));
  return yes;
}

/// What was found in a report: which entity, its label, whether it takes part in a relation.
using EntityTriple = std::array<std::int64_t, 3>;

/// F1 over the triples of two reports as sets: a triple counts once however often it is there.
/// @return 0 if one of them, or both, have none
/// Source: RadGraph F1 (RGER), "exact entity, token, whether there is a relation".
HLIP_LAZY double triples_f1(std::span<const EntityTriple> reference,
                            std::span<const EntityTriple> hypothesis) {
  const std::set<EntityTriple> wanted(reference.begin(), reference.end()),
      said(hypothesis.begin(), hypothesis.end());
  std::int64_t hits = 0;
  for (const auto& triple : said) hits += wanted.contains(triple) ? 1 : 0;
  return f1_score(hits, static_cast<std::int64_t>(said.size()) - hits,
                  static_cast<std::int64_t>(wanted.size()) - hits);
}

HLIP_END
