// JSON that comes from other people's files. Needs nlohmann_json.
#pragma once

#include <hlip/io/file.hpp>
#include <hlip/io/utf8.hpp>

#include <nlohmann/json.hpp>

#include <iterator>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

using Json = nlohmann::json;

/// What a JSON text may ask for before it is refused.
struct JsonLimits {
  std::size_t max_bytes = std::size_t{1} << 30;
  int max_depth = 64;
};

namespace detail {

// Reads characters and keeps the place of the last one where the handler can see it: the parser's callbacks do not tell.
struct JsonCursor {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  const char* at = nullptr;
  const char** seen = nullptr;

  reference operator*() const { return *at; }
  JsonCursor& operator++() {
    *seen = ++at;
    return *this;
  }
  JsonCursor operator++(int) {
    const auto old = *this;
    ++*this;
    return old;
  }
  friend bool operator==(const JsonCursor& a, const JsonCursor& b) { return a.at == b.at; }
  friend bool operator!=(const JsonCursor& a, const JsonCursor& b) { return a.at != b.at; }
};

// Builds the value while refusing what a plain parse lets pass: keys given twice and deep nesting.
HLIP_LAZY class JsonBuilder {
 public:
  JsonBuilder(Json& root, std::string_view text, std::string_view path, int max_depth)
      : root_(root), text_(text), path_(path), max_depth_(max_depth), seen_(text.data()) {}
  const char** seen() { return &seen_; }

  bool null() { return put(nullptr); }
  bool boolean(bool x) { return put(x); }
  bool number_integer(Json::number_integer_t x) { return put(x); }
  bool number_unsigned(Json::number_unsigned_t x) { return put(x); }
  bool number_float(Json::number_float_t x, const Json::string_t&) { return put(x); }
  bool string(Json::string_t& x) { return put(std::move(x)); }
  bool binary(Json::binary_t&) { return false; }
  bool start_object(std::size_t) { return open(Json::value_t::object); }
  bool start_array(std::size_t) { return open(Json::value_t::array); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(Json::string_t& name) {
    auto [it, inserted] = stack_.back()->get_ref<Json::object_t&>().emplace(name, nullptr);
    if (!inserted) fail_file(path_, here(), "key {} is given twice in one object", quote_text(name));
    slot_ = &it->second;
    return true;
  }
  template <class Exception>
  bool parse_error(std::size_t position, const std::string&, const Exception& e) {
    // "[json.exception.parse_error.101] parse error at line 1, column 9: what": the place is given by us, in bytes.
    std::string_view what = e.what();
    if (const auto i = what.find("] "); i != what.npos) what.remove_prefix(i + 2);
    if (what.starts_with("parse error")) what.remove_prefix(std::min(what.size(), what.find(": ") + 2));
    std::string clean = quote_text(what, 200);
    if (clean.ends_with('"')) clean = clean.substr(1, clean.size() - 2);
    fail_file(path_, fmt::format("byte {}", position == 0 ? 0 : std::min(position - 1, text_.size())), "not valid JSON: {}", clean);
  }

 private:
  std::string here() const { return fmt::format("byte {}", seen_ - text_.data()); }
  template <class V>
  Json* place(V&& value) {
    if (stack_.empty()) {
      root_ = std::forward<V>(value);
      return &root_;
    }
    if (stack_.back()->is_array()) {
      auto& items = stack_.back()->get_ref<Json::array_t&>();
      items.emplace_back(std::forward<V>(value));
      return &items.back();
    }
    *slot_ = std::forward<V>(value);
    return slot_;
  }
  template <class V>
  bool put(V&& value) {
    place(std::forward<V>(value));
    return true;
  }
  bool open(Json value) {
    if (static_cast<int>(stack_.size()) >= max_depth_) fail_file(path_, here(), "nested deeper than {} levels", max_depth_);
    stack_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    stack_.pop_back();
    return true;
  }

  Json& root_;
  std::string_view text_, path_;
  int max_depth_;
  const char* seen_;
  std::vector<Json*> stack_;
  Json* slot_ = nullptr;
};

}  // namespace detail

/// Parses JSON text (RFC 8259; a leading UTF-8 byte order mark is skipped).
/// @param path named in errors
/// @throws hlip::error with path and byte offset for broken syntax, invalid UTF-8, lone surrogates, NaN, numbers beyond double, a key
///         given twice, or nesting deeper than the limit (found without recursion)
HLIP_LAZY Json parse_json(std::string_view text, std::string_view path, JsonLimits limits = {}) {
  if (text.empty()) fail_file(path, "", "is empty, expected JSON");
  if (const auto bad = find_invalid_utf8(text); bad != text.npos) fail_file(path, fmt::format("byte {}", bad), "not valid UTF-8");
  Json root;
  detail::JsonBuilder<> builder(root, text, path, limits.max_depth);
  const detail::JsonCursor first{text.data(), builder.seen()}, last{text.data() + text.size(), builder.seen()};
  Json::sax_parse(first, last, &builder);
  return root;
}

/// Reads and parses a JSON file; see parse_json.
HLIP_LAZY Json read_json(const std::string& path, JsonLimits limits = {}) { return parse_json(read_file(path, limits.max_bytes), path, limits); }

HLIP_END
