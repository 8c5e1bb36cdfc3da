// Writes safetensors files: the same tensors always give the same bytes. Needs nlohmann_json.
#pragma once

#include <hlip/backend/cpu/memory.hpp>
#include <hlip/io/file.hpp>
#include <hlip/io/json.hpp>
#include <hlip/tensor/tensor.hpp>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Collects tensors and writes them at once.
class SafetensorsWriter {
 public:
  /// Adds a tensor. A contiguous tensor on the Cpu is shared, not copied: do not change it before
  /// `write`.
  /// @throws hlip::error when the name is taken
  template <Element T, class B> void add(const std::string& name, const Tensor<T, B>& tensor) {
    if constexpr (std::is_same_v<B, Cpu>) {
      const auto kept = std::make_shared<Tensor<T, B>>(tensor.contiguous());
      add_bytes(
          name, dtype_of<T>(), kept->shape(),
          std::as_bytes(std::span<const T>(kept->data(), static_cast<std::size_t>(kept->numel()))),
          kept);
    } else {
      add(name, to_backend<Cpu>(tensor));
    }
  }
  /// Adds a copy of host values in row-major order. @throws hlip::error when the name is taken or
  /// the number of values is not the shape's
  template <Element T>
  void add(const std::string& name, std::span<const T> values, const Shape& shape) {
    if (static_cast<index_t>(values.size()) != shape.numel())
      fail("safetensors", "{}: {} values for shape {}", name, values.size(), to_string(shape));
    const auto kept = std::make_shared<std::vector<std::byte>>(values.size_bytes());
    if (!values.empty()) std::memcpy(kept->data(), values.data(), values.size_bytes());
    add_bytes(name, dtype_of<T>(), shape, *kept, kept);
  }
  /// Adds raw row-major little-endian bytes, which are copied.
  HLIP_LAZY void add(const std::string& name, DType dtype, std::span<const std::byte> bytes,
                     const Shape& shape) {
    const auto kept = std::make_shared<std::vector<std::byte>>(bytes.begin(), bytes.end());
    add_bytes(name, dtype, shape, *kept, kept);
  }
  /// Sets a text value under __metadata__.
  void metadata(const std::string& key, std::string value) { metadata_[key] = std::move(value); }

  /// Writes the file wholly or not at all. The order of `add` does not matter: wide types first,
  /// then by name, so that every tensor is aligned to its element size.
  /// @throws hlip::error when the disk is full (an older file stays) or a name is not UTF-8
  HLIP_LAZY void write(const std::string& path) const {
    std::vector<const Entry*> order;
    for (const auto& [name, entry] : entries_) order.push_back(&entry);
    std::stable_sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) {
      return dtype_size(a->dtype) > dtype_size(b->dtype);
    });
    const std::string header = make_header(path, order);
    std::string length(8, '\0');
    for (std::size_t i = 0; i < 8; ++i)
      length[i] = static_cast<char>(header.size() >> (8 * i) & 0xFF);
    atomic_write(path, [&](AtomicFile& file) {
      file.write(length);
      file.write(header);
      for (const Entry* e : order) file.write(e->bytes);
    });
  }

 private:
  struct Entry {
    std::string name;
    DType dtype;
    Shape shape;
    std::span<const std::byte> bytes;
    std::shared_ptr<const void> keep;
  };

  HLIP_LAZY void add_bytes(const std::string& name, DType dtype, const Shape& shape,
                           std::span<const std::byte> bytes, std::shared_ptr<const void> keep) {
    if (name == "__metadata__") fail("safetensors", "a tensor cannot be named __metadata__");
    if (bytes.size() != static_cast<std::size_t>(shape.numel()) * dtype_size(dtype))
      fail("safetensors", "{}: {} bytes for {} of shape {}", name, bytes.size(), dtype_name(dtype),
           to_string(shape));
    if (!entries_.emplace(name, Entry{name, dtype, shape, bytes, std::move(keep)}).second)
      fail("safetensors", "tensor {} is added twice", quote_text(name));
  }
  // Written as text, in the order of the bytes: a second JSON type that keeps an order costs every
  // file half a second to compile.
  HLIP_LAZY std::string make_header(const std::string& path,
                                    const std::vector<const Entry*>& order) const {
    try {
      std::string text = "{";
      if (!metadata_.empty()) {
        text += "\"__metadata__\":{";
        for (const auto& [key, value] : metadata_)
          text += (text.ends_with('{') ? "" : ",") + Json(key).dump() + ':' + Json(value).dump();
        text += '}';
      }
      std::size_t at = 0;
      for (const Entry* e : order) {
        std::string shape;
        for (const index_t n : e->shape) shape += fmt::format("{}{}", shape.empty() ? "" : ",", n);
        text += fmt::format("{}{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                            text.size() > 1 ? "," : "", Json(e->name).dump(), dtype_name(e->dtype),
                            shape, at, at + e->bytes.size());
        at += e->bytes.size();
      }
      text += '}';
      // A mapped tensor then begins where one in memory would
      text.resize((text.size() + 8 + 63) / 64 * 64 - 8, ' ');
      return text;
    } catch (const Json::exception&) {
      fail_file(path, "", "a tensor name or metadata value is not valid UTF-8");
    }
  }

  std::map<std::string, Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

HLIP_END
