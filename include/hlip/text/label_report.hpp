// A rule-based labeller: which findings a report names, and whether it affirms, denies or doubts
// them. It is made for the short sentences of templates; of free text it reads what NegEx would.
#pragma once

#include <hlip/core/check.hpp>
#include <hlip/text/report_cues.hpp>

#include <set>
#include <unordered_map>

HLIP_BEGIN

/// The words for one finding. Case, hyphens and white space do not matter; other forms of a word,
/// such as plurals, are terms of their own.
struct FindingTerms {
  std::string name;
  std::vector<std::string> terms;    ///< that name it: "pleural effusion", "effusions"
  std::vector<std::string> denials;  ///< that say it is absent: "costophrenic angles are clear"
};

/// Labels reports by a vocabulary of findings.
///
/// Of terms that begin at the same word the longest counts, and its words are used up: with
/// "pericardial effusion" in the vocabulary, "effusion" does not find it there. A term may belong
/// to several findings. A clause is what a sentence has between words of contrast ("but"), or
/// between commas and "and" where both sides have a verb. In it, a cue before a finding ("no",
/// "possible") holds until the next such cue; one behind it ("is not seen", "cannot be excluded")
/// holds for what precedes it, but for findings that have a cue before them and a comma between.
class ReportLabeller {
 public:
  /// @throws hlip::error if there is no finding, one has no name, the name of another, or no terms,
  /// a term has no words or several sentences, or a finding has it twice
  HLIP_LAZY explicit ReportLabeller(std::span<const FindingTerms> vocabulary) {
    expect(!vocabulary.empty(), "report_labeller", "no findings, expected at least one");
    std::set<std::string> seen;
    for (const FindingTerms& finding : vocabulary) {
      expect(!finding.name.empty() && seen.insert(finding.name).second, "report_labeller",
             "finding {} is named {}, expected a name of its own", names_.size() + 1,
             quote_text(finding.name));
      expect(!finding.terms.empty(), "report_labeller", "finding {} has no terms",
             quote_text(finding.name));
      names_.push_back(finding.name);
      for (const auto& term : finding.terms) add(term, false);
      for (const auto& term : finding.denials) add(term, true);
    }
  }

  /// Names of the findings, in the order of `mentions`.
  const std::vector<std::string>& names() const { return names_; }

  /// How a report mentions each finding; of several mentions see stronger_mention.
  /// @param report UTF-8 of any origin; time is linear in it
  HLIP_LAZY std::vector<Mention> mentions(std::string_view report) const {
    std::vector<Mention> all(names_.size(), Mention::blank);
    for (const auto& sentence : report_sentences(report)) label_sentence(sentence, all);
    return all;
  }

 private:
  struct Meaning {
    std::size_t finding;
    bool denies;
  };
  struct Term {
    std::vector<std::string> words;
    std::vector<Meaning> meanings;
  };
  struct Hit {
    std::size_t begin, end;
    const Term* term;
  };

  /// Adds a term of the last finding.
  HLIP_LAZY void add(const std::string& text, bool denies) {
    const auto sentences = report_sentences(text);
    expect(sentences.size() == 1 &&
               std::find(sentences[0].begin(), sentences[0].end(), ",") == sentences[0].end(),
           "report_labeller", "term {} of {}: expected words without punctuation", quote_text(text),
           quote_text(names_.back()));
    auto& same_start = terms_[sentences[0][0]];
    auto at = std::find_if(same_start.begin(), same_start.end(),
                           [&](const Term& t) { return t.words == sentences[0]; });
    if (at == same_start.end()) at = same_start.insert(at, Term{sentences[0], {}});
    for (const Meaning& m : at->meanings)
      expect(m.finding + 1 != names_.size(), "report_labeller", "term {} of {} is given twice",
             quote_text(text), quote_text(names_.back()));
    at->meanings.push_back({names_.size() - 1, denies});
  }

  /// The terms of a sentence, from left to right. @param taken gets 1 for their words
  HLIP_LAZY std::vector<Hit> find_terms(const std::vector<std::string>& words,
                                        std::vector<char>& taken) const {
    std::vector<Hit> hits;
    for (std::size_t i = 0; i < words.size();) {
      const Term* longest = nullptr;
      if (const auto at = terms_.find(words[i]); at != terms_.end())
        for (const Term& term : at->second)
          if (term.words.size() <= words.size() - i &&
              (!longest || term.words.size() > longest->words.size()) &&
              std::equal(term.words.begin(), term.words.end(),
                         words.begin() + static_cast<std::ptrdiff_t>(i)))
            longest = &term;
      if (!longest) {
        ++i;
        continue;
      }
      hits.push_back({i, i + longest->words.size(), longest});
      for (; i < hits.back().end; ++i) taken[i] = 1;
    }
    return hits;
  }

  /// What is said at each word of a clause by the cues around it.
  struct Said {
    std::vector<Mention> before, after;  ///< blank: no cue
    std::vector<char> comma;             ///< whether one lies between the word and the cue behind
  };
  HLIP_LAZY static Said read_cues(std::span<const std::string> words,
                                  const std::vector<char>& taken) {
    Said said{std::vector<Mention>(words.size(), Mention::blank),
              std::vector<Mention>(words.size(), Mention::blank), std::vector<char>(words.size())};
    const auto borders = detail::clause_borders(words, taken);
    for (std::size_t c = 0; c + 1 < borders.size(); ++c) {
      Mention now = Mention::blank;
      std::vector<detail::FoundCue> behind;
      for (std::size_t i = borders[c]; i < borders[c + 1];) {
        const auto cue = taken[i] ? detail::FoundCue{} : detail::cue_at(words, taken, i);
        if (cue.before && cue.meaning != Mention::blank) now = cue.meaning;
        if (cue.after) behind.push_back(cue);
        for (const std::size_t end = i + std::max<std::size_t>(cue.count, 1);
             i < std::min(end, borders[c + 1]); ++i)
          said.before[i] = now;
      }
      now = Mention::blank;
      bool comma = false;
      for (std::size_t i = borders[c + 1]; i-- > borders[c];) {
        if (words[i] == ",") comma = true;
        if (!behind.empty() && behind.back().begin == i)
          now = behind.back().meaning, behind.pop_back(), comma = false;
        said.after[i] = now, said.comma[i] = comma ? 1 : 0;
      }
    }
    return said;
  }

  HLIP_LAZY void label_sentence(const std::vector<std::string>& words,
                                std::vector<Mention>& all) const {
    std::vector<char> taken(words.size());
    const auto hits = find_terms(words, taken);
    if (hits.empty()) return;
    const Said said = read_cues(words, taken);
    for (const Hit& hit : hits) {
      Mention mention = said.after[hit.end - 1];
      const Mention before = said.before[hit.begin];
      if (mention == Mention::blank || (before != Mention::blank && said.comma[hit.end - 1]))
        mention = before;
      if (mention == Mention::blank) mention = Mention::positive;
      for (const Meaning& m : hit.term->meanings)
        all[m.finding] = stronger_mention(all[m.finding], m.denies ? Mention::negative : mention);
    }
  }

  std::vector<std::string> names_;
  std::unordered_map<std::string, std::vector<Term>> terms_;  // by their first word
};

HLIP_END
