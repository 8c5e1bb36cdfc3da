// Studies to load one after another, and what is odd about them.
#pragma once

#include <hlip/hlip.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace evaluate {

using namespace hlip;

/// What is odd about studies: said on stderr when it is met, the first twenty times.
class Warnings {
 public:
  void say(const std::string& where, const std::string& what) {
    if (++count_ <= most) fmt::print(stderr, "{}: warning: {}\n", visible_text(where), what);
  }
  void finish() const {
    if (count_ > most) fmt::print(stderr, "… and {} more warnings\n", count_ - most);
  }

 private:
  static constexpr std::size_t most = 20;
  std::size_t count_ = 0;
};

/// Studies to load one after another. A Dataset.
struct Studies {
  std::vector<std::string> names;
  std::function<Tensor<float>(index_t, Warnings&)> load;  ///< (N, D, H, W): the scans of study i
  std::function<void()> finish = [] {};                   ///< says what was done to all of them
  std::shared_ptr<Warnings> warnings = std::make_shared<Warnings>();
  index_t size() const { return static_cast<index_t>(names.size()); }
  std::string name(index_t i) const { return names[static_cast<std::size_t>(i)]; }
  Tensor<float> get(index_t i) const { return load(i, *warnings); }
};

}  // namespace evaluate
