// What torch.save writes, written by hand: archives and pickles, sound or not.
#pragma once

#include <hlip/io/checksum.hpp>

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace test::torch {

inline std::string number(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i, value = i < 8 ? value >> 8 : 0)
    text += static_cast<char>(value & 0xFF);
  return text;
}

/// A zip archive of stored files, as torch.save makes it.
inline std::string zip(const std::vector<std::pair<std::string, std::string>>& files,
                       int method = 0) {
  std::string text, directory;
  for (const auto& [name, content] : files) {
    const std::string sizes = number(hlip::crc32_of(std::as_bytes(std::span(content))), 4) +
                              number(content.size(), 4) + number(content.size(), 4) +
                              number(name.size(), 2);
    directory += "PK\1\2" + number(0, 6) + number(static_cast<std::uint64_t>(method), 2) +
                 number(0, 4) + sizes + number(0, 12) + number(text.size(), 4) + name;
    text += "PK\3\4" + number(0, 4) + number(static_cast<std::uint64_t>(method), 2) + number(0, 4) +
            sizes + number(0, 2) + name + content;
  }
  return text + directory + "PK\5\6" + number(0, 4) + number(files.size(), 2) +
         number(files.size(), 2) + number(directory.size(), 4) + number(text.size(), 4) +
         number(0, 2);
}

inline std::string text(const std::string& s) { return "X" + number(s.size(), 4) + s; }
inline std::string name(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string integer(std::uint32_t n) { return "J" + number(n, 4); }
inline std::string storage(const std::string& key, std::uint32_t numel,
                           const std::string& type = "FloatStorage") {
  return "(" + text("storage") + name("torch", type) + text(key) + text("cpu") + integer(numel) +
         "tQ";
}
/// A tensor of two axes.
inline std::string tensor(const std::string& stored, std::uint32_t offset,
                          std::array<std::uint32_t, 2> size, std::array<std::uint32_t, 2> stride) {
  return name("torch._utils", "_rebuild_tensor_v2") + "(" + stored + integer(offset) +
         integer(size[0]) + integer(size[1]) + "\x86" + integer(stride[0]) + integer(stride[1]) +
         "\x86\x89" + name("collections", "OrderedDict") + ")RtR";
}
inline std::string dict(const std::string& items) { return "\x80\x02}(" + items + "u."; }

inline std::string checkpoint(const std::string& pickle,
                              const std::string& data = std::string(24, '\0')) {
  return zip({{"x/data.pkl", pickle}, {"x/byteorder", "little"}, {"x/data/0", data}});
}

/// The file of one tensor of bytes and nothing else, as torch.save(tensor, path) makes it.
inline std::string file_of(const std::array<std::uint32_t, 3>& size, const std::string& bytes) {
  const std::string shape = integer(size[0]) + integer(size[1]) + integer(size[2]) + "\x87",
                    strides = integer(size[1] * size[2]) + integer(size[2]) + integer(1) + "\x87";
  const std::string stored = storage("0", static_cast<std::uint32_t>(bytes.size()), "ByteStorage");
  return checkpoint("\x80\x02" + name("torch._utils", "_rebuild_tensor_v2") + "(" + stored +
                        integer(0) + shape + strides + "\x89" + name("collections", "OrderedDict") +
                        ")RtR.",
                    bytes);
}

}  // namespace test::torch
