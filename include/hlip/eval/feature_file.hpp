// Features of pictures as a frozen encoder gave them, in one file of safetensors: what probes,
// metadata and correspondence work on, whoever wrote it.
//
//   cls      (N, C) floats, one row for each picture; `features` in files from elsewhere
//   patches  (N, rows, columns, C) floats, may be absent
//   __metadata__: files, a JSON list of N names; encoder, what it may be called (may be absent)
//
// Needs nlohmann_json.
#pragma once

#include <hlip/core/check.hpp>
#include <hlip/eval/bare_name.hpp>
#include <hlip/io/safetensors.hpp>
#include <hlip/io/safetensors_writer.hpp>

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Features of N pictures.
struct FeatureFile {
  std::string encoder;             ///< what tables call it
  std::vector<std::string> files;  ///< N names, each once
  index_t width = 0;               ///< C
  std::vector<float> cls;          ///< row-major (N, C)
  index_t rows = 0, columns = 0;   ///< of the grid of patches, 0 without
  std::vector<float> patches;      ///< row-major (N, rows, columns, C), or empty

  index_t pictures() const { return static_cast<index_t>(files.size()); }
  /// The class token of picture i.
  std::span<const float> cls_of(std::size_t i) const {
    const auto c = static_cast<std::size_t>(width);
    return std::span(cls).subspan(i * c, c);
  }
  /// The patch tokens of picture i, row-major (rows·columns, C).
  std::span<const float> patches_of(std::size_t i) const {
    const auto size = static_cast<std::size_t>(rows * columns * width);
    return std::span(patches).subspan(i * size, size);
  }
};

namespace detail {

/// Sizes that fit each other, names that are there once, numbers that are finite.
HLIP_LAZY void check_features(const FeatureFile& f, const std::string& path) {
  const index_t n = f.pictures();
  if (n == 0) fail_file(path, "files", "names no picture");
  if (f.width < 1 || static_cast<index_t>(f.cls.size()) != n * f.width)
    fail_file(path, "cls", "has {} numbers, expected {} pictures x {}", f.cls.size(), n, f.width);
  if (static_cast<index_t>(f.patches.size()) != n * f.rows * f.columns * f.width)
    fail_file(path, "patches", "has {} numbers, expected {} pictures x {} x {} x {}",
              f.patches.size(), n, f.rows, f.columns, f.width);
  std::unordered_map<std::string_view, std::size_t> seen;
  for (std::size_t i = 0; i < f.files.size(); ++i)
    if (const auto [first, added] = seen.emplace(f.files[i], i); !added)
      fail_file(path, "files", "{} is named twice, as number {} and {}", quote_text(f.files[i]),
                first->second, i);
  const auto finite = [&](const std::vector<float>& values, const char* tensor) {
    for (std::size_t i = 0; i < values.size(); ++i)
      if (!std::isfinite(values[i]))
        fail_file(path, tensor, "a feature of {} is {}, expected finite numbers",
                  quote_text(f.files[i / (values.size() / f.files.size())]),
                  static_cast<double>(values[i]));
  };
  finite(f.cls, "cls"), finite(f.patches, "patches");
}

HLIP_LAZY std::vector<std::string> names_of_features(const SafetensorsFile& file) {
  const std::string text = file.metadata("files");
  if (text.empty())
    fail_file(file.path(), "__metadata__",
              "has no files, expected a JSON list with the name of each picture");
  const Json list = parse_json(text, file.path() + ": files");
  if (!list.is_array()) fail_file(file.path(), "files", "is no list of names");
  std::vector<std::string> names;
  for (const auto& name : list) {
    if (!name.is_string() || name.get_ref<const std::string&>().empty())
      fail_file(file.path(), "files", "entry {} is {}, expected the name of a picture",
                names.size(), cut_text(name.dump(), 60));
    names.push_back(name.get<std::string>());
  }
  return names;
}

/// "runs/a/features.safetensors" is "features".
inline std::string stem_of_path(std::string_view path) {
  path.remove_prefix(std::min(path.find_last_of('/') + 1, path.size()));
  return std::string(path.substr(0, path.find_last_of('.')));
}

}  // namespace detail

/// Reads features; floats of other sizes are rounded to float.
/// @param with_patches patch tokens, too, where there are any: they are a thousand times the class
/// tokens
/// @throws hlip::error naming the file and the fault: no such tensors, shapes that do not fit, a
/// picture named twice, a number that is not finite
HLIP_LAZY FeatureFile read_feature_file(const std::string& path, bool with_patches = true) {
  const SafetensorsFile file(path);
  const char* tensor = file.contains("cls") ? "cls" : "features";
  if (!file.contains(tensor))
    fail_file(path, "", "has neither cls nor features, expected one of them as (pictures, C)");
  const Shape shape = file.info(tensor).shape;
  if (shape.rank() != 2) fail_file(path, tensor, "is {}, expected (pictures, C)", to_string(shape));
  FeatureFile f;
  f.files = detail::names_of_features(file);
  if (f.pictures() != shape[0])
    fail_file(path, "files", "names {} pictures, {} has rows for {}", f.files.size(), tensor,
              shape[0]);
  f.width = shape[1], f.cls = file.values<float>(tensor);
  if (with_patches && file.contains("patches")) {
    const Shape grid = file.info("patches").shape;
    if (grid.rank() != 4 || grid[0] != shape[0] || grid[3] != shape[1])
      fail_file(path, "patches", "is {}, expected ({}, rows, columns, {})", to_string(grid),
                shape[0], shape[1]);
    f.rows = grid[1], f.columns = grid[2], f.patches = file.values<float>("patches");
  }
  f.encoder = file.metadata("encoder");
  if (f.encoder.empty()) f.encoder = detail::stem_of_path(path);
  detail::check_features(f, path);
  return f;
}

/// Writes features, wholly or not at all. @throws hlip::error as read_feature_file, and if they
/// cannot be written
HLIP_LAZY void write_feature_file(const std::string& path, const FeatureFile& f) {
  detail::check_features(f, path);
  SafetensorsWriter file;
  file.add("cls", std::span<const float>(f.cls), {f.pictures(), f.width});
  if (!f.patches.empty())
    file.add("patches", std::span<const float>(f.patches),
             {f.pictures(), f.rows, f.columns, f.width});
  file.metadata("files", Json(f.files).dump());
  if (!f.encoder.empty()) file.metadata("encoder", f.encoder);
  file.write(path);
}

/// Finds pictures by the names that tables call them: the same name, or one with the same
/// bare_name.
class FeatureNames {
 public:
  static constexpr std::ptrdiff_t absent = -1, ambiguous = -2;

  /// @param files must outlive this object
  explicit FeatureNames(const std::vector<std::string>& files) {
    for (std::size_t i = 0; i < files.size(); ++i) {
      const auto row = static_cast<std::ptrdiff_t>(i);
      whole_.emplace(files[i], row);
      const auto [at, added] = bare_.emplace(bare_name(files[i]), row);
      if (!added) at->second = ambiguous;
    }
  }
  /// The row of a picture, absent, or ambiguous: several have this bare name.
  std::ptrdiff_t find(std::string_view name) const {
    if (const auto at = whole_.find(name); at != whole_.end()) return at->second;
    const auto at = bare_.find(bare_name(name));
    return at == bare_.end() ? absent : at->second;
  }

 private:
  std::unordered_map<std::string_view, std::ptrdiff_t> whole_;
  std::unordered_map<std::string, std::ptrdiff_t> bare_;
};

HLIP_END
