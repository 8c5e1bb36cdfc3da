// Looks at the range of a scan: values of which nobody is sure whether they are HU give themselves
// away, and so does a scan of nothing.
#pragma once

#include <hlip/backend/cpu.hpp>
#include <hlip/tensor/tensor.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <utility>

HLIP_BEGIN

/// What the values of a scan look like.
struct HuRange {
  float min = 0, max = 0;
  double air = 0;       ///< share of voxels below -200 HU
  double tissue = 0;    ///< share between -200 and 300 HU
  std::string warning;  ///< why these are probably not HU; empty when they may be
};

/// Looks at values a run at a time; runs may come in any order and from several counters.
class HuCounter {
 public:
  /// @param v finite values
  void add(const float* v, index_t n) {
    if (n <= 0) return;
    if (count_ == 0) low_.fill(v[0]), high_.fill(v[0]);
    count_ += n;
    index_t i = 0;
    // A column of counters: these loops become SIMD instructions
    for (; i + lanes <= n; i += lanes)
      for (index_t l = 0; l < lanes; ++l) look(v[i + l], static_cast<std::size_t>(l));
    for (; i < n; ++i) look(v[i], 0);
    if (count_ - summed_ > 1 << 30) sum_up();
  }
  void add(const HuCounter& other) {
    if (other.count_ == 0) return;
    if (count_ == 0) low_.fill(other.low_[0]), high_.fill(other.high_[0]);
    for (std::size_t l = 0; l < lanes; ++l) {
      low_[l] = std::min(low_[l], other.low_[l]);
      high_[l] = std::max(high_[l], other.high_[l]);
      air_total_ += other.air_[l];
      tissue_total_ += other.tissue_[l];
    }
    air_total_ += other.air_total_;
    tissue_total_ += other.tissue_total_;
    count_ += other.count_;
  }
  HuRange range() const {
    HuRange r;
    if (count_ == 0) return r;
    HuCounter all;
    all.add(*this);
    r.min = *std::min_element(low_.begin(), low_.end());
    r.max = *std::max_element(high_.begin(), high_.end());
    r.air = static_cast<double>(all.air_total_) / static_cast<double>(count_);
    r.tissue = static_cast<double>(all.tissue_total_) / static_cast<double>(count_);
    if (r.min == r.max) r.warning = "all voxels are equal";
    else if (all.air_total_ == 0)
      r.warning = "no voxel is below -200 HU: was the intercept applied?";
    else if (r.tissue <
             0.05)  // of a chest it is a third and more; brain MRI taken for HU + 1024 has 0 to 3 %
      r.warning = fmt::format(
          "only {:.1f} % of the voxels lie between -200 and 300 HU: was the intercept applied "
          "twice, or is it no CT in HU (display values, MRI)?",
          100 * r.tissue);
    else if (r.max > 32767 || r.min < -32768)
      r.warning = "values lie outside of what scanners store: was the slope applied twice?";
    return r;
  }

 private:
  static constexpr index_t lanes = 16;

  void look(float v, std::size_t lane) {
    low_[lane] = v < low_[lane] ? v : low_[lane];
    high_[lane] = v > high_[lane] ? v : high_[lane];
    air_[lane] += v < -200;
    tissue_[lane] += (v >= -200) & (v <= 300);
  }
  void sum_up() {
    for (std::size_t l = 0; l < lanes; ++l) {
      air_total_ += std::exchange(air_[l], 0);
      tissue_total_ += std::exchange(tissue_[l], 0);
    }
    summed_ = count_;
  }

  std::array<float, lanes> low_{}, high_{};
  std::array<std::int32_t, lanes> air_{}, tissue_{};
  index_t air_total_ = 0, tissue_total_ = 0, count_ = 0, summed_ = 0;
};

/// Range report of a scan of the trunk in HU. Air lies near -1000 and soft tissue near 0; a missing
/// or doubled intercept moves both.
/// @param hu finite values, any shape
HLIP_LAZY HuRange hu_range(const Tensor<float, Cpu>& hu) {
  const auto x = hu.contiguous();
  HuCounter counter;
  constexpr index_t run = 1 << 20;
  for (index_t at = 0; at < x.numel(); at += run)
    counter.add(x.data() + at, std::min(run, x.numel() - at));
  return counter.range();
}

/// What is implausible about a scan of any kind, or nothing: what is the same everywhere shows
/// nothing. A fault in training, a warning in inference.
HLIP_LAZY std::string implausible_scan(const Tensor<float, Cpu>& x) {
  const auto v = x.contiguous();
  for (index_t i = 1; i < v.numel(); ++i)
    if (v.data()[i] != v.data()[0]) return "";
  return "all voxels are equal";
}

HLIP_END
