// Reads safetensors files, the format of published weights, trusting nothing in them. Needs nlohmann_json.
#pragma once

#include <hlip/io/convert.hpp>
#include <hlip/io/file.hpp>
#include <hlip/io/json.hpp>
#include <hlip/io/safetensors_writer.hpp>
#include <hlip/tensor/tensor.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

HLIP_BEGIN

/// One tensor in a safetensors file. The bytes belong to the file object, may lie at any address and are row-major, little endian.
struct SafetensorsInfo {
  DType dtype = DType::F32;
  Shape shape;
  std::span<const std::byte> bytes;
};

/// What a header may ask for before it is refused.
struct SafetensorsLimits {
  std::size_t max_header_bytes = 100'000'000;
};

/// A safetensors file, mapped and checked completely when it is opened: header length and syntax, every element type, shape
/// product and byte range, no range outside the file, no overlap, no hole, nothing left over. Copies share the map.
/// Source: the safetensors format description; huggingface/safetensors for the limits.
class SafetensorsFile {
 public:
  /// @throws hlip::error naming the file, the tensor or byte, and the fault
  HLIP_LAZY explicit SafetensorsFile(const std::string& path, SafetensorsLimits limits = {}, MapAccess access = MapAccess::read)
      : file_(std::make_shared<const MappedFile>(path, access)), access_(access) {
    const auto bytes = file_->bytes();
    if (bytes.size() < 8) fail_file(path, "", "is {} bytes long, a safetensors file has at least 8", bytes.size());
    std::uint64_t length = 0;
    for (int i = 7; i >= 0; --i) length = length << 8 | std::to_integer<std::uint64_t>(bytes[static_cast<std::size_t>(i)]);
    if (length > limits.max_header_bytes) fail_file(path, "byte 0", "header length {} is beyond the limit of {} bytes; is this a safetensors file?", length, limits.max_header_bytes);
    if (length > bytes.size() - 8) fail_file(path, "byte 0", "header length {} reaches beyond the file of {} bytes", length, bytes.size());
    const std::string_view header = file_->text().substr(8, length);
    if (header.empty() || header[0] != '{') fail_file(path, "byte 8", "the header does not begin with {{");
    read_header(parse_json(header, path + ": header"), bytes.subspan(8 + length));
  }

  const std::string& path() const { return file_->path(); }
  /// Names of all tensors, sorted.
  const std::vector<std::string>& names() const { return names_; }
  /// The text values under __metadata__.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// One metadata value, or an empty string.
  std::string metadata(const std::string& key) const {
    const auto it = metadata_.find(key);
    return it == metadata_.end() ? "" : it->second;
  }
  bool contains(const std::string& name) const { return entries_.count(name) != 0; }
  /// @throws hlip::error when there is no such tensor
  const SafetensorsInfo& info(const std::string& name) const {
    const auto it = entries_.find(name);
    if (it == entries_.end()) fail_file(path(), "", "has no tensor {}", quote_text(name));
    return it->second;
  }

  /// All values of a tensor in row-major order, converted to T: floats round, integers and bool must be held exactly.
  /// @throws hlip::error for a missing name or a value T cannot hold
  template <Element T>
  std::vector<T> values(const std::string& name) const {
    std::vector<T> out(static_cast<std::size_t>(info(name).shape.numel()));
    convert<T>(name, out.begin());
    return out;
  }
  /// A tensor on backend B, converted to T as by `values`.
  template <Element T, class B = Cpu>
  Tensor<T, B> tensor(const std::string& name) const {
    const auto& entry = info(name);
    if (entry.dtype == dtype_of<T>() && !std::is_same_v<T, bool>) {
      auto out = Tensor<T, B>::empty(entry.shape);
      copy_from_host(B{}, out.data(), entry.bytes.data(), entry.bytes.size());
      return out;
    }
    const auto host = std::make_unique<T[]>(static_cast<std::size_t>(entry.shape.numel()));
    convert<T>(name, host.get());
    return Tensor<T, B>::from_values(entry.shape, std::span<const T>(host.get(), static_cast<std::size_t>(entry.shape.numel())));
  }
  /// A tensor whose elements are those of the map: nothing is read before it is used, and writing to it copies pages of this process only.
  /// It keeps the map alive. Stored as another type, or at an address T cannot have, it is a copy as from `tensor`.
  /// @throws hlip::error as `tensor`, and for a file that was not opened with MapAccess::copy_on_write
  template <Element T>
  Tensor<T, Cpu> mapped(const std::string& name) const {
    expect(access_ == MapAccess::copy_on_write, "safetensors", "{} is mapped for reading only; mapped tensors need MapAccess::copy_on_write", path());
    const auto& entry = info(name);
    const auto address = reinterpret_cast<std::uintptr_t>(entry.bytes.data());
    if (entry.dtype != dtype_of<T>() || std::is_same_v<T, bool> || entry.bytes.empty() || address % alignof(T) != 0) return tensor<T, Cpu>(name);
    T* data = reinterpret_cast<T*>(address);
    return Tensor<T, Cpu>::wrap(std::shared_ptr<T>(file_, data), data, entry.shape);
  }

 private:
  template <class T, class Out>
  void convert(const std::string& name, Out out) const {
    const auto& entry = info(name);
    detail::with_stored_type(entry.dtype, [&]<class S>(S) {
      const std::size_t n = entry.bytes.size() / sizeof(S);
      for (std::size_t i = 0; i < n; ++i, ++out) {
        T value{};
        const S stored = detail::load<S>(entry.bytes.data() + i * sizeof(S));
        if (!detail::convert_element(stored, value))
          fail_file(path(), quote_text(name), "element {} is {}, which {} cannot hold exactly", i, printable(stored), dtype_name(dtype_of<T>()));
        *out = value;
      }
    });
  }
  template <class S>
  static double printable(S value) {
    if constexpr (is_half<S>) return static_cast<double>(static_cast<float>(value));
    else return static_cast<double>(value);
  }

  HLIP_LAZY void read_header(const Json& header, std::span<const std::byte> data) {
    struct Range {
      std::uint64_t begin, end;
      const std::string* name;
    };
    std::vector<Range> ranges;
    for (const auto& [name, entry] : header.items()) {
      if (name == "__metadata__") {
        read_metadata(entry);
        continue;
      }
      const auto it = entries_.emplace(name, SafetensorsInfo{}).first;
      const auto [begin, end] = read_entry(it->first, entry, data.size(), it->second);
      it->second.bytes = data.subspan(begin, end - begin);
      ranges.push_back({begin, end, &it->first});
      names_.push_back(name);
    }
    std::sort(names_.begin(), names_.end());
    std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.begin != b.begin ? a.begin < b.begin : a.end < b.end; });
    std::uint64_t at = 0;
    for (const auto& r : ranges) {
      if (r.begin != at) fail_file(path(), quote_text(*r.name), "begins at data byte {}, {} the tensor before it, which ends at {}", r.begin, r.begin < at ? "overlapping" : "leaving a hole after", at);
      at = r.end;
    }
    if (at != data.size()) fail_file(path(), "", "the tensors cover {} bytes of data, the file has {}", at, data.size());
  }
  HLIP_LAZY void read_metadata(const Json& entry) {
    if (!entry.is_object()) fail_file(path(), "__metadata__", "is not an object");
    for (const auto& [key, value] : entry.items()) {
      if (!value.is_string()) fail_file(path(), "__metadata__", "the value of {} is not text", quote_text(key));
      metadata_[key] = value.template get<std::string>();
    }
  }
  // Checks one header entry and returns its byte range, which lies inside the data and fits shape and type.
  HLIP_LAZY std::pair<std::uint64_t, std::uint64_t> read_entry(const std::string& name, const Json& entry, std::uint64_t data_size, SafetensorsInfo& info) const {
    const auto wrong = [&](const char* fault) { fail_file(path(), quote_text(name), "{}", fault); };
    if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") || !entry.contains("shape") || !entry.contains("data_offsets"))
      wrong("its entry must have exactly dtype, shape and data_offsets");
    const auto &dtype = entry["dtype"], &shape = entry["shape"], &offsets = entry["data_offsets"];
    if (!dtype.is_string()) wrong("dtype is not text");
    info.dtype = read_dtype(name, dtype.get_ref<const std::string&>());
    if (!shape.is_array()) wrong("shape is not a list");
    if (shape.size() > static_cast<std::size_t>(max_rank)) fail_file(path(), quote_text(name), "has {} axes, hlip takes at most {}", shape.size(), max_rank);
    std::uint64_t want = dtype_size(info.dtype);
    bool overflow = false, empty = false;
    for (const auto& size : shape) {
      if (!size.is_number_unsigned() || size.get<std::uint64_t>() > std::uint64_t{1} << 62) fail_file(path(), quote_text(name), "shape holds {}, expected whole numbers", size.dump());
      const auto n = size.get<std::uint64_t>();
      if (n == 0) empty = true;
      else overflow = __builtin_mul_overflow(want, n, &want) || overflow;
      info.shape.push_back(static_cast<index_t>(n));
    }
    if (overflow || want > std::uint64_t{1} << 62) fail_file(path(), quote_text(name), "the size of shape {} overflows", to_string(info.shape));
    if (empty) want = 0;
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned()) wrong("data_offsets is not a pair of whole numbers");
    const auto begin = offsets[0].get<std::uint64_t>(), end = offsets[1].get<std::uint64_t>();
    if (begin > end) fail_file(path(), quote_text(name), "data_offsets [{}, {}] end before they begin", begin, end);
    if (end > data_size) fail_file(path(), quote_text(name), "data_offsets [{}, {}] reach beyond the {} bytes of data; is the file cut?", begin, end, data_size);
    if (end - begin != want) fail_file(path(), quote_text(name), "has {} bytes, {} of shape {} takes {}", end - begin, dtype_name(info.dtype), to_string(info.shape), want);
    return {begin, end};
  }
  DType read_dtype(const std::string& name, const std::string& text) const {
    for (int d = 0; d <= static_cast<int>(DType::BOOL); ++d)
      if (dtype_name(static_cast<DType>(d)) == text) return static_cast<DType>(d);
    fail_file(path(), quote_text(name), "dtype {} is not one of F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL", quote_text(text));
  }

  std::shared_ptr<const MappedFile> file_;
  MapAccess access_;
  std::map<std::string, SafetensorsInfo> entries_;
  std::vector<std::string> names_;
  std::map<std::string, std::string> metadata_;
};

HLIP_END
