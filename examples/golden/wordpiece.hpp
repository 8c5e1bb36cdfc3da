// Kind wordpiece: ids of the reference tokeniser. The vocabulary lies beside the fixture.
#pragma once

#include "fixture.hpp"

#include <hlip/text/wordpiece.hpp>

#include <filesystem>

namespace golden {

template <class B> void check_wordpiece(Fixture& f) {
  const auto& lengths = list_of(entry(f.config(), "max_length"), "max_length", 2);
  const index_t longest = size_of(lengths[0], "max_length", 2),
                padded = size_of(lengths[1], "max_length", 2);
  const auto tokenizer = WordPieceTokenizer::load(
      (std::filesystem::path(f.path()).parent_path() / "vocab.txt").string());
  const auto bytes = f.file().values<std::uint8_t>("input.utf8");
  const auto sizes = f.integers("input.utf8_lengths");
  const std::string padded_name = fmt::format("output.ids{}", padded);
  f.require(padded_name, {static_cast<index_t>(sizes.size()), padded});

  std::vector<std::int64_t> ids, ids_lengths, padded_ids;
  std::size_t at = 0;
  for (const auto size : sizes) {
    if (size < 0 || static_cast<std::uint64_t>(size) > bytes.size() - at)
      fail_file(f.path(), "input.utf8_lengths", "they add up to more than {} bytes", bytes.size());
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + at,
                                static_cast<std::size_t>(size));
    at += static_cast<std::size_t>(size);
    const auto whole = tokenizer.encode_unpadded(text, longest),
               cut = tokenizer.encode(text, padded);
    ids.insert(ids.end(), whole.begin(), whole.end());
    ids_lengths.push_back(static_cast<std::int64_t>(whole.size()));
    padded_ids.insert(padded_ids.end(), cut.begin(), cut.end());
  }
  f.compare_exact("output.ids_lengths", ids_lengths, {static_cast<index_t>(ids_lengths.size())});
  f.compare_exact("output.ids", ids, {static_cast<index_t>(ids.size())});
  f.compare_exact(padded_name, padded_ids, {static_cast<index_t>(sizes.size()), padded});
}

}  // namespace golden
