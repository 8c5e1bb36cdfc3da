// Which texts a search goes on with, and which of the finished ones is best. Knows no model.
// Source: transformers, generation with num_beams and early_stopping.
#pragma once

#include <hlip/core/check.hpp>
#include <hlip/tensor/shape.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

HLIP_BEGIN

/// How a text is continued.
struct GenerateOptions {
  index_t max_new_tokens = 150;
  index_t beams = 1;                          ///< 1: greedy
  double length_penalty = 1;                  ///< a score is log-probability / length^this
  std::vector<std::int64_t> end_tokens = {};  ///< after each of which a text ends
};

/// Beam search over tokens. It stops when as many texts have ended as there are beams. Of equal
/// scores the earlier beam and the smaller id come first, so greedy search is that of one beam.
class BeamSearch {
 public:
  /// @throws hlip::error for options that cannot be
  HLIP_LAZY explicit BeamSearch(GenerateOptions options) : options_(std::move(options)) {
    expect(options_.beams >= 1 && options_.beams <= 1024, "beam search",
           "beams is {}, expected 1 to 1024", options_.beams);
    expect(options_.max_new_tokens >= 1, "beam search", "max_new_tokens is {}, expected at least 1",
           options_.max_new_tokens);
    running_.push_back({});
  }
  /// Texts that go on; at first one, without tokens.
  std::size_t running() const { return running_.size(); }
  /// Whether nothing is left to be done.
  bool done() const {
    return finished_.size() >= static_cast<std::size_t>(options_.beams) ||
           steps_ >= options_.max_new_tokens;
  }

  /// One more token. @param logits running() × vocabulary, row by row
  /// @return of each text that goes on, the text it goes on from and its new token
  /// @throws hlip::error when there are not as many logits, or one is NaN
  HLIP_LAZY std::vector<std::pair<std::int64_t, std::int64_t>> step(std::span<const float> logits) {
    const std::vector<Candidate> best = candidates(logits);
    const auto beams = static_cast<std::size_t>(options_.beams);
    std::vector<Text> next;
    std::vector<std::pair<std::int64_t, std::int64_t>> from;
    ++steps_;
    for (std::size_t rank = 0; rank < best.size(); ++rank) {
      const Candidate& c = best[rank];
      const bool ends = is_end(c.token);
      if (ends ? rank >= beams : next.size() >= beams) continue;
      Text text = running_[static_cast<std::size_t>(c.row)];
      text.tokens.push_back(c.token), text.score = c.score;
      if (ends) {
        finish(std::move(text));
      } else {
        next.push_back(std::move(text));
        from.emplace_back(c.row, c.token);
      }
    }
    running_ = std::move(next);
    return from;
  }
  /// The tokens of the best text, its end token included.
  HLIP_LAZY std::vector<std::int64_t> best() {
    if (finished_.size() < static_cast<std::size_t>(options_.beams))
      for (Text& text : std::exchange(running_, {})) finish(std::move(text));
    const auto at = std::max_element(
        finished_.begin(), finished_.end(),
        [](const Text& a, const Text& b) { return a.score < b.score; });  // the first of equals
    return at == finished_.end() ? std::vector<std::int64_t>() : at->tokens;
  }

 private:
  struct Text {
    std::vector<std::int64_t> tokens;
    double score = 0;  // log-probability; of a finished text divided by length^length_penalty
  };
  struct Candidate {
    double score;
    std::int64_t row, token;
    bool operator<(const Candidate& other) const {
      return std::tuple(-score, row, token) < std::tuple(-other.score, other.row, other.token);
    }
  };
  bool is_end(std::int64_t token) const {
    return std::find(options_.end_tokens.begin(), options_.end_tokens.end(), token) !=
           options_.end_tokens.end();
  }
  void finish(Text text) {
    text.score /= std::pow(static_cast<double>(text.tokens.size()), options_.length_penalty);
    finished_.push_back(std::move(text));
  }
  /// Appends the `keep` best continuations of one text, in no order. @param base added to logits
  HLIP_LAZY static void add_best(std::span<const float> logits, std::int64_t row, double base,
                                 std::size_t keep, std::vector<Candidate>& to) {
    const auto first = static_cast<std::ptrdiff_t>(to.size());
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const Candidate c{base + static_cast<double>(logits[i]), row, static_cast<std::int64_t>(i)};
      // A heap, the worst on top. Nearly all tokens of a vocabulary end here; of equal ones the
      // first is kept
      const auto heap = to.begin() + first;
      if (i >= keep) {
        if (c.score <= heap->score) continue;
        std::pop_heap(heap, to.end());
        to.back() = c;
      } else {
        to.push_back(c);
      }
      std::push_heap(to.begin() + first, to.end());
    }
  }
  /// The best continuations of all texts, best first: enough of them that as many as there are
  /// beams do not end.
  HLIP_LAZY std::vector<Candidate> candidates(std::span<const float> logits) const {
    const std::size_t rows = running_.size(), vocabulary = rows > 0 ? logits.size() / rows : 0;
    expect(vocabulary > 0 && vocabulary * rows == logits.size(), "beam search",
           "{} logits for {} texts", logits.size(), rows);
    const std::size_t wanted = static_cast<std::size_t>(options_.beams) *
                               std::max<std::size_t>(2, 1 + options_.end_tokens.size()),
                      keep = std::min(vocabulary, wanted);
    std::vector<Candidate> all;
    for (std::size_t r = 0; r < rows; ++r) {
      const std::span<const float> from = logits.subspan(r * vocabulary, vocabulary);
      double top = from[0], total = 0;
      for (const float x : from) top = std::max(top, static_cast<double>(x));
      for (const float x : from) total += std::exp(static_cast<double>(x) - top);
      expect(std::isfinite(total), "beam search", "logits of text {} are no numbers", r);
      add_best(from, static_cast<std::int64_t>(r), running_[r].score - top - std::log(total), keep,
               all);
    }
    std::sort(all.begin(), all.end());
    if (all.size() > wanted) all.resize(wanted);
    return all;
  }

  GenerateOptions options_;
  index_t steps_ = 0;
  std::vector<Text> running_, finished_;
};

HLIP_END
