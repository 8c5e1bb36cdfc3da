// The texts a study contributes to training: whole reports as published, or sentences drawn from
// its two sections. Source: reference document HLIP §6.1; reference document phantom §3.
#pragma once

#include <hlip/core/random.hpp>
#include <hlip/datasets/ct_rate/dataset.hpp>
#include <hlip/text/clean_report.hpp>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// What a study says, cut up once when the run starts.
struct ReportText {
  std::vector<std::string> whole;       ///< strings of the annotation, shuffled and joined
  std::vector<std::string> impression;  ///< sentences
  std::vector<std::string> findings;    ///< sentences
};

enum class ReportSampling {
  whole,      ///< all strings, shuffled
  sentences,  ///< the impression, alone or with a few sentences of the findings
};

/// Cuts at full stops that end a sentence: followed by a blank and not by a small letter or digit.
HLIP_LAZY std::vector<std::string> split_sentences(std::string_view text) {
  std::vector<std::string> sentences;
  std::size_t begin = 0;
  const auto flush = [&](std::size_t end) {
    while (begin < end && text[begin] == ' ') ++begin;
    if (end > begin) sentences.emplace_back(text.substr(begin, end - begin));
    begin = end;
  };
  for (std::size_t i = 0; i + 2 < text.size(); ++i)
    if ((text[i] == '.' || text[i] == '?' || text[i] == '!') && text[i + 1] == ' ' &&
        !std::islower(static_cast<unsigned char>(text[i + 2])) &&
        !std::isdigit(static_cast<unsigned char>(text[i + 2])))
      flush(i + 1);
  flush(text.size());
  return sentences;
}

/// @param study with its report, and its two sections when they came from the reports table
HLIP_LAZY ReportText report_text(const CtRateStudy& study) {
  ReportText t;
  for (const auto& part : study.report) t.whole.push_back(clean_report(part));
  t.impression = split_sentences(clean_report(study.impression));
  t.findings = split_sentences(clean_report(study.findings));
  return t;
}

namespace detail {
HLIP_LAZY std::string shuffled_text(std::vector<std::string> parts, RandomStream& random,
                                    std::size_t keep = static_cast<std::size_t>(-1)) {
  random.shuffle(parts);
  std::string text;
  for (std::size_t i = 0; i < parts.size() && i < keep; ++i) text += (i ? " " : "") + parts[i];
  return text;
}
inline constexpr std::string_view impression_lead = "The volume shows: ",
                                  findings_lead = " The volume looks like: ";
}  // namespace detail

/// One training text. Sentence sampling: 60 % the shuffled impression alone, 40 % with 1–4
/// sentences of the findings.
HLIP_LAZY std::string sample_report(const ReportText& report, ReportSampling sampling,
                                    RandomStream& random) {
  if (sampling == ReportSampling::whole || report.impression.empty())
    return detail::shuffled_text(report.whole, random);
  std::string text(detail::impression_lead);
  text += detail::shuffled_text(report.impression, random);
  if (report.findings.empty() || random.chance(0.6)) return text;
  const auto count = static_cast<std::size_t>(1 + random.below(4));
  return text.append(detail::findings_lead)
      .append(detail::shuffled_text(report.findings, random, count));
}

/// One sentence, as prompts are sentences: of the impression, in the words of the whole report's
/// beginning; without sections one of the annotation's strings (CT-RATE's are about one organ
/// each), or one sentence of the only one.
HLIP_LAZY std::string sample_sentence(const ReportText& report, RandomStream& random) {
  if (!report.impression.empty())
    return std::string(detail::impression_lead) +
           detail::shuffled_text(report.impression, random, 1);
  if (report.whole.size() == 1)
    return detail::shuffled_text(split_sentences(report.whole[0]), random, 1);
  return detail::shuffled_text(report.whole, random, 1);
}

/// A text that no text sample_report can draw of this report is longer than, but for the lengths of
/// words.
HLIP_LAZY std::string longest_text(const ReportText& report, ReportSampling sampling) {
  const auto join = [](const std::vector<std::string>& parts) {
    std::string text;
    for (const auto& p : parts) text.append(text.empty() ? "" : " ").append(p);
    return text;
  };
  if (sampling == ReportSampling::whole || report.impression.empty()) return join(report.whole);
  std::string text = std::string(detail::impression_lead) + join(report.impression);
  if (report.findings.empty()) return text;
  std::vector<std::string> findings = report.findings;
  std::stable_sort(findings.begin(), findings.end(),
                   [](const auto& a, const auto& b) { return a.size() > b.size(); });
  if (findings.size() > 4) findings.resize(4);
  return text.append(detail::findings_lead).append(join(findings));
}

/// The two sides of text pre-training: the impression, and a random 60–100 % of the findings
/// sentences (at least two).
/// @throws nothing; a report with one section only gives that section twice
HLIP_LAZY std::pair<std::string, std::string> sample_sections(const ReportText& report,
                                                              RandomStream& random) {
  const auto& first = report.impression.empty() ? report.whole : report.impression;
  const auto& second = report.findings.empty() ? first : report.findings;
  std::string a(detail::impression_lead), b(detail::impression_lead);
  a += detail::shuffled_text(first, random);
  const auto keep = static_cast<std::size_t>(static_cast<double>(second.size()) *
                                             random.uniform(0.6, 1.0));
  b += detail::shuffled_text(second, random, std::max<std::size_t>(2, keep));
  return {a, b};
}

/// The two sides of text pre-training for reports without sections: their sentences, dealt out in
/// two halves.
/// @param lead stands before each half  @return twice the same for a report of one sentence
HLIP_LAZY std::pair<std::string, std::string> sample_halves(std::vector<std::string> sentences,
                                                            std::string_view lead,
                                                            RandomStream& random) {
  random.shuffle(sentences);
  const std::size_t half = sentences.size() / 2;
  std::string a(lead), b(lead);
  for (std::size_t i = 0; i < sentences.size(); ++i) {
    std::string& side = i < half || half == 0 ? a : b;
    side += (side.size() > lead.size() ? " " : "") + sentences[i];
  }
  return {a, half == 0 ? a : b};
}

HLIP_END
