// Samples of an image and a text, and how they become batches, whatever kind of study they come
// from.
#pragma once

#include <hlip/backend/cpu.hpp>
#include <hlip/core/random.hpp>
#include <hlip/ops/shape.hpp>
#include <hlip/tensor/tensor.hpp>
#include <hlip/text/wordpiece.hpp>

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Prepared volumes kept in memory as float16: read once, whichever thread comes first, and the
/// same ever after.
class VolumeCache {
 public:
  explicit VolumeCache(std::size_t slots) : slots_(slots), locks_(new std::mutex[slots]) {}
  template <class Load> Tensor<float, Cpu> get(std::size_t slot, Load load) const {
    std::lock_guard lock(locks_[slot]);
    Tensor<float16, Cpu>& kept = slots_[slot];
    if (kept.numel() == 0) kept = load().template to<float16>();
    return kept.template to<float>();
  }

 private:
  mutable std::vector<Tensor<float16, Cpu>> slots_;
  std::unique_ptr<std::mutex[]> locks_;
};

/// Volumes and texts of one batch, in the memory of backend B.
template <class B = Cpu> struct ImageTextBatch {
  Tensor<float, B> volumes;     ///< (B, N, 1, D, H, W)
  Tensor<std::int64_t, B> ids;  ///< (B, L), L the longest text of the batch
  /// likewise, one sentence of each report; empty unless the model has two text targets
  Tensor<std::int64_t, B> sentences;
};

/// (B, L) of token lists, padded with 0 to the longest.
HLIP_LAZY Tensor<std::int64_t, Cpu> pad_ids(const std::vector<std::vector<std::int64_t>>& rows) {
  std::size_t length = 1;
  for (const auto& r : rows) length = std::max(length, r.size());
  const auto ids = Tensor<std::int64_t, Cpu>::zeros(
      {static_cast<index_t>(rows.size()), static_cast<index_t>(length)});
  for (std::size_t i = 0; i < rows.size(); ++i)
    std::copy(rows[i].begin(), rows[i].end(), ids.data() + i * length);
  return ids;
}

/// (B, N, 1, D, H, W) of studies of one size: each (N, D, H, W), or (D, H, W) where a study is one
/// volume.
HLIP_LAZY Tensor<float, Cpu> stack_volumes(const std::vector<Tensor<float, Cpu>>& studies) {
  const Shape& s = studies.front().shape();
  const int r = s.rank();
  return stack(studies, 0)
      .reshape({static_cast<index_t>(studies.size()), r == 4 ? s[0] : 1, 1, s[r - 3], s[r - 2],
                s[r - 1]});
}

/// A tensor of the host on B, brought there beside what B computes meanwhile.
template <class B, class T> Tensor<T, B> uploaded_ahead(const Tensor<T, Cpu>& x) {
  Tensor<T, B> there;
  upload_ahead(B{}, [&] { there = on_backend<B>(x); });
  return there;
}

/// Samples with a `volume`, `ids` and, where a model has two text targets, a `sentence` to a batch.
/// In the workers of a DataLoader: the next batch is on its way to the device, and there, while a
/// step computes.
template <class B = Cpu> struct CollateImageText {
  template <class Sample> ImageTextBatch<B> operator()(const std::vector<Sample>& samples) const {
    std::vector<Tensor<float, Cpu>> volumes;
    std::vector<std::vector<std::int64_t>> ids, sentences;
    for (const auto& s : samples) {
      volumes.push_back(s.volume);
      ids.push_back(s.ids);
      if (!s.sentence.empty()) sentences.push_back(s.sentence);
    }
    return {uploaded_ahead<B>(stack_volumes(volumes)), uploaded_ahead<B>(pad_ids(ids)),
            sentences.empty() ? Tensor<std::int64_t, B>() : uploaded_ahead<B>(pad_ids(sentences))};
  }
};

/// Report → two texts that say the same about one study, for pre-training the text tower without
/// images. A Dataset.
/// @tparam Samples has size(), name(i), text_pair(i, RandomStream&) and options().context_length
template <class Samples> class ReportPairs {
 public:
  ReportPairs(std::shared_ptr<const Samples> samples,
              std::shared_ptr<const WordPieceTokenizer> tokenizer)
      : samples_(std::move(samples)), tokenizer_(std::move(tokenizer)) {}
  index_t size() const { return samples_->size(); }
  std::string name(index_t i) const { return samples_->name(i); }
  std::pair<std::vector<std::int64_t>, std::vector<std::int64_t>> get(index_t i,
                                                                      const RandomKey& key) const {
    RandomStream random(key);
    const auto [a, b] = samples_->text_pair(i, random);
    const auto length = samples_->options().context_length;
    return {tokenizer_->encode_unpadded(a, length), tokenizer_->encode_unpadded(b, length)};
  }

 private:
  std::shared_ptr<const Samples> samples_;
  std::shared_ptr<const WordPieceTokenizer> tokenizer_;
};

/// Two texts of every report of a batch, in the memory of backend B.
template <class B = Cpu> struct TextPairBatch {
  Tensor<std::int64_t, B> first, second;  ///< (B, L)
};

/// Pairs of token lists to a batch, as CollateImageText does.
template <class B = Cpu> struct CollateTextPairs {
  TextPairBatch<B> operator()(
      const std::vector<std::pair<std::vector<std::int64_t>, std::vector<std::int64_t>>>& samples)
      const {
    std::vector<std::vector<std::int64_t>> a, b;
    for (const auto& [x, y] : samples) {
      a.push_back(x);
      b.push_back(y);
    }
    return {uploaded_ahead<B>(pad_ids(a)), uploaded_ahead<B>(pad_ids(b))};
  }
};

HLIP_END
