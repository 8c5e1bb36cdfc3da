// CT-RATE studies as training samples: a preprocessed volume and a tokenised report.
#pragma once

#include <hlip/backend/cpu.hpp>
#include <hlip/data/dataset.hpp>
#include <hlip/datasets/ct_rate/cache.hpp>
#include <hlip/datasets/ct_rate/dataset.hpp>
#include <hlip/datasets/ct_rate/load_volume.hpp>
#include <hlip/datasets/report_text.hpp>
#include <hlip/datasets/study_samples.hpp>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Reads one reconstruction and prepares it for the network, from its cached form if there is one
/// and it is sound. A damaged one costs time, not the run: that is said on stderr. @return (D, H,
/// W)
HLIP_LAZY Tensor<float, Cpu> load_ct_input(const CtRateVolume& source, const std::string& cached,
                                           const CtPreset& preset) {
  if (!cached.empty()) {
    try {
      return preprocess_ct(CtCacheFile(cached), preset);
    } catch (const error& e) {
      std::fputs(fmt::format("warning: {}; {} is read instead\n", e.what(), source.path).c_str(),
                 stderr);
    }
  }
  return preprocess_ct(open_ct_rate_volume(source, preset), preset);
}

/// The cached file of every reconstruction, in order; empty strings where there is none. @param
/// root of the cache, may be empty
HLIP_LAZY std::vector<std::string> cached_files(const std::string& root, const std::string& split,
                                                const CtPreset& preset,
                                                const std::vector<CtRateStudy>& studies) {
  std::vector<std::string> paths;
  for (const auto& s : studies)
    for (const auto& r : s.recons)
      paths.push_back(root.empty() ? "" : find_in_ct_cache(root, preset, split, r));
  return paths;
}

/// Study → (volume of a randomly drawn reconstruction, drawn text). A Dataset.
class CtRateSamples : public StudySamples<CtRateStudy, ReportText> {
 public:
  struct Options : StudySampleOptions {
    CtPreset preset;
    ReportSampling sampling = ReportSampling::whole;
  };
  /// @param cached of cached_files, or none
  HLIP_LAZY CtRateSamples(std::vector<CtRateStudy> studies, std::vector<std::string> cached,
                          std::shared_ptr<const WordPieceTokenizer> tokenizer,
                          const Options& options)
      : StudySamples(
            std::move(studies), std::move(tokenizer), options,
            [](const CtRateStudy& s) -> const auto& { return s.recons; },
            [](const CtRateStudy& s) { return report_text(s); }),
        cached_(std::move(cached)),
        options_(options) {
    if (cached_.empty()) cached_.resize(slots());
  }

  const Options& options() const { return options_; }
  /// The impression, and part of the findings.
  std::pair<std::string, std::string> text_pair(index_t i, RandomStream& random) const {
    return sample_sections(report(i), random);
  }

  HLIP_LAZY StudySample get(index_t i, const RandomKey& key) const {
    RandomStream random(key);
    const auto& recons = study(i).recons;
    const auto drawn = static_cast<std::size_t>(
        random.below(static_cast<std::int64_t>(recons.size())));
    const CtRateVolume& recon = recons[drawn];
    const std::size_t at = slot(i, drawn);
    StudySample sample;
    sample.volume = volume(at, recon.path,
                           [&] { return load_ct_input(recon, cached_[at], options_.preset); });
    sample.ids = tokens(sample_report(report(i), options_.sampling, random));
    if (options_.sentences) sample.sentence = tokens(sample_sentence(report(i), random));
    return sample;
  }

 private:
  std::vector<std::string> cached_;
  Options options_;
};

/// How long the reports of a data set can get, against what the model reads of them.
struct ReportLengths {
  /// how many, how many of them do not fit, tokens of the longest
  index_t reports = 0, cut = 0, longest = 0;
  std::string longest_study;
  index_t limit = 0;  ///< tokens the model reads
};

/// Counts the tokens of every report at its longest, [CLS] and [SEP] included.
HLIP_LAZY ReportLengths report_lengths(const CtRateSamples& samples,
                                       const WordPieceTokenizer& tokenizer) {
  ReportLengths out;
  out.limit = samples.options().context_length;
  out.reports = samples.size();
  std::vector<index_t> tokens(static_cast<std::size_t>(out.reports));
#pragma omp parallel for schedule(dynamic, 16)
  for (std::size_t i = 0; i < tokens.size(); ++i)
    tokens[i] = static_cast<index_t>(
        tokenizer.encode_unpadded(longest_text(samples.reports()[i], samples.options().sampling))
            .size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    out.cut += tokens[i] > out.limit;
    if (tokens[i] > out.longest)
      out.longest = tokens[i], out.longest_study = samples.name(static_cast<index_t>(i));
  }
  return out;
}

/// "reports: 3 of 200 can be longer than the 512 tokens the model reads, and are cut there (the
/// longest, of train_3_a, has 731)"
HLIP_LAZY std::string to_string(const ReportLengths& l) {
  if (l.cut == 0)
    return fmt::format(
        "reports: all {} fit into the {} tokens the model reads (the longest, of {}, has {})",
        l.reports, l.limit, l.longest_study, l.longest);
  return fmt::format(
      "reports: {} of {} can be longer than the {} tokens the model reads, and are cut there (the "
      "longest, of {}, has {})",
      l.cut, l.reports, l.limit, l.longest_study, l.longest);
}

HLIP_END
