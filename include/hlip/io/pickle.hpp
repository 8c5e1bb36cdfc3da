// Python pickles as data: a tree of plain values. Nothing is imported, called or made: what a
// pickle wants to call stays a note in the tree, and a name that is not in the caller's list ends
// the reading.
#pragma once

#include <hlip/core/error.hpp>
#include <hlip/io/convert.hpp>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

/// One value of a pickle. Values name each other by number: they may be shared, and nothing is
/// owned in circles.
struct PickleValue {
  enum class Kind : std::uint8_t {
    none,
    boolean,  ///< integer
    integer,  ///< integer
    big,      ///< a whole number of more than 64 bits: its bytes, least first
    real,     ///< real
    text,     ///< text
    bytes,    ///< text
    list,     ///< items
    tuple,    ///< items
    dict,     ///< items: key, value, key, value, …
    name,     ///< text: "module.name" of the caller's list
    /// what would be called and its arguments, which nobody does: items = name, arguments[, state]
    call,
    persistent,  ///< items: what the writer put in place of something it keeps elsewhere
  } kind = Kind::none;
  std::int64_t integer = 0;
  double real = 0;
  std::string_view text = {};             ///< lies in the pickle's bytes
  std::vector<std::uint32_t> items = {};  ///< numbers of other values
};

/// A pickle read to its end. It takes at most about a hundred times the memory of its bytes,
/// because every value and every item of one costs a byte of the pickle; texts stay where they are.
struct Pickle {
  std::deque<PickleValue> values;
  std::uint32_t root = 0;
  std::size_t end = 0;  ///< bytes read
  const PickleValue& operator[](std::uint32_t i) const { return values[i]; }
};

/// What a pickle may ask for before it is refused.
struct PickleLimits {
  std::size_t max_bytes = std::size_t{1} << 28, max_values = 2'000'000;
};

namespace detail {

/// Runs the stack machine of a pickle on notes instead of objects.
HLIP_LAZY class PickleReader {
  using Kind = PickleValue::Kind;

 public:
  PickleReader(std::span<const std::byte> bytes, std::span<const std::string_view> allowed,
               std::string_view path, std::string_view place, PickleLimits limits)
      : bytes_(bytes.first(std::min(bytes.size(), limits.max_bytes))),
        allowed_(allowed),
        path_(path),
        place_(place),
        limits_(limits) {
    // Shared: they are written in one byte
    for (const Kind kind : {Kind::none, Kind::boolean, Kind::boolean, Kind::tuple})
      pickle_.values.push_back({.kind = kind});
    pickle_.values[2].integer = 1;
  }

  Pickle read() {
    for (;;) {
      begin_ = at_;
      const auto op = static_cast<unsigned char>(take(1)[0]);
      if (op == '.') break;
      step(op);
    }
    if (stack_.size() != 1 || !marks_.empty())
      bad("ends with {} values on the stack, expected one", stack_.size());
    pickle_.root = stack_[0];
    pickle_.end = at_;
    return std::move(pickle_);
  }

 private:
  template <class... Args>
  [[noreturn]] void bad(std::type_identity_t<message_format<Args...>> message,
                        const Args&... args) const {
    fail_file(path_, fmt::format("{}{}byte {}", place_, place_.empty() ? "" : ", ", begin_),
              message, args...);
  }

  // ---- bytes
  // -------------------------------------------------------------------------------------
  std::string_view take(std::uint64_t n) {
    if (n > bytes_.size() - at_)
      bad("the pickle ends in the middle: {} more bytes wanted, {} are left", n,
          bytes_.size() - at_);
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()) + at_, n);
    at_ += n;
    return text;
  }
  template <class T> T get() {
    return load<T>(reinterpret_cast<const std::byte*>(take(sizeof(T)).data()));
  }
  std::string_view line() {
    const std::size_t start = at_;
    while (take(1)[0] != '\n')
      if (at_ - start > 256) bad("a name is longer than 256 bytes");
    return {reinterpret_cast<const char*>(bytes_.data()) + start, at_ - start - 1};
  }
  std::int64_t little_endian(std::string_view digits) const {
    std::uint64_t value = !digits.empty() && (digits.back() & 0x80) ? ~std::uint64_t{0} : 0;
    for (std::size_t i = digits.size(); i-- > 0;)
      value = value << 8 | static_cast<unsigned char>(digits[i]);
    return static_cast<std::int64_t>(value);
  }

  // ---- stack
  // -------------------------------------------------------------------------------------
  void push(std::uint32_t value) { stack_.push_back(value); }
  void add(PickleValue value) {
    if (pickle_.values.size() >= limits_.max_values)
      bad("has more than {} values", limits_.max_values);
    push(static_cast<std::uint32_t>(pickle_.values.size()));
    pickle_.values.push_back(std::move(value));
  }
  void add_integer(std::int64_t value) { add({.kind = Kind::integer, .integer = value}); }
  void add_text(Kind kind, std::string_view text) { add({.kind = kind, .text = text}); }
  std::size_t depth() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }
  std::uint32_t pop() {
    if (depth() == 0) bad("takes a value from an empty stack");
    const auto value = stack_.back();
    stack_.pop_back();
    return value;
  }
  std::vector<std::uint32_t> pop(std::size_t n) {
    if (depth() < n) bad("takes {} values from a stack of {}", n, depth());
    std::vector<std::uint32_t> items(stack_.end() - static_cast<std::ptrdiff_t>(n), stack_.end());
    stack_.resize(stack_.size() - n);
    return items;
  }
  std::vector<std::uint32_t> pop_mark() {
    if (marks_.empty()) bad("wants the values behind a mark, and there is none");
    auto items = pop(depth());
    marks_.pop_back();
    return items;
  }
  PickleValue& top(Kind kind, const char* what) {
    if (depth() == 0 || pickle_.values[stack_.back()].kind != kind)
      bad("adds to what is no {}", what);
    return pickle_.values[stack_.back()];
  }
  void append(PickleValue& value, const std::vector<std::uint32_t>& items) {
    value.items.insert(value.items.end(), items.begin(), items.end());
  }
  void set_items(const std::vector<std::uint32_t>& items) {
    if (items.size() % 2 != 0) bad("sets {} keys and values, expected pairs", items.size());
    append(top(Kind::dict, "dict"), items);
  }

  void put(std::uint64_t index) {
    if (depth() == 0) bad("keeps a value of an empty stack");
    if (index >= limits_.max_values)
      bad("keeps value number {}, the limit is {}", index, limits_.max_values);
    if (index >= memo_.size())
      memo_.resize(std::max<std::size_t>(index + 1, memo_.size() + memo_.size() / 2), none);
    memo_[index] = stack_.back();
    memoized_ = std::max<std::size_t>(memoized_, index + 1);
  }
  void fetch(std::uint64_t index) {
    if (index >= memo_.size() || memo_[index] == none)
      bad("uses the kept value number {}, which does not exist", index);
    push(memo_[index]);
  }

  // ---- names
  // -------------------------------------------------------------------------------------
  void add_name(std::string_view module, std::string_view name) {
    for (const std::string_view known : allowed_)
      if (known.size() == module.size() + 1 + name.size() && known.starts_with(module) &&
          known[module.size()] == '.' && known.ends_with(name))
        return add_text(Kind::name, known);
    bad("names {}, which plain weights do not need; refused, nothing was run (hint: save the "
        "state_dict of a model, not the model)",
        quote_text(fmt::format("{}.{}", module, name), 200));
  }
  // An OrderedDict is a dict, whose items come later or, from old writers, as a list of pairs. All
  // else stays a note. The pairs are copied, and one list may be named many times over: all copies
  // together stay below the bytes read so far. A list that is used once, as by every writer, takes
  // two bytes for each pair at least.
  void add_call() {
    const auto items = pop(2);
    const PickleValue &callee = pickle_[items[0]], &arguments = pickle_[items[1]];
    if (callee.kind != Kind::name) bad("calls what is no name");
    if (arguments.kind != Kind::tuple) bad("calls {} without a tuple of arguments", callee.text);
    if (callee.text != "collections.OrderedDict") {
      add({.kind = Kind::call, .items = items});
      return;
    }
    std::vector<std::uint32_t> pairs;
    if (arguments.items.size() > 1 ||
        (arguments.items.size() == 1 && pickle_[arguments.items[0]].kind != Kind::list))
      bad("an OrderedDict is made of something that is no list of pairs");
    if (arguments.items.size() == 1) {
      const auto& list = pickle_[arguments.items[0]].items;
      copied_ += list.size();
      if (copied_ > at_)
        bad("makes OrderedDicts of {} pairs, the pickle has only {} bytes so far: lists are used "
            "many times over",
            copied_, at_);
      pairs.reserve(2 * list.size());
      for (const auto i : list) {
        const PickleValue& pair = pickle_[i];
        if ((pair.kind != Kind::list && pair.kind != Kind::tuple) || pair.items.size() != 2)
          bad("an OrderedDict is made of something that is no list of pairs");
        pairs.insert(pairs.end(), pair.items.begin(), pair.items.end());
      }
    }
    add({.kind = Kind::dict, .items = std::move(pairs)});
  }
  // State of a dict (attributes beside its items) holds no weights; that of a note stays with the
  // note.
  void build() {
    const auto items = pop(2);
    PickleValue& object = pickle_.values[items[0]];
    if (object.kind == Kind::call && object.items.size() == 2) object.items.push_back(items[1]);
    else if (object.kind != Kind::dict) bad("gives a state to what has none");
    push(items[0]);
  }

  void step(unsigned char op) {
    // One function: one case for each instruction of the format.
    switch (op) {
      case 0x80:  // PROTO
        if (const auto protocol = get<std::uint8_t>(); protocol < 2 || protocol > 5)
          bad("is of pickle protocol {}, expected 2 to 5", protocol);
        return;
      case 0x95:  // FRAME
        if (const auto n = get<std::uint64_t>(); n > bytes_.size() - at_)
          bad("the pickle ends in the middle: a frame of {} bytes, {} are left", n,
              bytes_.size() - at_);
        return;
      case '(': return marks_.push_back(stack_.size());
      case '0':
        return depth() == 0 && !marks_.empty() ? marks_.pop_back() : static_cast<void>(pop());
      case '1': return static_cast<void>(pop_mark());
      case '2': {
        const auto value = pop();
        push(value);
        return push(value);
      }
      case 'N': return push(0);
      case 0x89: return push(1);
      case 0x88: return push(2);
      case ')': return push(3);
      case 'J': return add_integer(get<std::int32_t>());
      case 'K': return add_integer(get<std::uint8_t>());
      case 'M': return add_integer(get<std::uint16_t>());
      case 0x8A: return add_long(get<std::uint8_t>());   // LONG1
      case 0x8B: return add_long(get<std::uint32_t>());  // LONG4
      case 'G': {                                        // big-endian double
        std::uint64_t bits = 0;
        for (const char c : take(8)) bits = bits << 8 | static_cast<unsigned char>(c);
        add({.kind = Kind::real, .real = std::bit_cast<double>(bits)});
        return;
      }
      case 'X': return add_text(Kind::text, take(get<std::uint32_t>()));
      case 0x8C: return add_text(Kind::text, take(get<std::uint8_t>()));
      case 0x8D: return add_text(Kind::text, take(get<std::uint64_t>()));
      case 'U': return add_text(Kind::text, take(get<std::uint8_t>()));   // a string of Python 2
      case 'T': return add_text(Kind::text, take(get<std::uint32_t>()));  // a long one
      case 'C': return add_text(Kind::bytes, take(get<std::uint8_t>()));
      case 'B': return add_text(Kind::bytes, take(get<std::uint32_t>()));
      case 0x8E: return add_text(Kind::bytes, take(get<std::uint64_t>()));
      case ']':
      case 0x8F: add({.kind = Kind::list}); return;  // a list, a set
      case '}': add({.kind = Kind::dict}); return;
      case 'l': return add_items(Kind::list, pop_mark());
      case 't': return add_items(Kind::tuple, pop_mark());
      case 0x91: return add_items(Kind::tuple, pop_mark());  // FROZENSET
      case 0x85: return add_items(Kind::tuple, pop(1));
      case 0x86: return add_items(Kind::tuple, pop(2));
      case 0x87: return add_items(Kind::tuple, pop(3));
      case 'd': {
        const auto items = pop_mark();
        add({.kind = Kind::dict});
        return set_items(items);
      }
      case 'a': {
        const auto items = pop(1);
        return append(top(Kind::list, "list"), items);
      }
      case 'e':
      case 0x90: {  // APPENDS, ADDITEMS
        const auto items = pop_mark();
        return append(top(Kind::list, "list"), items);
      }
      case 's': return set_items(pop(2));
      case 'u': return set_items(pop_mark());
      case 'q': return put(get<std::uint8_t>());
      case 'r': return put(get<std::uint32_t>());
      case 0x94: return put(memoized_);
      case 'h': return fetch(get<std::uint8_t>());
      case 'j': return fetch(get<std::uint32_t>());
      case 'c': {
        const auto module = line();
        return add_name(module, line());
      }
      case 0x93: {  // STACK_GLOBAL
        const auto items = pop(2);
        if (pickle_[items[0]].kind != Kind::text || pickle_[items[1]].kind != Kind::text)
          bad("names something by what is no text");
        return add_name(pickle_[items[0]].text, pickle_[items[1]].text);
      }
      case 'R':                      // REDUCE
      case 0x81: return add_call();  // NEWOBJ
      case 'b': return build();
      case 'Q': return add_items(Kind::persistent, pop(1));
      default: bad("operation 0x{:02x} has no place in a checkpoint of tensors", op);
    }
  }
  void add_items(Kind kind, std::vector<std::uint32_t> items) {
    add({.kind = kind, .items = std::move(items)});
  }
  void add_long(std::uint64_t size) {
    const auto digits = take(size);
    if (size > 8) return add_text(Kind::big, digits);
    add_integer(little_endian(digits));
  }

  static constexpr std::uint32_t none = ~std::uint32_t{0};
  std::span<const std::byte> bytes_;
  std::span<const std::string_view> allowed_;
  std::string_view path_, place_;
  PickleLimits limits_;
  Pickle pickle_;
  std::size_t begin_ = 0, at_ = 0, memoized_ = 0, copied_ = 0;
  std::vector<std::uint32_t> stack_, memo_;
  std::vector<std::size_t> marks_;
};

}  // namespace detail

/// Reads one pickle (protocol 2 to 5) from the beginning of `bytes` and runs nothing.
///
/// Source: the opcodes of Python's pickletools. Out-of-band buffers, extension codes, and the
/// textual opcodes of protocol 0 are refused.
/// @param allowed the names ("module.name") the pickle may mention; names it points at live as long
/// as this list
/// @param path, place named in messages  @throws hlip::error with path, place, byte and the fault
HLIP_LAZY Pickle read_pickle(std::span<const std::byte> bytes,
                             std::span<const std::string_view> allowed, std::string_view path,
                             std::string_view place = "", PickleLimits limits = {}) {
  return detail::PickleReader<>(bytes, allowed, path, place, limits).read();
}

HLIP_END
