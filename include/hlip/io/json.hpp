// JSON that comes from other people's files. Needs nlohmann_json.
#pragma once

#include <hlip/io/file.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

using Json = nlohmann::json;

/// What a JSON text may ask for before it is refused.
struct JsonLimits {
  std::size_t max_bytes = std::size_t{1} << 30;
  int max_depth = 64;
  std::size_t max_values = std::size_t(-1);  ///< of one member, for each_json_member
};

namespace detail {

// Reads characters and keeps the place of the last one where the handler can see it: the parser's
// callbacks do not tell.
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

// Called for the members of the outermost object; of one type, so that the parser is compiled once.
struct JsonMember {
  void (*call)(void* fn, const std::string& name, Json& value) = nullptr;
  void* fn = nullptr;
};

// Builds the value while refusing what a plain parse lets pass: keys given twice and deep nesting.
// With a function for members, those of the outermost object are handed over one by one and not
// kept.
HLIP_LAZY class JsonBuilder {
 public:
  JsonBuilder(Json& root, std::string_view text, std::string_view path, const JsonLimits& limits,
              JsonMember member = {})
      : root_(root),
        text_(text),
        path_(path),
        limits_(limits),
        member_(member),
        seen_(text.data()) {}
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
    if (!inserted)
      fail_file(path_, here(), "key {} is given twice in one object", quote_text(name));
    slot_ = &it->second;
    if (stack_.size() == 1) current_ = it;
    return true;
  }
  template <class Exception>
  bool parse_error(std::size_t position, const std::string&, const Exception& e) {
    // "[json.exception.parse_error.101] parse error at line 1, column 9: what": the place is given
    // by us, in bytes.
    std::string_view what = e.what();
    if (const auto i = what.find("] "); i != what.npos) what.remove_prefix(i + 2);
    if (what.starts_with("parse error"))
      what.remove_prefix(std::min(what.size(), what.find(": ") + 2));
    std::string clean = quote_text(what, 200);
    if (clean.ends_with('"')) clean = clean.substr(1, clean.size() - 2);
    fail_file(path_,
              fmt::format("byte {}", position == 0 ? 0 : std::min(position - 1, text_.size())),
              "not valid JSON: {}", clean);
  }

 private:
  std::string here() const { return fmt::format("byte {}", seen_ - text_.data()); }
  template <class V> Json* place(V&& value) {
    if (values_++ >= limits_.max_values)
      fail_file(path_, here(), "one member holds more than {} values", limits_.max_values);
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
  template <class V> bool put(V&& value) {
    place(std::forward<V>(value));
    return done();
  }
  bool open(Json value) {
    if (static_cast<int>(stack_.size()) >= limits_.max_depth)
      fail_file(path_, here(), "nested deeper than {} levels", limits_.max_depth);
    stack_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    stack_.pop_back();
    return done();
  }
  bool done() {
    if (!member_.call || stack_.size() != 1) return true;
    if (!root_.is_object())
      fail_file(path_, "", "is a JSON {}, expected an object", root_.type_name());
    member_.call(member_.fn, current_->first, current_->second);
    root_.get_ref<Json::object_t&>().erase(current_);
    values_ = 0;
    return true;
  }

  Json& root_;
  std::string_view text_, path_;
  JsonLimits limits_;
  JsonMember member_;
  const char* seen_;
  std::vector<Json*> stack_;
  Json* slot_ = nullptr;
  Json::object_t::iterator current_;  // of the outermost object
  std::size_t values_ = 0;
};

HLIP_LAZY void parse_json_into(Json& root, std::string_view text, std::string_view path,
                               const JsonLimits& limits, JsonMember member = {}) {
  if (text.empty()) fail_file(path, "", "is empty, expected JSON");
  if (const auto bad = find_invalid_utf8(text); bad != text.npos)
    fail_file(path, fmt::format("byte {}", bad), "not valid UTF-8");
  // The parser would stop there and say that all is well
  if (const auto nul = text.find('\0'); nul != text.npos)
    fail_file(path, fmt::format("byte {}", nul), "holds a NUL byte, expected text");
  JsonBuilder<> builder(root, text, path, limits, member);
  const JsonCursor first{text.data(), builder.seen()},
      last{text.data() + text.size(), builder.seen()};
  Json::sax_parse(first, last, &builder);
}

}  // namespace detail

/// Parses JSON text (RFC 8259; a leading UTF-8 byte order mark is skipped).
/// @param path named in errors
/// @throws hlip::error with path and byte offset for broken syntax, invalid UTF-8, lone surrogates,
/// NaN, numbers beyond double, a key
///         given twice, NUL bytes, or nesting deeper than the limit (found without recursion)
HLIP_LAZY Json parse_json(std::string_view text, std::string_view path, JsonLimits limits = {}) {
  Json root;
  limits.max_values = std::size_t(-1);
  detail::parse_json_into(root, text, path, limits);
  return root;
}

/// Calls fn(name, value) for each member of a JSON object, in the order of the text, with one of
/// them in memory at a time: for objects of many members. The rest is as parse_json, but a name may
/// come twice, which is for fn to see.
/// @throws hlip::error as parse_json, for what is no object, and for a member of more than
/// `max_values` values
template <class Fn>
void each_json_member(std::string_view text, std::string_view path, const JsonLimits& limits,
                      Fn fn) {
  Json root;
  detail::parse_json_into(
      root, text, path, limits,
      {[](void* f, const std::string& name, Json& value) { (*static_cast<Fn*>(f))(name, value); },
       &fn});
  if (!root.is_object()) fail_file(path, "", "is a JSON {}, expected an object", root.type_name());
}

/// Reads and parses a JSON file; see parse_json.
HLIP_LAZY Json read_json(const std::string& path, JsonLimits limits = {}) {
  return parse_json(read_file(path, limits.max_bytes), path, limits);
}

HLIP_END
