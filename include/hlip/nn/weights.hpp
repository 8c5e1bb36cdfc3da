// Weights of other programs: the names in a file become those of a module, and what became of every
// tensor is said in one table.
#pragma once

#include <hlip/io/tensor_file.hpp>
#include <hlip/nn/module.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

/// What training programs put in front of the names of a model: the key of a checkpoint that holds
/// the weights ("state_dict.", "model."), then wrappers of the module ("module.", "_orig_mod."),
/// eight at most. Empty when there is nothing of the kind.
HLIP_LAZY std::string wrapping_prefix(const std::vector<std::string>& names) {
  std::string prefix;
  bool longer = true;
  // A file could be named "module." thousands of times over
  for (int deep = 0; longer && deep < 8; ++deep) {
    longer = false;
    for (const char* word :
         {"state_dict.", "model_state_dict.", "model.", "module.", "_orig_mod."}) {
      const std::string candidate = prefix + word;
      longer = std::any_of(names.begin(), names.end(),
                           [&](const std::string& name) { return name.starts_with(candidate); });
      if (longer) {
        prefix = candidate;
        break;
      }
    }
  }
  return prefix;
}

/// The tensors of a file under other names: a source for load_state_dict. Tensors that are left out
/// keep a reason.
class NamedWeights {
 public:
  /// All tensors below the wrapping prefix, without it.
  explicit NamedWeights(TensorFile file) : file_(std::move(file)) {
    for (const auto& name : file_.names()) stored_.emplace(name, name);
    keep_below(wrapping_prefix(file_.names()));
    collect();
  }

  const TensorFile& file() const { return file_; }
  /// What was taken from the front of all names.
  const std::string& prefix() const { return prefix_; }
  /// Names of tensors that are not offered, each with the reason.
  const std::vector<std::pair<std::string, std::string>>& left_out() const { return left_out_; }

  /// Keeps only the tensors below `prefix`, without it, if there are any.
  void select(const std::string& prefix) {
    if (std::any_of(names_.begin(), names_.end(),
                    [&](const std::string& name) { return name.starts_with(prefix); }))
      keep_below(prefix);
    collect();
  }
  /// Leaves out the tensors whose name satisfies `chosen(name)`.
  template <class Chosen> void leave_out(const std::string& reason, Chosen chosen) {
    std::erase_if(stored_, [&](const auto& entry) {
      if (!chosen(entry.first)) return false;
      left_out_.emplace_back(entry.first, reason);
      return true;
    });
    collect();
  }
  /// Gives every tensor the name `renamed(name)`. @throws hlip::error when two then have the same
  template <class Renamed> void rename(Renamed renamed) {
    std::map<std::string, std::string> next;
    for (auto& [name, stored] : stored_) {
      const auto [at, fresh] = next.emplace(renamed(name), stored);
      if (!fresh)
        fail_file(file_.path(), quote_text(stored), "stands for {}, and so does {}",
                  quote_text(at->first), quote_text(at->second));
    }
    stored_ = std::move(next);
    collect();
  }

  const std::vector<std::string>& names() const { return names_; }
  bool contains(const std::string& name) const { return stored_.count(name) != 0; }
  const StoredTensor& info(const std::string& name) const { return file_.info(stored_at(name)); }
  template <Element T, class B> Tensor<T, B> tensor(const std::string& name) const {
    return file_.tensor<T, B>(stored_at(name));
  }
  template <Element T> Tensor<T, Cpu> mapped(const std::string& name) const {
    return file_.mapped<T>(stored_at(name));
  }

 private:
  const std::string& stored_at(const std::string& name) const {
    const auto at = stored_.find(name);
    if (at == stored_.end()) fail_file(file_.path(), "", "has no tensor {}", quote_text(name));
    return at->second;
  }
  void keep_below(const std::string& prefix) {
    std::map<std::string, std::string> below;
    for (auto& [name, stored] : stored_) {
      if (name.starts_with(prefix)) below.emplace(name.substr(prefix.size()), stored);
      else left_out_.emplace_back(name, "beside '" + prefix + "'");
    }
    stored_ = std::move(below);
    prefix_ += prefix;
  }
  void collect() {
    names_.clear();
    for (const auto& [name, stored] : stored_) names_.push_back(name);
  }

  TensorFile file_;
  std::map<std::string, std::string> stored_;  // name → name in the file
  std::vector<std::string> names_;
  std::vector<std::pair<std::string, std::string>> left_out_;
  std::string prefix_;
};

namespace detail {

/// Some names in full, many as counts by their first part: "visual. (152)".
HLIP_LAZY std::string few_names(const std::vector<std::string>& names) {
  constexpr std::size_t longest = 200;
  std::string text;
  if (names.size() <= 6) {
    for (const auto& name : names)
      text.append(text.empty() ? "" : ", ").append(cut_text(name, longest));
    return text;
  }
  std::map<std::string, std::size_t> groups;
  for (const auto& name : names) {
    const auto dot = name.find('.');
    ++groups[dot == std::string::npos ? name : name.substr(0, dot + 1)];
  }
  std::size_t shown = 0;
  for (const auto& [group, count] : groups) {
    if (++shown > 6) return text + ", …";
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", cut_text(group, longest), count);
  }
  return text;
}

}  // namespace detail

/// What became of the tensors of a file and the parameters of a module: loaded, resized, missing
/// (those of LoRA apart), of another shape, unexpected, left out.
HLIP_LAZY std::string weights_table(const NamedWeights& weights, const LoadReport& report) {
  std::string text = fmt::format("weights of {}{}{}{}\n", weights.file().path(),
                                 weights.prefix().empty() ? "" : " (without '", weights.prefix(),
                                 weights.prefix().empty() ? "" : "' in front)");
  const auto row = [&](std::string_view title, std::size_t count, const std::string& names) {
    text += fmt::format("  {:<12}{:>6}{}{}\n", title, count, names.empty() ? "" : "  ", names);
  };
  row("loaded", report.loaded.size(), detail::few_names(report.loaded));
  row("resized", report.resized.size(), detail::few_names(report.resized));
  std::vector<std::string> missing = report.missing;
  const auto fresh = std::erase_if(
      missing, [](const std::string& name) { return name.find(".lora_") != std::string::npos; });
  row("missing", missing.size(), detail::few_names(missing));
  if (fresh > 0) row("new", fresh, "matrices of LoRA, which change nothing at first");
  row("wrong shape", report.mismatched.size(), detail::few_names(report.mismatched));
  row("unexpected", report.unexpected.size(), detail::few_names(report.unexpected));
  std::map<std::string, std::vector<std::string>> reasons;
  for (const auto& [name, reason] : weights.left_out()) reasons[reason].push_back(name);
  for (const auto& [reason, names] : reasons)
    row("left out", names.size(), detail::few_names(names) + ": " + reason);
  return visible_text(text, true);
}

HLIP_END
