// Kind torch_zip: PyTorch checkpoints beside the fixture, whose tensors are those of the fixture.
//
// An entry of `files` is a file name and, in brackets, what is different in it: the key that leads
// to the weights, "prefix P" of every name, "'.' replaced by '_'", "floating entries" when it holds
// no others.
#pragma once

#include "fixture.hpp"

#include <hlip/io/torch_file.hpp>
#include <hlip/nn/weights.hpp>

#include <filesystem>

namespace golden {

template <class B> void check_torch_zip(Fixture& f) {
  for (const auto& item : list_of(entry(f.config(), "files"), "files")) {
    if (!item.is_string()) fail("config", "files holds {}, expected text", item.dump());
    const auto text = item.get<std::string>(), file = text.substr(0, text.find(' '));
    const auto says = [&](const char* words) { return text.find(words) != std::string::npos; };
    std::string prefix;
    if (const auto at = text.find("prefix "); at != std::string::npos)
      prefix = text.substr(at + 7, text.find_first_of(",) ", at + 7) - at - 7);

    const TorchFile checkpoint((std::filesystem::path(f.path()).parent_path() / file).string());
    const std::string inside = wrapping_prefix(checkpoint.names());
    std::size_t compared = 0, weights = 0;
    for (const auto& name : checkpoint.names()) weights += name.starts_with(inside);
    for (const auto& name : f.file().names()) {
      const auto& want = f.file().info(name);
      const bool floating = want.dtype <= DType::BF16;
      if (says("floating entries") && !floating) continue;
      std::string stored = name;
      if (says("'.' replaced by '_'")) std::replace(stored.begin(), stored.end(), '.', '_');
      stored = inside + (inside.ends_with(prefix) ? "" : prefix) + stored;
      ++compared;
      if (!checkpoint.contains(stored)) {
        f.demand(false, "{} has no {}", file, stored);
        continue;
      }
      const auto& got = checkpoint.info(stored);
      f.demand(got.dtype == want.dtype && got.shape == want.shape,
               "{}: {} is {} {}, the fixture has {} {}", file, stored, dtype_name(got.dtype),
               to_string(got.shape), dtype_name(want.dtype), to_string(want.shape));
      if (!(got.shape == want.shape)) continue;
      double differing = 0;
      const auto a = checkpoint.values<double>(stored), b = f.reals(name);
      for (std::size_t i = 0; i < a.size(); ++i) differing += a[i] != b[i];
      f.note(file + " " + name, differing, 0);
    }
    f.demand(compared == weights, "{} holds {} tensors under '{}', expected {}", file, weights,
             inside, compared);
  }
}

}  // namespace golden
