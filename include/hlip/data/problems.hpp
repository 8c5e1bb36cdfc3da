// What a reader of data sets does with faults: it collects them all, and its caller decides.
#pragma once

#include <hlip/core/error.hpp>

#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// Faults found so far, one finished message each.
using Problems = std::vector<std::string>;

/// How closely volumes are looked at while a data set is read.
enum class VolumeCheck { none, exists, header, voxels };

/// Reads "none", "exists", "header" or "voxels". @throws hlip::error on anything else
inline VolumeCheck volume_check_named(std::string_view name) {
  constexpr std::string_view names[] = {"none", "exists", "header", "voxels"};
  for (int i = 0; i < 4; ++i)
    if (name == names[i]) return static_cast<VolumeCheck>(i);
  fail("volume check", "unknown check \"{}\", expected none, exists, header or voxels", name);
}

/// Throws one error that lists all problems, when there are any.
inline void expect_no_problems(const Problems& problems, std::string_view root, std::string_view split) {
  if (problems.empty()) return;
  std::string list;
  for (const auto& p : problems) list += "\n  " + p;
  fail_file(root, split, "{} problem{}:{}", problems.size(), problems.size() == 1 ? "" : "s", list);
}

HLIP_END
