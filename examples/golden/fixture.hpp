// One golden file: what it holds, the limits numbers are held to, and the account of what was
// compared.
#pragma once

#include <hlip/hlip.hpp>
#include <hlip/io/json.hpp>
#include <hlip/io/safetensors.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace golden {

using namespace hlip;

/// How far a tensor may be off: `tolerance` times what `scale` says, element by element.
struct Limit {
  enum class Scale {
    absolute,  ///< 1
    each,      ///< 1 + |wanted element|
    tensor,    ///< 1 + largest |wanted element|
    largest,   ///< largest |wanted element|
    relative,  ///< |wanted element|
    /// |wanted element| and a thousandth of the largest: 1 + cos(x) cancels at the end of a cosine
    schedule,
  } scale;
  double tolerance;
};

// Source: README.md beside the fixtures.
inline constexpr Limit exact{Limit::Scale::absolute, 0};
inline constexpr Limit forward{Limit::Scale::each, 1e-5};
inline constexpr Limit gradient{Limit::Scale::tensor, 2e-5};
inline constexpr Limit training{Limit::Scale::each, 1e-4};  // losses and other scalars of a run
inline constexpr Limit final_weight{Limit::Scale::tensor, 2e-4};
inline constexpr Limit schedule{Limit::Scale::schedule, 1e-12};
inline constexpr Limit metric{Limit::Scale::absolute, 1e-9};
inline constexpr Limit position_table{Limit::Scale::absolute, 2e-6};
inline constexpr Limit interpolated{Limit::Scale::each, 1e-5};
inline constexpr Limit stored_hu{Limit::Scale::absolute, 5e-3};
inline constexpr Limit resized_volume{Limit::Scale::absolute, 2e-4};
// hidden states of a published encoder
inline constexpr Limit pretrained{Limit::Scale::absolute, 2e-5};
inline constexpr Limit sums{Limit::Scale::relative, 1e-5};

/// The largest error met so far relative to its tolerance.
struct Worst {
  std::string name = "nothing";
  double error = 0, tolerance = 0;
};

/// A fixture file and the comparisons made with it. Every `output.*` and `grad.*` tensor must be
/// compared: `finish` says which were not.
class Fixture {
 public:
  /// @param images folder of the pictures that a fixture may name; empty: where they lie beside it
  explicit Fixture(const std::string& path, std::string images = "")
      : file_(path), kind_(file_.metadata("kind")), images_(std::move(images)) {
    if (kind_.empty()) kind_ = std::filesystem::path(path).stem().string();
    if (file_.metadata("config").empty()) return;
    config_ = parse_json(file_.metadata("config"), path + ": config");
    if (!config_.is_object()) fail_file(path, "config", "is not an object");
  }

  const std::string& path() const { return file_.path(); }
  /// What the file says it is, or, where it does not say, its name without ending: "koleo", or
  /// "koleo_of_another_seed".
  const std::string& kind() const { return kind_; }
  const SafetensorsFile& file() const { return file_; }
  const std::string& images() const { return images_; }

  // ---- what the file says --------------------------------------------------------------------

  const Json& config() const { return config_; }
  /// A text beside the configuration. @throws hlip::error when it is not there
  std::string said(const char* key) const {
    if (file_.metadata(key).empty()) fail_file(path(), "__metadata__", "has no {}", key);
    return file_.metadata(key);
  }
  /// The same, read as JSON: a number, a list, an object.
  Json said_json(const char* key) const {
    return parse_json(said(key), fmt::format("{}: {}", path(), key));
  }
  bool contains(const std::string& name) const { return file_.contains(name); }
  const Shape& shape(const std::string& name) const { return file_.info(name).shape; }
  std::vector<double> reals(const std::string& name) const { return file_.values<double>(name); }
  std::vector<std::int64_t> integers(const std::string& name) const {
    return file_.values<std::int64_t>(name);
  }
  template <class B> Tensor<float, B> tensor(const std::string& name) const {
    return file_.tensor<float, B>(name);
  }
  template <class B> Tensor<std::int64_t, B> indices(const std::string& name) const {
    return file_.tensor<std::int64_t, B>(name);
  }
  double scalar(const std::string& name) const {
    const auto v = reals(name);
    if (v.size() != 1) fail_file(path(), name, "has {} elements, expected one", v.size());
    return v[0];
  }
  /// Requires a tensor of this shape: sizes in `config` are believed only where a tensor agrees, so
  /// none can ask for absurd memory.
  void require(const std::string& name, const Shape& want) const {
    if (!(shape(name) == want))
      fail_file(path(), name, "is {}, config says {}", to_string(shape(name)), to_string(want));
  }

  // ---- comparisons -----------------------------------------------------------------------------

  void compare(const std::string& name, std::span<const double> got, const Shape& got_shape,
               const Limit& limit) {
    compared_.insert(name);
    if (!(shape(name) == got_shape)) {
      failures_.push_back(fmt::format("{} is {} here, {} in the file", name, to_string(got_shape),
                                      to_string(shape(name))));
      return;
    }
    const auto want = reals(name);
    double largest = 0;
    for (const double w : want) largest = std::max(largest, std::abs(w));
    double error = 0;
    for (std::size_t i = 0; i < want.size(); ++i) {
      double e = std::abs(got[i] - want[i]) / scale(limit, want[i], largest);
      if (got[i] == want[i]) e = 0;
      if (std::isnan(e)) e = std::numeric_limits<double>::infinity();
      error = std::max(error, e);
    }
    note(name, error, limit.tolerance);
  }
  void compare(const std::string& name, double got, const Limit& limit) {
    compare(name, std::span(&got, 1), Shape{}, limit);
  }
  void compare(const std::string& name, const std::vector<double>& got, const Limit& limit) {
    compare(name, got, Shape{static_cast<index_t>(got.size())}, limit);
  }
  template <class T, class B>
  void compare(const std::string& name, const Tensor<T, B>& got, const Limit& limit) {
    const auto values = got.to_vector();
    compare(name, std::vector<double>(values.begin(), values.end()), got.shape(), limit);
  }
  /// The gradient collected in a leaf.
  template <class B> void compare_grad(const std::string& name, const Var<float, B>& leaf) {
    if (leaf.has_grad()) return compare(name, leaf.grad(), gradient);
    compare(name, Tensor<float, B>::zeros(leaf.shape()), gradient);  // nothing flowed here
  }
  /// Gradients of every trainable parameter, which are exactly those the file lists.
  template <class M> void compare_grads(M& module) {
    each_parameter(module, [&](const std::string& name, auto& p) {
      if (p.requires_grad()) compare_grad("grad." + name, p);
    });
  }
  /// Integers (ids, rows): the error is the number of differing elements.
  void compare_exact(const std::string& name, const std::vector<std::int64_t>& got,
                     const Shape& got_shape) {
    compared_.insert(name);
    const auto want = integers(name);
    if (!(shape(name) == got_shape))
      return failures_.push_back(fmt::format("{} is {} here, {} in the file", name,
                                             to_string(got_shape), to_string(shape(name))));
    double differing = 0;
    for (std::size_t i = 0; i < want.size(); ++i) differing += got[i] != want[i];
    note(name, differing, 0);
  }
  /// A tensor compared by other means: records its error against a tolerance.
  void note(const std::string& name, double error, double tolerance) {
    compared_.insert(name);
    if (!(error <= tolerance))
      failures_.push_back(
          fmt::format("{} error {:.3g} / tolerance {:.3g}", name, error, tolerance));
    const auto ratio = [](double e, double t) {
      return t > 0 ? e / t : e > 0 ? std::numeric_limits<double>::infinity() : 0.0;
    };
    if (compared_.size() == 1 || ratio(error, tolerance) > ratio(worst_.error, worst_.tolerance))
      worst_ = {name, error, tolerance};
  }
  /// Something else that must hold.
  template <class... Args>
  void demand(bool ok, fmt::format_string<Args...> message, Args&&... args) {
    if (!ok) failures_.push_back(fmt::format(message, std::forward<Args>(args)...));
  }

  /// Closes the account: the outputs nobody looked at are failures, and so is a file without any.
  void finish() {
    for (const auto& name : file_.names())
      if ((name.starts_with("output.") || name.starts_with("grad.")) && !compared_.count(name))
        failures_.push_back(name + " was not compared");
    if (compared_.empty()) failures_.push_back("holds nothing to compare");
  }
  const std::vector<std::string>& failures() const { return failures_; }
  const Worst& worst() const { return worst_; }
  std::size_t compared() const { return compared_.size(); }

 private:
  static double scale(const Limit& limit, double want, double largest) {
    switch (limit.scale) {
      case Limit::Scale::each: return 1 + std::abs(want);
      case Limit::Scale::tensor: return 1 + largest;
      case Limit::Scale::largest: return largest;
      case Limit::Scale::relative: return std::abs(want);
      case Limit::Scale::schedule: return std::abs(want) + 1e-3 * largest;
      default: return 1;
    }
  }

  SafetensorsFile file_;
  std::string kind_, images_;
  Json config_ = Json::object();
  std::set<std::string> compared_;
  std::vector<std::string> failures_;
  Worst worst_;
};

/// The tensors of one group ("param.") as a source of weights, under our names.
class Group {
 public:
  /// @param ours our name for one of the file's; none: the same
  Group(const Fixture& fixture, std::string prefix, std::string (*ours)(std::string) = nullptr)
      : file_(fixture.file()), prefix_(std::move(prefix)) {
    for (const auto& name : file_.names()) {
      if (!name.starts_with(prefix_)) continue;
      const std::string theirs = name.substr(prefix_.size());
      names_.push_back(ours ? ours(theirs) : theirs);
      in_file_[names_.back()] = theirs;
    }
  }
  const std::vector<std::string>& names() const { return names_; }
  bool contains(const std::string& name) const { return in_file_.contains(name); }
  /// What the file calls it. @throws hlip::error when it has no such tensor
  const std::string& in_file(const std::string& name) const {
    const auto at = in_file_.find(name);
    if (at == in_file_.end()) fail_file(file_.path(), prefix_ + name, "is not there");
    return at->second;
  }
  const StoredTensor& info(const std::string& name) const {
    return file_.info(prefix_ + in_file(name));
  }
  template <Element T, class B> Tensor<T, B> tensor(const std::string& name) const {
    return file_.tensor<T, B>(prefix_ + in_file(name));
  }

 private:
  const SafetensorsFile& file_;
  std::string prefix_;
  std::vector<std::string> names_;
  std::map<std::string, std::string> in_file_;
};

// ---- values of a configuration
// -------------------------------------------------------------------

inline const Json& entry(const Json& config, const char* key) {
  const auto it = config.find(key);
  if (it == config.end()) fail("config", "has no {}", key);
  return *it;
}
/// A whole number that is at least `least`.
inline index_t size_of(const Json& value, const char* what, index_t least = 1) {
  if (!value.is_number_integer() ||
      (value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t{1} << 40) ||
      value.get<index_t>() < least)
    fail("config", "{} is {}, expected a whole number of at least {}", what, value.dump(), least);
  return value.get<index_t>();
}
inline index_t size_at(const Json& config, const char* key, index_t least = 1) {
  return size_of(entry(config, key), key, least);
}
inline index_t size_at_or(const Json& config, const char* key, index_t otherwise,
                          index_t least = 1) {
  return config.contains(key) && !config[key].is_null() ? size_at(config, key, least) : otherwise;
}
inline double number_of(const Json& value, const char* what) {
  if (!value.is_number()) fail("config", "{} is {}, expected a number", what, value.dump());
  return value.get<double>();
}
inline double number_at(const Json& config, const char* key) {
  return number_of(entry(config, key), key);
}
inline double number_at_or(const Json& config, const char* key, double otherwise) {
  return config.contains(key) && !config[key].is_null() ? number_at(config, key) : otherwise;
}
/// MLP ratio: hidden width over width.
inline double mlp_ratio_of(const Json& config) {
  const double ratio = number_at_or(config, "mlp_ratio", 4.0);
  if (!(ratio > 0 && ratio <= 1024))
    fail("config", "mlp_ratio is {}, expected a positive number", ratio);
  return ratio;
}
inline bool flag_at(const Json& config, const char* key) {
  return config.contains(key) && config[key].is_boolean() && config[key].get<bool>();
}
inline const Json& list_of(const Json& value, const char* what, std::size_t count = 0) {
  if (!value.is_array() || (count > 0 && value.size() != count))
    fail("config", "{} is {}, expected a list{}", what, value.dump(),
         count > 0 ? fmt::format(" of {}", count) : "");
  return value;
}
inline Shape shape_of(const Json& value, const char* what, std::size_t count) {
  Shape s;
  for (const auto& x : list_of(value, what, count)) s.push_back(size_of(x, what));
  return s;
}

}  // namespace golden
