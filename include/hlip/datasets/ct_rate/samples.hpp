// CT-RATE studies as training samples: a preprocessed volume and a tokenised report.
#pragma once

#include <hlip/backend/cpu.hpp>
#include <hlip/data/dataset.hpp>
#include <hlip/data/image_text.hpp>
#include <hlip/datasets/ct_rate/cache.hpp>
#include <hlip/datasets/ct_rate/dataset.hpp>
#include <hlip/datasets/ct_rate/load_volume.hpp>
#include <hlip/datasets/report_text.hpp>

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

/// One study as a sample of the image stage.
struct CtSample {
  Tensor<float, Cpu> volume;      ///< (D, H, W)
  std::vector<std::int64_t> ids;  ///< [CLS] … [SEP], not padded
  /// likewise, one sentence of the report, if the options ask for it
  std::vector<std::int64_t> sentence;
};

/// Study → (volume of a randomly drawn reconstruction, drawn text). A Dataset.
class CtRateSamples {
 public:
  struct Options {
    CtPreset preset;
    ReportSampling sampling = ReportSampling::whole;
    std::int64_t context_length = 512;
    bool cache = false;  ///< keep prepared volumes in memory
    /// the control: the reports are dealt out anew among the studies
    bool shuffle_reports = false;
    std::uint64_t seed = 0;  ///< of that shuffle
    /// one sentence beside the report, for a model with two text targets
    bool sentences = false;
  };
  /// @param cached of cached_files, or none
  HLIP_LAZY CtRateSamples(std::vector<CtRateStudy> studies, std::vector<std::string> cached,
                          std::shared_ptr<const WordPieceTokenizer> tokenizer,
                          const Options& options)
      : studies_(std::move(studies)),
        cached_(std::move(cached)),
        tokenizer_(std::move(tokenizer)),
        options_(options) {
    for (const auto& s : studies_) {
      first_slot_.push_back(slots_);
      slots_ += s.recons.size();
      reports_.push_back(report_text(s));
    }
    if (cached_.empty()) cached_.resize(slots_);
    if (options.shuffle_reports) RandomStream({options.seed, 0x5AFEu, 0}).shuffle(reports_);
    if (options.cache) cache_ = std::make_shared<const VolumeCache>(slots_);
  }

  index_t size() const { return static_cast<index_t>(studies_.size()); }
  std::string name(index_t i) const { return studies_[static_cast<std::size_t>(i)].name; }
  const std::vector<CtRateStudy>& studies() const { return studies_; }
  const std::vector<ReportText>& reports() const { return reports_; }
  const Options& options() const { return options_; }
  /// The impression, and part of the findings.
  std::pair<std::string, std::string> text_pair(index_t i, RandomStream& random) const {
    return sample_sections(reports_[static_cast<std::size_t>(i)], random);
  }

  HLIP_LAZY CtSample get(index_t i, const RandomKey& key) const {
    RandomStream random(key);
    const auto at = static_cast<std::size_t>(i);
    const auto recon = static_cast<std::size_t>(
        random.below(static_cast<std::int64_t>(studies_[at].recons.size())));
    const std::size_t slot = first_slot_[at] + recon;
    const auto load = [&] {
      const auto input = load_ct_input(studies_[at].recons[recon], cached_[slot], options_.preset);
      if (const std::string odd = implausible_scan(input); !odd.empty())
        fail_file(studies_[at].recons[recon].path, "", "as the network's input, {}", odd);
      return input;
    };
    CtSample sample;
    sample.volume = cache_ ? cache_->get(slot, load) : load();
    sample.ids = tokenizer_->encode_unpadded(sample_report(reports_[at], options_.sampling, random),
                                             options_.context_length);
    if (options_.sentences)
      sample.sentence = tokenizer_->encode_unpadded(sample_sentence(reports_[at], random),
                                                    options_.context_length);
    return sample;
  }

 private:
  std::vector<CtRateStudy> studies_;
  std::vector<std::string> cached_;
  std::shared_ptr<const WordPieceTokenizer> tokenizer_;
  Options options_;
  std::vector<ReportText> reports_;
  std::vector<std::size_t> first_slot_;
  std::size_t slots_ = 0;
  std::shared_ptr<const VolumeCache> cache_;
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
