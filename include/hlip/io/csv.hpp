// CSV tables read by column name (RFC 4180: quotes, line breaks in fields, CRLF; also a byte order
// mark). Needs libcsv.
#pragma once

#include <hlip/io/file.hpp>

#include <csv.h>

#include <algorithm>
#include <charconv>
#include <exception>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

/// What a table may ask for before it is refused.
struct CsvLimits {
  std::size_t max_bytes = std::size_t{1} << 29;
  std::size_t max_columns = 4096;
};

/// A table with named columns. Fields are kept as text; rows remember the line they began on, for
/// messages.
class CsvTable {
 public:
  const std::string& path() const { return path_; }
  const std::vector<std::string>& columns() const { return columns_; }
  /// Number of data rows.
  std::size_t rows() const { return lines_.size(); }
  /// Index of a column, or -1.
  int find(std::string_view name) const {
    const auto it = std::find(columns_.begin(), columns_.end(), name);
    return it == columns_.end() ? -1 : static_cast<int>(it - columns_.begin());
  }
  /// Index of a column. @throws hlip::error naming it when it is absent
  int column(std::string_view name) const {
    const int c = find(name);
    if (c < 0) fail_file(path_, "line 1", "column {} is absent", name);
    return c;
  }
  std::string_view at(std::size_t row, int column) const {
    const std::size_t i = row * columns_.size() + static_cast<std::size_t>(column);
    const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(text_).substr(begin, ends_[i] - begin);
  }
  /// Line of the file (from 1) the row begins on.
  std::size_t line(std::size_t row) const { return lines_[row]; }
  /// "line 7, column ZSpacing"
  std::string place(std::size_t row, int column) const {
    return fmt::format("line {}, column {}", line(row),
                       visible_text(cut_text(columns_[static_cast<std::size_t>(column)], 60)));
  }
  /// Leaves these rows, in the order given; each knows the line it began on.
  HLIP_LAZY void keep(const std::vector<std::size_t>& rows) {
    std::string text;
    std::vector<std::size_t> ends, lines;
    for (const std::size_t r : rows) {
      for (std::size_t c = 0; c < columns_.size(); ++c) {
        text += at(r, static_cast<int>(c));
        ends.push_back(text.size());
      }
      lines.push_back(lines_[r]);
    }
    text_ = std::move(text), ends_ = std::move(ends), lines_ = std::move(lines);
  }

 private:
  friend class CsvReader;
  std::string path_;
  std::vector<std::string> columns_;
  std::string text_;               // all fields of all rows, one after another
  std::vector<std::size_t> ends_;  // where each of them ends
  std::vector<std::size_t> lines_;
};

/// The number in a field. @throws hlip::error with file, line and column for anything else
template <class T> T table_number(const CsvTable& table, std::size_t row, int column) {
  const auto text = table.at(row, column);
  T value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size())
    fail_file(table.path(), table.place(row, column), "is {}, expected a number", quote_text(text));
  return value;
}

/// Feeds libcsv line by line, which is how rows get their line numbers.
class CsvReader {
 public:
  CsvReader(std::string path, CsvLimits limits) : limits_(limits) {
    table_.path_ = std::move(path);
    if (csv_init(&parser_, CSV_STRICT | CSV_STRICT_FINI) != 0)
      fail("csv", "cannot start the parser");
    // Blanks at the ends of a field belong to it
    csv_set_space_func(&parser_, [](unsigned char) { return 0; });
  }
  CsvReader(const CsvReader&) = delete;
  CsvReader& operator=(const CsvReader&) = delete;
  ~CsvReader() { csv_free(&parser_); }

  HLIP_LAZY CsvTable read(std::string_view text) {
    check_text(text);
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    // A field ends at a comma or at the end of a line: growing step by step would take three times
    // the memory.
    const auto ends = std::count_if(text.begin(), text.end(),
                                    [](char c) { return c == ',' || c == '\n' || c == '\r'; });
    table_.ends_.reserve(static_cast<std::size_t>(ends) + 1);
    table_.text_.reserve(text.size());
    std::size_t line = 1;
    for (std::size_t at = 0; at < text.size(); ++line) {
      std::size_t end = std::min(text.find_first_of("\r\n", at), text.size() - 1) + 1;
      if (text[end - 1] == '\r' && end < text.size() && text[end] == '\n') ++end;
      feed(text.substr(at, end - at), line);
      at = end;
    }
    const bool unfinished = csv_fini(&parser_, on_field, on_row, this) != 0;
    if (pending_) std::rethrow_exception(pending_);
    if (unfinished)
      fail_file(table_.path_, fmt::format("line {}", row_line_),
                "a quote opened in this row is never closed");
    if (!have_header_) fail_file(table_.path_, "", "has no header line");
    return std::move(table_);
  }

 private:
  HLIP_LAZY void check_text(std::string_view text) const {
    if (text.empty()) fail_file(table_.path_, "", "is empty, expected a table with a header line");
    if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
      fail_file(table_.path_, "byte 0", "is UTF-16 text, expected UTF-8");
    if (const auto nul = text.find('\0'); nul != text.npos)
      fail_file(table_.path_, place_of(text, nul), "holds a NUL byte, expected text");
    if (const auto bad = find_invalid_utf8(text); bad != text.npos)
      fail_file(table_.path_, place_of(text, bad),
                "is not valid UTF-8; was the table saved as Latin-1?");
  }
  HLIP_LAZY static std::string place_of(std::string_view text, std::size_t byte) {
    return fmt::format(
        "line {}, byte {}",
        1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(byte), '\n'), byte);
  }
  HLIP_LAZY void feed(std::string_view line, std::size_t number) {
    if (!row_open_) row_line_ = number;
    row_ended_ = false;
    const std::size_t used = csv_parse(&parser_, line.data(), line.size(), on_field, on_row, this);
    if (pending_) std::rethrow_exception(pending_);
    if (used != line.size()) {
      if (csv_error(&parser_) == CSV_EPARSE)
        fail_file(table_.path_, fmt::format("line {}", number),
                  "a quote stands inside an unquoted field or text follows a closing quote; quotes "
                  "inside a field are doubled");
      fail_file(table_.path_, fmt::format("line {}", number), "cannot be parsed: {}",
                csv_strerror(csv_error(&parser_)));
    }
    const bool blank = line.find_first_not_of("\r\n") == line.npos;
    row_open_ = !row_ended_ && (row_open_ || !blank);
  }
  // libcsv is C and must not be unwound: a fault found in a callback waits here until the parser
  // has returned.
  template <class F> void guarded(F&& f) {
    if (pending_) return;
    try {
      f();
    } catch (...) {
      pending_ = std::current_exception();
    }
  }
  static void on_field(void* text, std::size_t size, void* reader) {
    auto* self = static_cast<CsvReader*>(reader);
    self->guarded([&] { self->add_field(std::string_view(static_cast<const char*>(text), size)); });
  }
  static void on_row(int, void* reader) {
    auto* self = static_cast<CsvReader*>(reader);
    self->guarded([&] { self->end_row(); });
  }

  HLIP_LAZY void add_field(std::string_view text) {
    if (!have_header_) {
      auto& names = table_.columns_;
      if (names.size() == limits_.max_columns)
        fail_file(table_.path_, "line 1", "has more than {} columns", limits_.max_columns);
      if (!seen_.emplace(text).second)
        fail_file(table_.path_, "line 1", "column {} is named twice", quote_text(text));
      names.emplace_back(text);
    } else if (++fields_ <= table_.columns_.size()) {
      table_.text_ += text;
      table_.ends_.push_back(table_.text_.size());
    }
  }
  HLIP_LAZY void end_row() {
    row_ended_ = true;
    if (!have_header_) {
      have_header_ = true;
      return;
    }
    if (fields_ != table_.columns_.size())
      fail_file(table_.path_, fmt::format("line {}", row_line_), "has {} fields, the header has {}",
                fields_, table_.columns_.size());
    fields_ = 0;
    table_.lines_.push_back(row_line_);
  }

  CsvLimits limits_;
  CsvTable table_;
  csv_parser parser_{};
  std::exception_ptr pending_;
  // Names of columns; looked through one by one, thousands of long ones take minutes
  std::set<std::string> seen_;
  bool have_header_ = false, row_open_ = false, row_ended_ = false;
  std::size_t row_line_ = 1, fields_ = 0;
};

/// Throws one error naming every column of `required` that the table lacks.
HLIP_LAZY void expect_columns(const CsvTable& table, const std::vector<std::string>& required) {
  std::string missing;
  for (const auto& name : required)
    if (table.find(name) < 0) missing += (missing.empty() ? "" : ", ") + name;
  if (missing.empty()) return;
  const bool semicolons = table.columns().size() == 1 &&
                          table.columns()[0].find(';') != std::string::npos;
  std::string have;
  for (const auto& name : table.columns()) have += (have.empty() ? "" : ", ") + name;
  fail_file(table.path(), "line 1", "column {} is absent; the header is {}{}", missing,
            quote_text(have, 200),
            semicolons ? "; fields must be separated by commas, not semicolons" : "");
}

/// Parses CSV text; see read_csv. @param path named in errors
HLIP_LAZY CsvTable parse_csv(std::string_view text, const std::string& path,
                             const std::vector<std::string>& required_columns = {},
                             CsvLimits limits = {}) {
  auto table = CsvReader(path, limits).read(text);
  expect_columns(table, required_columns);
  return table;
}

/// Reads a comma-separated table in UTF-8 whose first line names the columns. Blank lines are
/// skipped; LF, CRLF and CR end lines.
/// @param required_columns names that must be there, in any order and among others
/// @throws hlip::error with the line for broken quotes, rows with too few or too many fields, a
/// column named twice or absent, NUL bytes,
///         text that is not UTF-8, and files beyond the limits
HLIP_LAZY CsvTable read_csv(const std::string& path,
                            const std::vector<std::string>& required_columns = {},
                            CsvLimits limits = {}) {
  return parse_csv(read_file(path, limits.max_bytes), path, required_columns, limits);
}

HLIP_END
