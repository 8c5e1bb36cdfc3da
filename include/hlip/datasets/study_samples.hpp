// What training samples of studies share, whatever a study is: where its scans lie in memory, its
// report, the shuffled control, tokens.
#pragma once

#include <hlip/backend/cpu.hpp>
#include <hlip/core/random.hpp>
#include <hlip/data/image_text.hpp>
#include <hlip/imaging/hu_range.hpp>
#include <hlip/text/wordpiece.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// One study as a sample of the image stage.
struct StudySample {
  Tensor<float, Cpu> volume;      ///< (D, H, W), or (scans, D, H, W)
  std::vector<std::int64_t> ids;  ///< [CLS] … [SEP], not padded
  /// likewise, one sentence of the report, if the options ask for it
  std::vector<std::int64_t> sentence;
};

/// How studies become samples.
struct StudySampleOptions {
  std::int64_t context_length = 512;
  bool cache = false;  ///< keep prepared volumes in memory
  /// the control: the reports are dealt out anew among the studies
  bool shuffle_reports = false;
  std::uint64_t seed = 0;  ///< of that shuffle
  /// one sentence beside the report, for a model with two text targets
  bool sentences = false;
};

/// The base of a Dataset of StudySample.
/// @tparam Study has a name  @tparam Report what texts are drawn from
template <class Study, class Report> class StudySamples {
 public:
  index_t size() const { return static_cast<index_t>(studies_.size()); }
  std::string name(index_t i) const { return study(i).name; }
  const std::vector<Report>& reports() const { return reports_; }

 protected:
  /// @param scans_of its result has a size(): how many volumes a study has  @param report_of makes
  /// what texts are drawn from
  template <class ScansOf, class ReportOf>
  StudySamples(std::vector<Study> studies, std::shared_ptr<const WordPieceTokenizer> tokenizer,
               const StudySampleOptions& o, ScansOf scans_of, ReportOf report_of)
      : studies_(std::move(studies)),
        tokenizer_(std::move(tokenizer)),
        context_length_(o.context_length) {
    for (const auto& s : studies_) {
      first_slot_.push_back(slots_);
      slots_ += scans_of(s).size();
      reports_.push_back(report_of(s));
    }
    if (o.shuffle_reports) RandomStream({o.seed, 0x5AFEu, 0}).shuffle(reports_);
    if (o.cache) cache_ = std::make_shared<const VolumeCache>(slots_);
  }

  const Study& study(index_t i) const { return studies_[static_cast<std::size_t>(i)]; }
  const Report& report(index_t i) const { return reports_[static_cast<std::size_t>(i)]; }
  /// The number of a volume among those of all studies, and how many there are.
  std::size_t slot(index_t i, std::size_t scan) const {
    return first_slot_[static_cast<std::size_t>(i)] + scan;
  }
  std::size_t slots() const { return slots_; }
  /// A prepared volume, from memory or by load().
  /// @throws hlip::error naming `path` when it cannot be a scan
  template <class Load>
  Tensor<float, Cpu> volume(std::size_t slot, const std::string& path, Load load) const {
    const auto checked = [&] {
      const Tensor<float, Cpu> input = load();
      if (const std::string odd = implausible_scan(input); !odd.empty())
        fail_file(path, "", "as the network's input, {}", odd);
      return input;
    };
    return cache_ ? cache_->get(slot, checked) : checked();
  }
  std::vector<std::int64_t> tokens(const std::string& text) const {
    return tokenizer_->encode_unpadded(text, context_length_);
  }

 private:
  std::vector<Study> studies_;
  std::shared_ptr<const WordPieceTokenizer> tokenizer_;
  std::int64_t context_length_;
  std::vector<Report> reports_;
  std::vector<std::size_t> first_slot_;
  std::size_t slots_ = 0;
  std::shared_ptr<const VolumeCache> cache_;
};

HLIP_END
