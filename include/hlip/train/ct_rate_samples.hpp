// CT-RATE studies as training samples: a preprocessed volume and a tokenised report.
#pragma once

#include <hlip/backend/cpu.hpp>
#include <hlip/data/ct_rate.hpp>
#include <hlip/data/dataset.hpp>
#include <hlip/data/ct_cache.hpp>
#include <hlip/data/load_ct_rate.hpp>
#include <hlip/ops/shape.hpp>
#include <hlip/text/wordpiece.hpp>
#include <hlip/train/report_text.hpp>

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Reads one reconstruction and prepares it for the network, from its cached form if there is one. @return (D, H, W)
HLIP_LAZY Tensor<float, Cpu> load_ct_input(const CtRateVolume& source, const std::string& cached, const CtPreset& preset) {
  if (!cached.empty()) return preprocess_ct(CtCacheFile(cached), preset);
  return preprocess_ct(open_ct_rate_volume(source, preset), preset);
}

/// The cached file of every reconstruction, in order; empty strings where there is none. @param root of the cache, may be empty
HLIP_LAZY std::vector<std::string> cached_files(const std::string& root, const std::string& split, const CtPreset& preset, const std::vector<CtRateStudy>& studies) {
  std::vector<std::string> paths;
  for (const auto& s : studies)
    for (const auto& r : s.recons) paths.push_back(root.empty() ? "" : find_in_ct_cache(root, preset, split, r));
  return paths;
}

/// Prepared volumes kept in memory as float16: read once, whichever thread comes first, and the same ever after.
class VolumeCache {
 public:
  explicit VolumeCache(std::size_t slots) : slots_(slots), locks_(new std::mutex[slots]) {}
  template <class Load>
  Tensor<float, Cpu> get(std::size_t slot, Load load) const {
    std::lock_guard lock(locks_[slot]);
    Tensor<float16, Cpu>& kept = slots_[slot];
    if (kept.numel() == 0) kept = load().template to<float16>();
    return kept.template to<float>();
  }

 private:
  mutable std::vector<Tensor<float16, Cpu>> slots_;
  std::unique_ptr<std::mutex[]> locks_;
};

/// One study as a sample of the image stage.
struct CtSample {
  Tensor<float, Cpu> volume;      ///< (D, H, W)
  std::vector<std::int64_t> ids;  ///< [CLS] … [SEP], not padded
};

/// Volumes and texts of one batch.
struct CtBatch {
  Tensor<float, Cpu> volumes;     ///< (B, 1, 1, D, H, W)
  Tensor<std::int64_t, Cpu> ids;  ///< (B, L), L the longest text of the batch
};

/// (B, L) of token lists, padded with 0 to the longest.
HLIP_LAZY Tensor<std::int64_t, Cpu> pad_ids(const std::vector<std::vector<std::int64_t>>& rows) {
  std::size_t length = 1;
  for (const auto& r : rows) length = std::max(length, r.size());
  const auto ids = Tensor<std::int64_t, Cpu>::zeros({static_cast<index_t>(rows.size()), static_cast<index_t>(length)});
  for (std::size_t i = 0; i < rows.size(); ++i) std::copy(rows[i].begin(), rows[i].end(), ids.data() + i * length);
  return ids;
}

/// (B, 1, 1, D, H, W) of volumes of one size.
HLIP_LAZY Tensor<float, Cpu> stack_volumes(const std::vector<Tensor<float, Cpu>>& volumes) {
  const Shape& s = volumes.front().shape();
  return stack(volumes, 0).reshape({static_cast<index_t>(volumes.size()), 1, 1, s[0], s[1], s[2]});
}

/// Study → (volume of a randomly drawn reconstruction, drawn text). A Dataset.
class CtRateSamples {
 public:
  struct Options {
    CtPreset preset;
    ReportSampling sampling = ReportSampling::whole;
    std::int64_t context_length = 512;
    bool cache = false;             ///< keep prepared volumes in memory
    bool shuffle_reports = false;   ///< the control: the reports are dealt out anew among the studies
    std::uint64_t seed = 0;         ///< of that shuffle
  };
  /// @param cached of cached_files, or none
  HLIP_LAZY CtRateSamples(std::vector<CtRateStudy> studies, std::vector<std::string> cached, std::shared_ptr<const WordPieceTokenizer> tokenizer, const Options& options)
      : studies_(std::move(studies)), cached_(std::move(cached)), tokenizer_(std::move(tokenizer)), options_(options) {
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

  HLIP_LAZY CtSample get(index_t i, const RandomKey& key) const {
    RandomStream random(key);
    const auto at = static_cast<std::size_t>(i);
    const auto recon = static_cast<std::size_t>(random.below(static_cast<std::int64_t>(studies_[at].recons.size())));
    const std::size_t slot = first_slot_[at] + recon;
    const auto load = [&] { return load_ct_input(studies_[at].recons[recon], cached_[slot], options_.preset); };
    CtSample sample;
    sample.volume = cache_ ? cache_->get(slot, load) : load();
    sample.ids = tokenizer_->encode_unpadded(sample_report(reports_[at], options_.sampling, random), options_.context_length);
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
  index_t reports = 0, cut = 0, longest = 0;  ///< how many, how many of them do not fit, tokens of the longest
  std::string longest_study;
  index_t limit = 0;  ///< tokens the model reads
};

/// Counts the tokens of every report at its longest, [CLS] and [SEP] included.
HLIP_LAZY ReportLengths report_lengths(const CtRateSamples& samples, const WordPieceTokenizer& tokenizer) {
  ReportLengths out;
  out.limit = samples.options().context_length;
  out.reports = samples.size();
  std::vector<index_t> tokens(static_cast<std::size_t>(out.reports));
#pragma omp parallel for schedule(dynamic, 16)
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<index_t>(tokenizer.encode_unpadded(longest_text(samples.reports()[i], samples.options().sampling)).size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    out.cut += tokens[i] > out.limit;
    if (tokens[i] > out.longest) out.longest = tokens[i], out.longest_study = samples.name(static_cast<index_t>(i));
  }
  return out;
}

/// "reports: 3 of 200 can be longer than the 512 tokens the model reads, and are cut there (the longest, of train_3_a, has 731)"
inline std::string to_string(const ReportLengths& l) {
  if (l.cut == 0) return fmt::format("reports: all {} fit into the {} tokens the model reads (the longest, of {}, has {})", l.reports, l.limit, l.longest_study, l.longest);
  return fmt::format("reports: {} of {} can be longer than the {} tokens the model reads, and are cut there (the longest, of {}, has {})", l.cut, l.reports, l.limit, l.longest_study, l.longest);
}

/// Samples to a batch.
struct CollateCt {
  HLIP_LAZY CtBatch operator()(const std::vector<CtSample>& samples) const {
    std::vector<Tensor<float, Cpu>> volumes;
    std::vector<std::vector<std::int64_t>> ids;
    for (const auto& s : samples) {
      volumes.push_back(s.volume);
      ids.push_back(s.ids);
    }
    return {stack_volumes(volumes), pad_ids(ids)};
  }
};

/// Report → (its impression, part of its findings), for pre-training the text tower without images. A Dataset.
class ReportSections {
 public:
  HLIP_LAZY ReportSections(const CtRateSamples& samples, std::shared_ptr<const WordPieceTokenizer> tokenizer) : reports_(samples.reports()), tokenizer_(std::move(tokenizer)), length_(samples.options().context_length) {
    for (index_t i = 0; i < samples.size(); ++i) names_.push_back(samples.name(i));
  }
  index_t size() const { return static_cast<index_t>(reports_.size()); }
  std::string name(index_t i) const { return names_[static_cast<std::size_t>(i)]; }
  HLIP_LAZY std::pair<std::vector<std::int64_t>, std::vector<std::int64_t>> get(index_t i, const RandomKey& key) const {
    RandomStream random(key);
    const auto [a, b] = sample_sections(reports_[static_cast<std::size_t>(i)], random);
    return {tokenizer_->encode_unpadded(a, length_), tokenizer_->encode_unpadded(b, length_)};
  }

 private:
  std::vector<ReportText> reports_;
  std::shared_ptr<const WordPieceTokenizer> tokenizer_;
  std::int64_t length_;
  std::vector<std::string> names_;
};

/// Two sections of every report of a batch.
struct SectionBatch {
  Tensor<std::int64_t, Cpu> first, second;  ///< (B, L)
};

/// Pairs of token lists to a batch.
struct CollateSections {
  HLIP_LAZY SectionBatch operator()(const std::vector<std::pair<std::vector<std::int64_t>, std::vector<std::int64_t>>>& samples) const {
    std::vector<std::vector<std::int64_t>> a, b;
    for (const auto& [x, y] : samples) {
      a.push_back(x);
      b.push_back(y);
    }
    return {pad_ids(a), pad_ids(b)};
  }
};

HLIP_END
