// The class tokens of frozen encoders on the pictures of a table: what probes learn from, and
// encoders are compared by. Needs libcsv and nlohmann_json.
#pragma once

#include <hlip/eval/feature_file.hpp>
#include <hlip/eval/picture_table.hpp>
#include <hlip/tensor/tensor.hpp>

#include <set>
#include <span>
#include <string>
#include <vector>

HLIP_BEGIN

/// What one encoder says of the pictures of a table.
struct ClassTokens {
  std::string encoder;        ///< what tables call it
  index_t width = 0;          ///< C
  std::vector<float> values;  ///< row-major (rows of the table, C)

  /// The tokens of some rows. @param rows of the table, in any order  @return (rows, C)
  /// @throws hlip::error for a row that the table does not have
  template <class T, class B> Tensor<T, B> of_rows(const std::vector<std::size_t>& rows) const {
    const auto size = static_cast<std::size_t>(width);
    std::vector<T> own;
    own.reserve(rows.size() * size);
    for (const std::size_t r : rows) {
      expect((r + 1) * size <= values.size(), "class_tokens", "row {}, but there are {}", r,
             values.size() / size);
      const auto token = std::span(values).subspan(r * size, size);
      own.insert(own.end(), token.begin(), token.end());
    }
    return Tensor<T, B>::from_values({static_cast<index_t>(rows.size()), width},
                                     std::span<const T>(own));
  }
};

/// Reads the class tokens of several encoders, each a feature file. Of encoders of one name the
/// later are called by their file, too.
/// @throws hlip::error as read_feature_file and class_tokens_of, and for a file that is given twice
HLIP_LAZY std::vector<ClassTokens> read_class_tokens(const std::vector<std::string>& paths,
                                                     const PictureTable& table) {
  std::vector<ClassTokens> encoders;
  std::set<std::string> taken;
  for (const auto& path : paths) {
    const FeatureFile f = read_feature_file(path, false);
    std::string name = f.encoder;
    if (taken.contains(name)) name += " (" + path + ")";
    if (!taken.insert(name).second) fail_file(path, "", "is given twice");
    encoders.push_back({name, f.width, class_tokens_of(f, path, table)});
  }
  return encoders;
}

HLIP_END
