// Reads safetensors files, the format of published weights, trusting nothing in them. Needs
// nlohmann_json.
#pragma once

#include <hlip/io/json.hpp>
#include <hlip/io/safetensors_writer.hpp>
#include <hlip/io/tensor_file.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

/// What a header may ask for before it is refused.
struct SafetensorsLimits {
  std::size_t max_header_bytes = 100'000'000;  ///< as huggingface/safetensors
  /// numbers and texts in one entry, and in __metadata__
  std::size_t max_entry_values = 100'000;
};

/// A safetensors file, mapped and checked completely when it is opened: header length and syntax,
/// every element type, shape product and byte range, no range outside the file, no overlap, no
/// hole, nothing left over. Copies share the map. Entries are read one by one, so a header takes
/// some six times its bytes in memory at most.
/// Source: the safetensors format description; huggingface/safetensors for the limits.
class SafetensorsFile : public TensorFile {
 public:
  /// @throws hlip::error naming the file, the tensor or byte, and the fault
  HLIP_LAZY explicit SafetensorsFile(const std::string& path, SafetensorsLimits limits = {},
                                     MapAccess access = MapAccess::read)
      : TensorFile(path, access) {
    use([&] { read(file_bytes(), limits); });
  }
  /// Of bytes in memory, which outlive this object. @param name stands for the path in messages
  HLIP_LAZY SafetensorsFile(std::span<const std::byte> bytes, std::string name,
                            SafetensorsLimits limits = {})
      : TensorFile(std::move(name)) {
    read(bytes, limits);
  }

 private:
  HLIP_LAZY void read(std::span<const std::byte> bytes, const SafetensorsLimits& limits) {
    if (bytes.size() < 8)
      fail_file(path_, "", "is {} bytes long, a safetensors file has at least 8", bytes.size());
    std::uint64_t length = 0;
    for (int i = 7; i >= 0; --i)
      length = length << 8 | std::to_integer<std::uint64_t>(bytes[static_cast<std::size_t>(i)]);
    if (length > limits.max_header_bytes)
      fail_file(path_, "byte 0",
                "header length {} is beyond the limit of {} bytes; is this a safetensors file?",
                length, limits.max_header_bytes);
    if (length > bytes.size() - 8)
      fail_file(path_, "byte 0", "header length {} reaches beyond the file of {} bytes", length,
                bytes.size());
    const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + 8, length);
    if (header.empty() || header[0] != '{')
      fail_file(path_, "byte 8", "the header does not begin with {{");
    read_header(header, bytes.subspan(8 + length), limits);
  }
  HLIP_LAZY void read_header(std::string_view header, std::span<const std::byte> data,
                             const SafetensorsLimits& limits) {
    struct Range {
      std::uint64_t begin, end;
      const std::string* name;
    };
    std::vector<Range> ranges;
    bool metadata_seen = false;
    JsonLimits json;
    json.max_values = limits.max_entry_values;
    each_json_member(
        header, path_ + ": header", json, [&](const std::string& name, const Json& entry) {
          if (name.size() > max_tensor_name)
            fail_file(path_, quote_text(name), "is no name for a tensor: it has {} bytes",
                      name.size());
          const bool metadata = name == "__metadata__";
          const auto [it, fresh] = metadata ? std::pair(entries_.end(),
                                                        !std::exchange(metadata_seen, true))
                                            : entries_.try_emplace(name);
          if (!fresh) fail_file(path_, quote_text(name), "is given twice");
          if (metadata) return read_metadata(entry);
          const auto [begin, end] = read_entry(name, entry, data.size(), it->second);
          it->second.bytes = data.subspan(begin, end - begin);
          ranges.push_back({begin, end, &it->first});
        });
    names_.reserve(entries_.size());
    for (const auto& [name, entry] : entries_) names_.push_back(name);
    std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
      return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
    });
    std::uint64_t at = 0;
    for (const auto& r : ranges) {
      if (r.begin != at)
        fail_file(path_, quote_text(*r.name),
                  "begins at data byte {}, {} the tensor before it, which ends at {}", r.begin,
                  r.begin < at ? "overlapping" : "leaving a hole after", at);
      at = r.end;
    }
    if (at != data.size())
      fail_file(path_, "", "the tensors cover {} bytes of data, the file has {}", at, data.size());
  }
  HLIP_LAZY void read_metadata(const Json& entry) {
    if (!entry.is_object()) fail_file(path_, "__metadata__", "is not an object");
    for (const auto& [key, value] : entry.items()) {
      if (!value.is_string())
        fail_file(path_, "__metadata__", "the value of {} is not text", quote_text(key));
      metadata_[key] = value.template get<std::string>();
    }
  }
  // Checks one header entry and returns its byte range, which lies inside the data and fits shape
  // and type.
  HLIP_LAZY std::pair<std::uint64_t, std::uint64_t> read_entry(const std::string& name,
                                                               const Json& entry,
                                                               std::uint64_t data_size,
                                                               StoredTensor& info) const {
    const auto wrong = [&](const char* fault) { fail_file(path_, quote_text(name), "{}", fault); };
    if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") ||
        !entry.contains("shape") || !entry.contains("data_offsets"))
      wrong("its entry must have exactly dtype, shape and data_offsets");
    const auto &dtype = entry["dtype"], &shape = entry["shape"], &offsets = entry["data_offsets"];
    if (!dtype.is_string()) wrong("dtype is not text");
    info.dtype = read_dtype(name, dtype.get_ref<const std::string&>());
    if (!shape.is_array()) wrong("shape is not a list");
    if (shape.size() > static_cast<std::size_t>(max_rank))
      fail_file(path_, quote_text(name), "has {} axes, hlip takes at most {}", shape.size(),
                max_rank);
    std::uint64_t want = dtype_size(info.dtype);
    bool overflow = false, empty = false;
    for (const auto& size : shape) {
      if (!size.is_number_unsigned() || size.get<std::uint64_t>() > std::uint64_t{1} << 62)
        fail_file(path_, quote_text(name), "shape holds {}, expected whole numbers",
                  cut_text(size.dump(), 60));
      const auto n = size.get<std::uint64_t>();
      if (n == 0) empty = true;
      else overflow = __builtin_mul_overflow(want, n, &want) || overflow;
      info.shape.push_back(static_cast<index_t>(n));
    }
    if (overflow || want > std::uint64_t{1} << 62)
      fail_file(path_, quote_text(name), "the size of shape {} overflows", to_string(info.shape));
    if (empty) want = 0;
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
        !offsets[1].is_number_unsigned())
      wrong("data_offsets is not a pair of whole numbers");
    const auto begin = offsets[0].get<std::uint64_t>(), end = offsets[1].get<std::uint64_t>();
    if (begin > end)
      fail_file(path_, quote_text(name), "data_offsets [{}, {}] end before they begin", begin, end);
    if (end > data_size)
      fail_file(path_, quote_text(name),
                "data_offsets [{}, {}] reach beyond the {} bytes of data; is the file cut?", begin,
                end, data_size);
    if (end - begin != want)
      fail_file(path_, quote_text(name), "has {} bytes, {} of shape {} takes {}", end - begin,
                dtype_name(info.dtype), to_string(info.shape), want);
    return {begin, end};
  }
  HLIP_LAZY DType read_dtype(const std::string& name, const std::string& text) const {
    for (int d = 0; d <= static_cast<int>(DType::BOOL); ++d)
      if (dtype_name(static_cast<DType>(d)) == text) return static_cast<DType>(d);
    fail_file(path_, quote_text(name),
              "dtype {} is not one of F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL", quote_text(text));
  }
};

HLIP_END
