// A tape: the uniforms that a reference consumed, in their order.
#pragma once

#include "fixture.hpp"

namespace golden {

/// The uniforms of a file, in order.
class Tape {
 public:
  Tape(std::vector<double> values, std::string name)
      : values_(std::move(values)), name_(std::move(name)) {}
  void seek(std::int64_t at) { next_ = static_cast<std::size_t>(at); }
  double operator()() {
    if (next_ >= values_.size()) fail("tape", "{} has only {} numbers", name_, values_.size());
    return values_[next_++];
  }
  /// Whether everything was used.
  bool over() const { return next_ == values_.size(); }

 private:
  std::vector<double> values_;
  std::string name_;
  std::size_t next_ = 0;
};

}  // namespace golden
