// Keys and values of the tokens a language model has seen, so that each further token costs one
// token's work.
#pragma once

#include <hlip/models/llama/config.hpp>
#include <hlip/ops/index.hpp>

#include <cstdint>
#include <span>
#include <vector>

HLIP_BEGIN

/// Memory for the keys and values of `capacity` tokens of each of `batch` texts, in every layer.
template <class T = float, class B = Cpu> class LlamaCache {
 public:
  LlamaCache() = default;
  /// @throws hlip::error for a capacity beyond the positions of the model
  LlamaCache(const LlamaConfig& c, index_t batch, index_t capacity) : capacity_(capacity) {
    expect(batch > 0 && capacity > 0 && capacity <= c.max_positions, "llama cache",
           "{} texts of {} tokens, expected at least one of at most {} (max_position_embeddings)",
           batch, capacity, c.max_positions);
    for (index_t i = 0; i < c.num_layers; ++i) {
      keys_.push_back(Tensor<T, B>::empty({batch, c.num_kv_heads, capacity, c.head_dim}));
      values_.push_back(Tensor<T, B>::empty({batch, c.num_kv_heads, capacity, c.head_dim}));
    }
  }
  /// Tokens seen of each text.
  index_t length() const { return length_; }
  index_t batch() const { return keys_.empty() ? 0 : keys_[0].dim(0); }

  /// Puts keys and values of further tokens, each (batch, kv_heads, tokens, head_dim), behind those
  /// of a layer. They count when `advance` says so.
  /// @throws hlip::error when there is no place for them
  void append(index_t layer, const Tensor<T, B>& keys, const Tensor<T, B>& values) {
    const index_t tokens = keys.dim(2);
    expect(length_ + tokens <= capacity_, "llama cache",
           "{} tokens behind {}, there is place for {}", tokens, length_, capacity_);
    at(keys_, layer).slice(2, length_, length_ + tokens).assign(keys);
    at(values_, layer).slice(2, length_, length_ + tokens).assign(values);
  }
  void advance(index_t tokens) { length_ += tokens; }
  /// The keys of the first `tokens` tokens: (batch, kv_heads, tokens, head_dim).
  Tensor<T, B> keys(index_t layer, index_t tokens) const {
    return at(keys_, layer).slice(2, 0, tokens);
  }
  Tensor<T, B> values(index_t layer, index_t tokens) const {
    return at(values_, layer).slice(2, 0, tokens);
  }
  /// Text i is from now on what text rows[i] was: for beams, of which some go on twice.
  void select(const std::vector<std::int64_t>& rows) {
    bool same = static_cast<index_t>(rows.size()) == batch();
    for (std::size_t i = 0; i < rows.size(); ++i)
      same = same && rows[i] == static_cast<std::int64_t>(i);
    if (same) return;
    const auto index = Tensor<std::int64_t, B>::from_values({static_cast<index_t>(rows.size())},
                                                            std::span<const std::int64_t>(rows));
    for (auto* list : {&keys_, &values_})
      for (auto& x : *list) x = index_select(x, index);
  }

 private:
  static const Tensor<T, B>& at(const std::vector<Tensor<T, B>>& list, index_t layer) {
    return list[static_cast<std::size_t>(layer)];
  }
  index_t capacity_ = 0, length_ = 0;
  std::vector<Tensor<T, B>> keys_, values_;
};

HLIP_END
