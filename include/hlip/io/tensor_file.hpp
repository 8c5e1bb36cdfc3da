// What files of named tensors have in common, whatever their format: names, shapes, and values
// converted or mapped.
#pragma once

#include <hlip/io/convert.hpp>
#include <hlip/io/file.hpp>
#include <hlip/tensor/tensor.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// One tensor in a file. The bytes belong to the file object, may lie at any address and are little
/// endian. Whoever makes one has checked that every element lies in `bytes`.
struct StoredTensor {
  DType dtype = DType::F32;
  Shape shape;
  Shape strides;                     ///< in elements; no axes: row-major without gaps
  std::span<const std::byte> bytes;  ///< from the first element to the last
  bool shared = false;               ///< another tensor of the file lies in the same bytes
  bool row_major() const { return strides.rank() == 0; }
};

/// The longest name of a tensor; those of models have fewer than a hundred bytes.
inline constexpr std::size_t max_tensor_name = 4096;

/// Named tensors in the bytes of a file, which the readers derived from it have checked completely.
/// Copies share the bytes; a copy of the base is all that loading weights needs.
class TensorFile {
 public:
  const std::string& path() const { return path_; }
  /// Names of all tensors, sorted.
  const std::vector<std::string>& names() const { return names_; }
  /// Texts beside the tensors: __metadata__ of safetensors; texts and numbers at the top of a
  /// PyTorch checkpoint.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// One metadata value, or an empty string.
  std::string metadata(const std::string& key) const {
    const auto it = metadata_.find(key);
    return it == metadata_.end() ? "" : it->second;
  }
  bool contains(const std::string& name) const { return entries_.count(name) != 0; }
  /// @throws hlip::error when there is no such tensor
  HLIP_LAZY const StoredTensor& info(const std::string& name) const {
    const auto it = entries_.find(name);
    if (it == entries_.end()) fail_file(path_, "", "has no tensor {}", quote_text(name));
    return it->second;
  }

  /// All values of a tensor in row-major order, converted to T: floats round, integers and bool
  /// must be held exactly. A stored bool is 0 or 1.
  /// @throws hlip::error for a missing name or a value T cannot hold
  template <Element T> std::vector<T> values(const std::string& name) const {
    std::vector<T> out(static_cast<std::size_t>(info(name).shape.numel()));
    use([&] { convert<T>(name, out.begin()); });
    return out;
  }
  /// A tensor on backend B, converted to T as by `values`.
  template <Element T, class B = Cpu> Tensor<T, B> tensor(const std::string& name) const {
    const auto& entry = info(name);
    if (entry.dtype == dtype_of<T>() && !std::is_same_v<T, bool> && entry.row_major()) {
      auto out = Tensor<T, B>::empty(entry.shape);
      use([&] { copy_from_host(B{}, out.data(), entry.bytes.data(), entry.bytes.size()); });
      return out;
    }
    const auto host = std::make_unique<T[]>(static_cast<std::size_t>(entry.shape.numel()));
    use([&] { convert<T>(name, host.get()); });
    return Tensor<T, B>::from_values(
        entry.shape, std::span<const T>(host.get(), static_cast<std::size_t>(entry.shape.numel())));
  }
  /// A tensor whose elements are those of the map: nothing is read before it is used, and writing
  /// to it copies pages of this process only. It keeps the map alive; a disk that fails, or a file
  /// that is cut, ends the program then, with a message. Stored as another type, in another order,
  /// at an address T cannot have, or in bytes of another tensor too, it is a copy as from `tensor`.
  /// @throws hlip::error as `tensor`, and for a file that was not opened with
  /// MapAccess::copy_on_write
  template <Element T> Tensor<T, Cpu> mapped(const std::string& name) const {
    expect(access_ == MapAccess::copy_on_write, "mapped",
           "{} is mapped for reading only; mapped tensors need MapAccess::copy_on_write", path_);
    const auto& entry = info(name);
    const auto address = reinterpret_cast<std::uintptr_t>(entry.bytes.data());
    if (entry.dtype != dtype_of<T>() || std::is_same_v<T, bool> || entry.bytes.empty() ||
        address % alignof(T) != 0 || !entry.row_major() || entry.shared)
      return tensor<T, Cpu>(name);
    T* data = reinterpret_cast<T*>(address);
    return Tensor<T, Cpu>::wrap(std::shared_ptr<T>(file_, data), data, entry.shape);
  }

  /// fn(), which reads bytes of tensors as `info` gives them. @throws hlip::error when they cannot
  /// be read; see MappedFile::use
  template <class Fn> decltype(auto) use(Fn fn) const { return file_ ? file_->use(fn) : fn(); }

 protected:
  TensorFile(const std::string& path, MapAccess access)
      : path_(path), file_(std::make_shared<const MappedFile>(path, access)), access_(access) {}
  /// Of bytes in memory, which outlive this object. @param name stands for the path in messages
  explicit TensorFile(std::string name) : path_(std::move(name)) {}

  std::span<const std::byte> file_bytes() const { return file_->bytes(); }
  std::string path_;
  std::shared_ptr<const MappedFile> file_;
  MapAccess access_ = MapAccess::read;
  std::map<std::string, StoredTensor> entries_;
  std::vector<std::string> names_;
  std::map<std::string, std::string> metadata_;

 private:
  template <class T, class Out> void convert(const std::string& name, Out out) const {
    const auto& entry = info(name);
    detail::with_stored_type(entry.dtype, [&]<class S>(S) {
      const index_t n = entry.shape.numel();
      Shape at = Shape::filled(entry.shape.rank(), 0);
      index_t offset = 0;  // of element `at`
      for (index_t i = 0; i < n; ++i, ++out) {
        T value{};
        const S stored = detail::load<S>(entry.bytes.data() +
                                         static_cast<std::size_t>(entry.row_major() ? i : offset) *
                                             sizeof(S));
        if (entry.dtype == DType::BOOL && stored != S{0} && stored != S{1})
          fail_file(path_, quote_text(name), "element {} is a bool of {}, expected 0 or 1", i,
                    printable(stored));
        if (!detail::convert_element(stored, value))
          fail_file(path_, quote_text(name), "element {} is {}, which {} cannot hold exactly", i,
                    printable(stored), dtype_name(dtype_of<T>()));
        *out = value;
        if (entry.row_major()) continue;
        for (int d = entry.shape.rank() - 1; d >= 0; --d) {
          offset += entry.strides[d];
          if (++at[d] < entry.shape[d]) break;
          offset -= entry.strides[d] * entry.shape[d];
          at[d] = 0;
        }
      }
    });
  }
  template <class S> static double printable(S value) {
    if constexpr (is_half<S>) return static_cast<double>(static_cast<float>(value));
    else return static_cast<double>(value);
  }
};

HLIP_END
