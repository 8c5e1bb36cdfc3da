// Reads what torch.save wrote - .pt, .pth, .bin - without PyTorch and without running anything that
// is in it. Needs libdeflate and zlib (for checksums).
#pragma once

#include <hlip/io/pickle.hpp>
#include <hlip/io/tensor_file.hpp>
#include <hlip/io/zip.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

/// What a checkpoint may ask for before it is refused.
struct TorchLimits {
  PickleLimits pickle;
  int max_depth = 32;  ///< dicts and lists within each other
  /// of a tensor that uses stored elements more than once (expand)
  std::uint64_t max_repeated_bytes = std::uint64_t{1} << 26;
  /// compare the checksums of an archive, for which all of it is read
  bool check_crc = true;
};

namespace detail {

struct TorchStorageType {
  std::string_view name;
  DType dtype;
};
inline constexpr std::array<TorchStorageType, 10> torch_storage_types = {
    {{"torch.DoubleStorage", DType::F64},
     {"torch.FloatStorage", DType::F32},
     {"torch.HalfStorage", DType::F16},
     {"torch.BFloat16Storage", DType::BF16},
     {"torch.LongStorage", DType::I64},
     {"torch.IntStorage", DType::I32},
     {"torch.ShortStorage", DType::I16},
     {"torch.CharStorage", DType::I8},
     {"torch.ByteStorage", DType::U8},
     {"torch.BoolStorage", DType::BOOL}}};

/// All that a checkpoint may name: tensors, storages, ordered dicts, and three harmless values
/// training scripts like to keep.
inline constexpr std::array<std::string_view, 17> torch_names = {
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "collections.OrderedDict",
    "torch.Size",
    "torch.device",
    "argparse.Namespace",
    torch_storage_types[0].name,
    torch_storage_types[1].name,
    torch_storage_types[2].name,
    torch_storage_types[3].name,
    torch_storage_types[4].name,
    torch_storage_types[5].name,
    torch_storage_types[6].name,
    torch_storage_types[7].name,
    torch_storage_types[8].name,
    torch_storage_types[9].name};

}  // namespace detail

/// A PyTorch checkpoint: every tensor in it, however deep, under the keys that lead to it joined by
/// dots ("state_dict.module.a.weight", "optimizer.state.0.exp_avg"). Both formats are read: the zip
/// archive, whose tensors are mapped, and the one before PyTorch 1.6.
///
/// The pickle inside is read as data (see pickle.hpp): a name outside detail::torch_names refuses
/// the file. Every size, stride and offset is compared with the bytes that are there. A pickle may
/// name a value many times over; what it unfolds into - values, tensors, their names, texts beside
/// them - is counted against its length, so memory and time stay in proportion to the file.
class TorchFile : public TensorFile {
 public:
  /// @throws hlip::error naming the file, the place in it, and the fault
  HLIP_LAZY explicit TorchFile(const std::string& path, TorchLimits limits = {},
                               MapAccess access = MapAccess::read)
      : TensorFile(path, access), limits_(limits) {
    use([&] { read(file_bytes()); });
  }
  /// Of bytes in memory, which outlive this object. @param name stands for the path in messages
  HLIP_LAZY TorchFile(std::span<const std::byte> bytes, std::string name, TorchLimits limits = {})
      : TensorFile(std::move(name)), limits_(limits) {
    read(bytes);
  }

  /// True for the first bytes of either format.
  static bool is_torch(std::string_view text) {
    return text.starts_with("PK\3\4") || legacy_start(text) > 0;
  }

 private:
  using Kind = PickleValue::Kind;
  struct Storage {
    DType dtype = DType::F32;
    std::uint64_t numel = 0;
    int tensors = 0;  // that lie in it
    std::span<const std::byte> bytes;
  };
  using Storages = std::map<std::string_view, Storage>;  // the keys lie in the pickle
  struct Found {
    std::map<std::string, StoredTensor>::iterator entry;
    Storage* storage = nullptr;
    std::uint64_t offset = 0;
    Shape shape, strides;
  };
  /// From a dict or a list to one of its values: a key, a number, or "#" and a number.
  struct Step {
    std::string_view text;
    std::int64_t number = -1;
    bool numbered = false;
  };
  /// On the way through a pickle, from its root.
  struct Walk {
    const Pickle& pickle;
    const std::string& place;
    Storages& storages;
    std::vector<Step> steps = {};
    std::vector<Found> found = {};
    std::size_t visited = 0, name_bytes = 0;

    /// Tensors written one by one take some 60 bytes each, and more than their names; a tensor that
    /// is only named again takes two.
    std::size_t max_visited() const { return pickle.end + 10'000; }
    std::size_t max_found() const { return pickle.end / 16 + 1'000; }
    std::size_t max_name_bytes() const { return 4 * pickle.end + (1 << 16); }
    /// The steps joined by dots, cut somewhere beyond `limit` bytes: nothing longer is ever put
    /// together.
    HLIP_LAZY std::string name(std::size_t limit) const {
      std::string out;
      for (const Step& step : steps) {
        if (!out.empty()) out += '.';
        out += step.text.substr(0, limit + 1);
        if (step.numbered) out += fmt::format("{}", step.number);
        if (out.size() > limit) break;
      }
      return out;
    }
    /// Where that is, for messages.
    HLIP_LAZY std::string in() const {
      const std::string at = name(60);
      return at.empty() ? place : place + ", " + quote_text(at);
    }
  };

  // The first format begins with a pickle of a number that PyTorch chose. @return where it ends, 0:
  // there is none
  static std::size_t legacy_start(std::string_view text) {
    constexpr std::string_view number = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    if (text.size() < 12 || text[0] != '\x80') return 0;
    const std::size_t at = text[2] == '\x95' ? 11 : 2;  // behind a frame
    return text.substr(at).starts_with(number) ? at + number.size() : 0;
  }

  HLIP_LAZY void read(std::span<const std::byte> bytes) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (text.starts_with("PK\3\4")) return read_zip(bytes);
    if (const std::size_t start = legacy_start(text); start > 0) return read_legacy(bytes, start);
    if (text.starts_with("\x80"))
      fail_file(path_, "byte 0", "is a pickle, but none that torch.save wrote");
    fail_file(path_, "byte 0",
              "is no PyTorch checkpoint: it begins with {}, expected a zip archive or the format "
              "before PyTorch 1.6{}",
              quote_text(text.substr(0, 24)),
              text.starts_with("version https://git-lfs")
                  ? " (hint: this is a Git LFS pointer, not the file itself)"
              : text.starts_with("<") ? " (hint: this is a web page)"
                                      : "");
  }

  HLIP_LAZY void read_zip(std::span<const std::byte> bytes) {
    const auto files = read_zip_directory(bytes, path_);
    std::string folder;
    for (const auto& [name, entry] : files)
      if (name.ends_with("/data.pkl") && name.find('/') == name.size() - 9)
        folder = folder.empty() ? name.substr(0, name.size() - 8) : fail_twice(folder, name);
    if (folder.empty())
      fail_file(path_, "", "is a zip archive without NAME/data.pkl, so no PyTorch checkpoint");
    if (files.count(folder + "constants.pkl"))
      fail_file(
          path_, folder + "constants.pkl",
          "is a TorchScript program, expected weights (hint: torch.save(model.state_dict(), …))");
    const auto bytes_of = [&](const std::string& name) {
      const ZipEntry& entry = files.at(name);
      if (entry.method != 0)
        fail_file(path_, name, "is compressed (method {}); torch.save stores files as they are",
                  entry.method);
      // 0: PyTorch was told to compute none
      if (limits_.check_crc && entry.crc != 0) check_zip_crc(entry, entry.bytes, path_, name);
      return entry.bytes;
    };
    if (files.count(folder + "byteorder")) {
      const auto order = bytes_of(folder + "byteorder");
      const std::string_view text(reinterpret_cast<const char*>(order.data()), order.size());
      if (text != "little")
        fail_file(path_, folder + "byteorder", "is {}, expected little", quote_text(text));
    }
    const std::string place = folder + "data.pkl";
    const Pickle pickle = read_pickle(bytes_of(place), detail::torch_names, path_, place,
                                      limits_.pickle);
    Storages storages = find_storages(pickle, place);
    for (auto& [key, storage] : storages) {
      const std::string name = folder + "data/" + std::string(key);
      if (!files.count(name))
        fail_file(path_, name, "is not in the archive, but {} wants it", place);
      const std::uint64_t size = files.at(name).size,
                          want = storage.numel * dtype_size(storage.dtype);
      if (size != want)
        fail_file(path_, name, "has {} bytes, {} elements of type {} take {}", size, storage.numel,
                  dtype_name(storage.dtype), want);
      storage.bytes = bytes_of(name);
    }
    collect(pickle, place, storages);
  }
  [[noreturn]] std::string fail_twice(const std::string& a, const std::string& b) const {
    fail_file(path_, b, "is a second checkpoint beside {}data.pkl in one archive", a);
  }

  // Five pickles - magic number, version, sizes of types, the object, the keys of its storages -
  // and then the storages, each after its length.
  HLIP_LAZY void read_legacy(std::span<const std::byte> bytes, std::size_t at) {
    const auto next = [&](const char* what) {
      Pickle pickle = read_pickle(bytes.subspan(at), detail::torch_names, path_,
                                  fmt::format("{} (from byte {})", what, at), limits_.pickle);
      at += pickle.end;
      return pickle;
    };
    if (const Pickle version = next("version"); version[version.root].integer != 1001)
      fail_file(path_, "version", "is {}, expected 1001", version[version.root].integer);
    const Pickle sizes = next("sizes of types");
    const auto order = find(sizes, sizes[sizes.root], "little_endian");
    if (order && order->kind == Kind::boolean && order->integer == 0)
      fail_file(path_, "sizes of types", "say that numbers are big-endian, expected little");
    const std::string place = "the pickle";
    const Pickle pickle = next("the pickle"), keys = next("list of storages");
    Storages storages = find_storages(pickle, place);
    if (keys[keys.root].kind != Kind::list) fail_file(path_, "list of storages", "is no list");
    for (const auto i : keys[keys.root].items) {
      const auto storage = storages.find(keys[i].text);
      if (keys[i].kind != Kind::text || storage == storages.end())
        fail_file(path_, "list of storages", "has {}, which no tensor uses",
                  quote_text(keys[i].text));
      auto& [key, s] = *storage;
      if (s.bytes.data()) fail_file(path_, "list of storages", "has {} twice", quote_text(key));
      const std::uint64_t want = s.numel * dtype_size(s.dtype);
      if (bytes.size() - at < 8 || bytes.size() - at - 8 < want)
        fail_file(path_, fmt::format("byte {}", at),
                  "storage {} takes {} bytes, the file ends before; is it cut?", quote_text(key),
                  want);
      const auto numel = detail::load<std::uint64_t>(bytes.data() + at);
      if (numel != s.numel)
        fail_file(path_, fmt::format("byte {}", at),
                  "storage {} has {} elements here and {} in the pickle", quote_text(key), numel,
                  s.numel);
      s.bytes = bytes.subspan(at + 8, want);
      at += 8 + want;
    }
    if (at != bytes.size())
      fail_file(path_, fmt::format("byte {}", at), "{} bytes follow the last storage",
                bytes.size() - at);
    for (const auto& [key, s] : storages)
      if (!s.bytes.data())
        fail_file(path_, "list of storages", "does not have {}, which a tensor uses",
                  quote_text(key));
    collect(pickle, place, storages);
  }

  // ---- the pickle
  // --------------------------------------------------------------------------------
  static const PickleValue* find(const Pickle& pickle, const PickleValue& dict,
                                 std::string_view key) {
    for (std::size_t i = 0; dict.kind == Kind::dict && i + 1 < dict.items.size(); i += 2)
      if (pickle[dict.items[i]].kind == Kind::text && pickle[dict.items[i]].text == key)
        return &pickle[dict.items[i + 1]];
    return nullptr;
  }
  /// ('storage', type, key, location, number of elements[, view]), as torch writes a storage into a
  /// pickle.
  HLIP_LAZY std::pair<std::string_view, Storage> storage_of(const Pickle& pickle,
                                                            const PickleValue& value,
                                                            const std::string& place) const {
    const PickleValue& id = pickle[value.items[0]];
    const auto is = [&](std::size_t i, Kind kind) { return pickle[id.items[i]].kind == kind; };
    if (id.kind != Kind::tuple || id.items.size() < 5 || id.items.size() > 6 ||
        !is(0, Kind::text) || pickle[id.items[0]].text != "storage" || !is(1, Kind::name) ||
        !is(2, Kind::text) || !is(4, Kind::integer) || (id.items.size() == 6 && !is(5, Kind::none)))
      fail_file(path_, place, "keeps something elsewhere that is no storage of a tensor");
    Storage storage;
    const std::string_view type = pickle[id.items[1]].text;
    const auto known = std::find_if(detail::torch_storage_types.begin(),
                                    detail::torch_storage_types.end(),
                                    [&](const auto& t) { return t.name == type; });
    if (known == detail::torch_storage_types.end())
      fail_file(path_, place, "a storage is of type {}", type);
    storage.dtype = known->dtype;
    const std::int64_t numel = pickle[id.items[4]].integer;
    if (numel < 0 || numel > std::int64_t{1} << 58)
      fail_file(path_, place, "a storage has {} elements", numel);
    storage.numel = static_cast<std::uint64_t>(numel);
    const std::string_view key = pickle[id.items[2]].text;
    if (key.size() > 256)
      fail_file(path_, place, "a storage is called {}, {} bytes, expected a number",
                quote_text(key), key.size());
    return {key, storage};
  }
  HLIP_LAZY Storages find_storages(const Pickle& pickle, const std::string& place) const {
    Storages storages;
    for (const auto& value : pickle.values) {
      if (value.kind != Kind::persistent) continue;
      const auto [key, storage] = storage_of(pickle, value, place);
      const auto [old, fresh] = storages.emplace(key, storage);
      if (!fresh && (old->second.dtype != storage.dtype || old->second.numel != storage.numel))
        fail_file(path_, place, "storage {} is described in two ways", quote_text(key));
    }
    return storages;
  }

  // The tensors, and the texts and numbers beside them.
  HLIP_LAZY void collect(const Pickle& pickle, const std::string& place, Storages& storages) {
    Walk walk{pickle, place, storages};
    visit(walk, pickle.root);
    for (const Found& tensor : walk.found) ++tensor.storage->tensors;
    for (const Found& tensor : walk.found)
      tensor.entry->second = stored(tensor.entry->first, tensor, *tensor.storage);
    names_.reserve(entries_.size());
    for (const auto& [name, tensor] : entries_) names_.push_back(name);
    const PickleValue& root = pickle[pickle.root];
    std::size_t bytes = 0;
    const auto note = [&](std::string_view key, const auto& value) {
      const std::string text = fmt::format("{}", value);
      if ((bytes += key.size() + text.size()) > walk.max_name_bytes())
        fail_file(path_, place,
                  "the texts and numbers beside its tensors unfold into more than {} bytes",
                  walk.max_name_bytes());
      metadata_.emplace(key, text);
    };
    for (std::size_t i = 0; root.kind == Kind::dict && i + 1 < root.items.size(); i += 2) {
      const PickleValue &key = pickle[root.items[i]], &value = pickle[root.items[i + 1]];
      if (key.kind != Kind::text) continue;
      if (value.kind == Kind::text) note(key.text, value.text);
      if (value.kind == Kind::integer) note(key.text, value.integer);
      if (value.kind == Kind::real) note(key.text, value.real);
    }
  }
  HLIP_LAZY void visit(Walk& walk, std::uint32_t number) {
    const Pickle& pickle = walk.pickle;
    const PickleValue& value = pickle[number];
    if (++walk.visited > walk.max_visited())
      fail_file(path_, walk.in(), "unfolds into more than {} values, the pickle has {} bytes",
                walk.max_visited(), pickle.end);
    if (walk.steps.size() > static_cast<std::size_t>(limits_.max_depth))
      fail_file(path_, walk.in(), "is nested deeper than {} levels", limits_.max_depth);
    const auto below = [&](Step step, std::uint32_t item) {
      walk.steps.push_back(step);
      visit(walk, item);
      walk.steps.pop_back();
    };
    if (value.kind == Kind::dict) {
      for (std::size_t i = 0; i + 1 < value.items.size(); i += 2) {
        const PickleValue& key = pickle[value.items[i]];
        const bool text = key.kind == Kind::text, integer = key.kind == Kind::integer;
        below({text      ? key.text
               : integer ? ""
                         : "#",
               integer ? key.integer : static_cast<std::int64_t>(i / 2), !text},
              value.items[i + 1]);
      }
    } else if (value.kind == Kind::list || value.kind == Kind::tuple) {
      for (std::size_t i = 0; i < value.items.size(); ++i)
        below({"", static_cast<std::int64_t>(i), true}, value.items[i]);
    } else if (value.kind == Kind::call &&
               pickle[value.items[0]].text.starts_with("torch._utils._rebuild_")) {
      const auto* arguments = &pickle[value.items[1]].items;
      // a parameter: its tensor, and whether it is trained
      if (pickle[value.items[0]].text != "torch._utils._rebuild_tensor_v2") {
        if (arguments->empty()) fail_file(path_, walk.in(), "is a parameter of nothing");
        const PickleValue& tensor = pickle[arguments->front()];
        if (tensor.kind != Kind::call ||
            pickle[tensor.items[0]].text != "torch._utils._rebuild_tensor_v2")
          fail_file(path_, walk.in(), "is a parameter of what is no tensor");
        arguments = &pickle[tensor.items[1]].items;
      }
      add_tensor(walk, *arguments);
    }
  }
  HLIP_LAZY void add_tensor(Walk& walk, const std::vector<std::uint32_t>& arguments) {
    std::string name = walk.name(max_tensor_name);
    if (name.size() > max_tensor_name || find_invalid_utf8(name) != std::string_view::npos)
      fail_file(path_, walk.in(), "is no name for a tensor");
    if (name.empty()) name = "tensor";
    if (walk.found.size() == walk.max_found())
      fail_file(path_, walk.in(), "unfolds into more than {} tensors, the pickle has {} bytes",
                walk.max_found(), walk.pickle.end);
    walk.name_bytes += name.size();
    if (walk.name_bytes > walk.max_name_bytes())
      fail_file(path_, walk.in(),
                "the names of its tensors unfold into more than {} bytes, the pickle has {}",
                walk.max_name_bytes(), walk.pickle.end);
    const auto [entry, fresh] = entries_.try_emplace(std::move(name));
    if (!fresh) fail_file(path_, walk.in(), "there are two tensors of this name");
    walk.found.push_back(read_tensor(walk, arguments));
    walk.found.back().entry = entry;
  }
  // _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata])
  HLIP_LAZY Found read_tensor(const Walk& walk, const std::vector<std::uint32_t>& arguments) const {
    const Pickle& pickle = walk.pickle;
    const std::string place = walk.in();
    if (arguments.size() < 4)
      fail_file(path_, place, "its tensor has {} arguments, expected at least 4", arguments.size());
    const PickleValue &storage = pickle[arguments[0]], &offset = pickle[arguments[1]];
    if (storage.kind != Kind::persistent) fail_file(path_, place, "its tensor has no storage");
    if (offset.kind != Kind::integer || offset.integer < 0)
      fail_file(path_, place, "its tensor begins at no whole number");
    Found tensor{{},
                 &walk.storages.at(storage_of(pickle, storage, place).first),
                 static_cast<std::uint64_t>(offset.integer),
                 {},
                 {}};
    const auto numbers = [&](std::uint32_t list, const char* what) {
      Shape shape;
      const auto& items = pickle[list].items;
      if (pickle[list].kind != Kind::tuple) fail_file(path_, place, "its {} is no tuple", what);
      if (items.size() > static_cast<std::size_t>(max_rank))
        fail_file(path_, place, "has {} axes, hlip takes at most {}", items.size(), max_rank);
      for (const auto i : items) {
        const PickleValue& n = pickle[i];
        if (n.kind != Kind::integer || n.integer < 0 || n.integer > std::int64_t{1} << 58)
          fail_file(path_, place, "its {} holds something other than whole numbers from 0", what);
        shape.push_back(n.integer);
      }
      return shape;
    };
    tensor.shape = numbers(arguments[2], "size");
    tensor.strides = numbers(arguments[3], "stride");
    if (tensor.strides.rank() != tensor.shape.rank())
      fail_file(path_, place, "has {} axes and {} strides", tensor.shape.rank(),
                tensor.strides.rank());
    return tensor;
  }

  // A tensor in its storage, which every element of it lies in.
  HLIP_LAZY StoredTensor stored(const std::string& name, const Found& tensor,
                                const Storage& storage) const {
    const std::size_t width = dtype_size(storage.dtype);
    std::uint64_t numel = 1, last = 0;
    bool overflow = false, empty = false, row_major = true;
    for (int d = tensor.shape.rank() - 1; d >= 0; --d) {
      const auto n = static_cast<std::uint64_t>(tensor.shape[d]),
                 stride = static_cast<std::uint64_t>(tensor.strides[d]);
      std::uint64_t reach = 0;
      if (n == 0) {
        empty = true;
        continue;
      }
      row_major = row_major && (n == 1 || stride == numel);
      overflow = __builtin_mul_overflow(n - 1, stride, &reach) ||
                 __builtin_add_overflow(last, reach, &last) ||
                 __builtin_mul_overflow(numel, n, &numel) || overflow;
    }
    StoredTensor out{storage.dtype, tensor.shape, {}, {}, storage.tensors > 1};
    if (overflow || numel > std::uint64_t{1} << 58)
      fail_file(path_, quote_text(name), "the size of shape {} overflows", to_string(tensor.shape));
    if (empty) return out;
    if (tensor.offset >= storage.numel || last >= storage.numel - tensor.offset)
      fail_file(
          path_, quote_text(name),
          "shape {} with strides {} from element {} reaches beyond the {} elements of its storage",
          to_string(tensor.shape), to_string(tensor.strides), tensor.offset, storage.numel);
    if (numel > storage.numel && numel * width > limits_.max_repeated_bytes)
      fail_file(path_, quote_text(name),
                "shape {} repeats the {} elements of its storage into {} bytes, the limit is {}",
                to_string(tensor.shape), storage.numel, numel * width, limits_.max_repeated_bytes);
    out.bytes = storage.bytes.subspan(tensor.offset * width, (last + 1) * width);
    if (!row_major) out.strides = tensor.strides;
    return out;
  }

  TorchLimits limits_;
};

HLIP_END
