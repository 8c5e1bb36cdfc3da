// Studies as samples of text-informed pre-training: two sub-volumes at the scan's working spacing,
// as they are and corrupted, and the tokens of the report. A sample is a function of seed, epoch
// and study alone.
// Source: reference document T3D §2, §4.
#pragma once

#include <hlip/data/image_text.hpp>
#include <hlip/datasets/report_text.hpp>
#include <hlip/datasets/study_scans.hpp>
#include <hlip/imaging/augment/corrupt_volume.hpp>
#include <hlip/imaging/hu_range.hpp>
#include <hlip/systems/t3d/text_informed.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// What the network is told of a study's report.
enum class ReportUse {
  own,
  shuffled,  ///< the control: that of another study, the same one throughout the run
  none,      ///< fusion is skipped
};

struct SubVolumeOptions {
  std::array<index_t, 3> size = {96, 96, 96};  ///< (D, H, W) voxels
  /// A place is drawn anew, up to ten times, until this share of its voxels is above `air`.
  double foreground = 0;
  double air = 0.1;  ///< of the window
  CorruptionOptions corruptions;
  index_t context_length = 256;  ///< tokens of a report at most
  ReportUse report = ReportUse::own;
  std::uint64_t seed = 0;  ///< of the shuffle
  bool cache = false;      ///< keep prepared volumes in memory, 16 bits a voxel
};

/// Sub-volumes a and b of a study.
struct SubVolumeSample {
  Tensor<float, Cpu> view_a, view_b, corrupt_a, corrupt_b;  ///< (D, H, W)
  Tensor<std::uint8_t, Cpu> changed_a, changed_b;
  std::vector<std::int64_t> ids;  ///< not padded; none where the report is not used
  std::int64_t study = 0;         ///< one number for all studies whose reports are alike
};

/// Where a sub-volume lies: anywhere inside, or, with a share of foreground, at the first of ten
/// places that has it, else at the one with most.
/// @throws hlip::error when the volume is smaller
HLIP_LAZY VoxelBox place_sub_volume(const Tensor<float, Cpu>& volume, const SubVolumeOptions& o,
                                    RandomStream& random) {
  const auto drawn = [&] {
    VoxelBox box;
    box.size = o.size;
    for (std::size_t d = 0; d < 3; ++d) {
      const index_t room = volume.dim(static_cast<int>(d)) - o.size[d];
      expect(room >= 0, "sub_volume",
             "the volume has {} voxels, a sub-volume {} x {} x {} (hint: a smaller --size, or a "
             "finer --spacing)",
             to_string(volume.shape()), o.size[0], o.size[1], o.size[2]);
      box.from[d] = random.below(room + 1);
    }
    return box;
  };
  VoxelBox best = drawn();
  if (o.foreground <= 0) return best;
  const float* v = volume.data();
  index_t most = -1;
  for (int attempt = 0; attempt < 10; ++attempt) {
    const VoxelBox box = attempt == 0 ? best : drawn();
    index_t inside = 0;
    each_row(volume.shape(), box, [&](index_t first, index_t n) {
      inside += std::count_if(v + first, v + first + n, [&](float x) { return x > o.air; });
    });
    if (inside > most) most = inside, best = box;
    if (static_cast<double>(most) >= o.foreground * static_cast<double>(box.voxels())) break;
  }
  return best;
}

/// The voxels of a box. @param volume (D, H, W)  @return contiguous
HLIP_LAZY Tensor<float, Cpu> voxels_of(const Tensor<float, Cpu>& volume, const VoxelBox& box) {
  Tensor<float, Cpu> part = volume;
  for (std::size_t d = 0; d < 3; ++d)
    part = part.slice(static_cast<int>(d), box.from[d], box.from[d] + box.size[d]);
  return part.contiguous();
}

/// Sub-volumes of studies. A Dataset.
class SubVolumes {
 public:
  /// @param scans prepared: values in [0, 1] at the working spacing  @param reports of the studies
  /// @throws hlip::error for options that cannot be carried out, and for no studies
  HLIP_LAZY SubVolumes(std::shared_ptr<const StudyScans> scans, std::vector<ReportText> reports,
                       std::shared_ptr<const WordPieceTokenizer> tokenizer,
                       const SubVolumeOptions& options)
      : scans_(std::move(scans)),
        reports_(std::move(reports)),
        tokenizer_(std::move(tokenizer)),
        options_(options) {
    check_corruption_options(options.corruptions);
    for (const index_t n : options.size)
      expect(n >= 1 && n <= 512, "sub_volumes", "a side of {} voxels, expected 1 to 512", n);
    expect(scans_->size() > 0, "sub_volumes", "no studies");
    expect(scans_->size() == static_cast<index_t>(reports_.size()), "sub_volumes",
           "{} studies and {} reports", scans_->size(), reports_.size());
    if (options.report == ReportUse::shuffled) deal_out_reports(options.seed);
    std::map<std::vector<std::string>, std::int64_t> numbers;
    for (const ReportText& report : reports_) {
      std::vector<std::string> words = report.whole;
      std::sort(words.begin(), words.end());
      studies_.push_back(
          numbers.emplace(words, static_cast<std::int64_t>(studies_.size())).first->second);
    }
    std::size_t slots = 0;
    for (index_t i = 0; i < scans_->size(); ++i) {
      first_slot_.push_back(slots);
      slots += scans_->scans(i);
    }
    if (options.cache) cache_ = std::make_shared<const VolumeCache>(slots);
  }
  index_t size() const { return scans_->size(); }
  const std::string& name(index_t i) const { return scans_->name(i); }
  const SubVolumeOptions& options() const { return options_; }

  HLIP_LAZY SubVolumeSample get(index_t i, const RandomKey& key) const {
    RandomStream random(key);
    const auto count = static_cast<std::int64_t>(scans_->scans(i));
    const Tensor<float, Cpu> volume = scan(i, static_cast<std::size_t>(random.below(count)));
    SubVolumeSample s;
    s.view_a = voxels_of(volume, place_sub_volume(volume, options_, random));
    s.view_b = voxels_of(volume, place_sub_volume(volume, options_, random));
    const auto corrupt = [&](const Tensor<float, Cpu>& view, std::uint32_t number,
                             Tensor<float, Cpu>& corrupted, Tensor<std::uint8_t, Cpu>& changed) {
      const CorruptedVolume c = corrupt_volume(view, options_.corruptions, key, number);
      corrupted = c.volume, changed = c.changed;
    };
    corrupt(s.view_a, 0, s.corrupt_a, s.changed_a);
    corrupt(s.view_b, 1, s.corrupt_b, s.changed_b);
    s.study = studies_[static_cast<std::size_t>(i)];
    if (options_.report == ReportUse::none) return s;
    const ReportText& report = reports_[static_cast<std::size_t>(i)];
    s.ids = tokenizer_->encode_unpadded(sample_report(report, ReportSampling::whole, random),
                                        options_.context_length);
    return s;
  }

 private:
  /// Every study gets the report of the next one in a random round.
  void deal_out_reports(std::uint64_t seed) {
    std::vector<std::size_t> round;
    for (std::size_t i = 0; i < reports_.size(); ++i) round.push_back(i);
    RandomStream({seed, 0x5AFEu, 0}).shuffle(round);
    std::vector<ReportText> dealt(reports_.size());
    for (std::size_t i = 0; i < round.size(); ++i)
      dealt[round[i]] = reports_[round[(i + 1) % round.size()]];
    reports_ = std::move(dealt);
  }
  Tensor<float, Cpu> scan(index_t i, std::size_t s) const {
    const auto checked = [&] {
      const Tensor<float, Cpu> volume = scans_->load(i, s);
      if (const std::string odd = implausible_scan(volume); !odd.empty())
        fail_file(scans_->path(i, s), "", "as the network's input, {}", odd);
      return volume;
    };
    return cache_ ? cache_->get(first_slot_[static_cast<std::size_t>(i)] + s, checked) : checked();
  }

  std::shared_ptr<const StudyScans> scans_;
  std::vector<ReportText> reports_;
  std::shared_ptr<const WordPieceTokenizer> tokenizer_;
  SubVolumeOptions options_;
  std::vector<std::int64_t> studies_;
  std::vector<std::size_t> first_slot_;
  std::shared_ptr<const VolumeCache> cache_;
};

/// A batch of sub-volumes.
template <class B>
SubVolumePairs<float, B> collate_sub_volumes(const std::vector<SubVolumeSample>& samples) {
  const auto n = static_cast<index_t>(samples.size());
  std::vector<std::vector<std::int64_t>> ids;
  std::vector<std::int64_t> studies;
  for (const auto& s : samples) ids.push_back(s.ids), studies.push_back(s.study);
  const auto together = [&](auto member) {
    std::vector<std::decay_t<decltype(samples[0].*member)>> volumes;
    for (const auto& s : samples) volumes.push_back(s.*member);
    const Shape& v = volumes[0].shape();
    return uploaded_ahead<B>(stack(volumes, 0).reshape({n, 1, v[0], v[1], v[2]}));
  };
  SubVolumePairs<float, B> pairs;
  pairs.view_a = together(&SubVolumeSample::view_a);
  pairs.view_b = together(&SubVolumeSample::view_b);
  pairs.corrupt_a = together(&SubVolumeSample::corrupt_a);
  pairs.corrupt_b = together(&SubVolumeSample::corrupt_b);
  pairs.changed_a = together(&SubVolumeSample::changed_a);
  pairs.changed_b = together(&SubVolumeSample::changed_b);
  pairs.ids = uploaded_ahead<B>(pad_ids(ids));
  pairs.studies = Tensor<std::int64_t, B>::from_values({n}, std::span<const std::int64_t>(studies));
  return pairs;
}

HLIP_END
