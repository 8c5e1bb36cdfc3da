// What masks of radiographs mark: structures, each of one class or several, and the columns of a
// table that name their files.
#pragma once

#include <hlip/core/error.hpp>
#include <hlip/tensor/shape.hpp>

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// Something to be marked. Its classes are columns of masks (0 outside, one other value inside), or
/// the values of one column of label masks.
struct MaskStructure {
  std::string name;
  std::vector<std::string> columns;
  int labels = 0;  ///< values of label masks are 1 to this; 0: columns are masks of one class each

  std::size_t classes() const {
    return labels > 0 ? static_cast<std::size_t>(labels) : columns.size();
  }
  /// What class k is called, from 0.
  HLIP_LAZY std::string class_name(std::size_t k) const {
    if (classes() == 1) return name;
    return labels > 0 ? fmt::format("{} {}", name, k + 1) : columns[k];
  }
  /// As mask_structures reads it.
  HLIP_LAZY std::string text() const {
    std::string text;
    for (const auto& c : columns) text += (text.empty() ? "" : "+") + c;
    if (text != name) text = name + "=" + text;
    return labels > 0 ? fmt::format("{}:{}", text, labels) : text;
  }
  friend bool operator==(const MaskStructure&, const MaskStructure&) = default;
};

/// Most values of a label mask, and most classes in all.
inline constexpr int most_mask_classes = 255;

namespace detail {

HLIP_LAZY std::vector<std::string> split_text(std::string_view text, char at) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0;;) {
    const auto end = std::min(text.find(at, begin), text.size());
    parts.emplace_back(text.substr(begin, end - begin));
    if (end == text.size()) return parts;
    begin = end + 1;
  }
}

HLIP_LAZY MaskStructure mask_structure(std::string_view text) {
  MaskStructure s;
  const auto equals = text.find('=');
  std::string_view columns = equals == text.npos ? text : text.substr(equals + 1);
  if (const auto colon = columns.rfind(':'); colon != columns.npos) {
    const std::string_view number = columns.substr(colon + 1);
    const auto [end, code] = std::from_chars(number.data(), number.data() + number.size(),
                                             s.labels);
    if (code != std::errc() || end != number.data() + number.size() || s.labels < 1 ||
        s.labels > most_mask_classes)
      fail("classes", "{}: {} is no number of labels, expected 1 to {}", quote_text(text),
           quote_text(number), most_mask_classes);
    columns = columns.substr(0, colon);
  }
  s.columns = split_text(columns, '+');
  s.name = equals == text.npos ? std::string(columns) : std::string(text.substr(0, equals));
  const bool nameless = s.name.empty() || std::any_of(s.columns.begin(), s.columns.end(),
                                                      [](const auto& c) { return c.empty(); });
  if (nameless || (equals == text.npos && s.columns.size() > 1) ||
      (s.labels > 0 && s.columns.size() > 1))
    fail("classes",
         "{} is no structure, expected COLUMN, NAME=COLUMN+COLUMN (masks of one class each) or "
         "NAME=COLUMN:N (label masks of the values 1 to N)",
         quote_text(text));
  if (s.name.front() == '.' || s.name.find('/') != s.name.npos)  // they become names of folders
    fail("classes", "{} is no name of a structure: it begins with a dot or has a slash",
         quote_text(s.name));
  return s;
}

}  // namespace detail

/// Structures as a command line names them: `ribs,lungs=right_lung+left_lung,zones:6`. A column
/// alone is a structure of one class, several columns with + between them are one of a class each,
/// and :N says that a column holds label masks of the values 1 to N.
/// @throws hlip::error for a text that says something else, names twice, and too many classes
HLIP_LAZY std::vector<MaskStructure> mask_structures(std::string_view text) {
  std::vector<MaskStructure> all;
  std::vector<std::string> names;
  std::size_t classes = 0;
  for (const auto& part : detail::split_text(text, ',')) {
    all.push_back(detail::mask_structure(part));
    classes += all.back().classes();
    names.push_back(all.back().name);
  }
  std::sort(names.begin(), names.end());
  if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end())
    fail("classes", "{} is given twice", quote_text(*twice));
  if (classes > most_mask_classes)
    fail("classes", "{} classes, expected {} at most", classes, most_mask_classes);
  return all;
}

/// Classes of all structures together.
HLIP_LAZY std::size_t class_count(const std::vector<MaskStructure>& structures) {
  std::size_t n = 0;
  for (const auto& s : structures) n += s.classes();
  return n;
}

HLIP_END
