// Kind pretrained_text: the last hidden states of a published encoder, whose folder (config.json,
// weights) a Python package carries.
#pragma once

#include "fixture.hpp"

#include <hlip/models/hf_text_model.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

namespace golden {

/// The folder of the model in an installed Python package: HLIP_TEXT_MODEL names it, or it is found
/// where the Pythons on PATH keep their packages. Empty when there is none.
inline std::string package_model(std::string package) {
  namespace fs = std::filesystem;
  const auto variable = [](const char* name) {
    return std::string(std::getenv(name) ? std::getenv(name) : "");
  };
  if (const std::string given = variable("HLIP_TEXT_MODEL"); !given.empty()) return given;
  std::replace(package.begin(), package.end(), '-', '_');
  std::string places = variable("PATH");
  if (const std::string home = variable("HOME"); !home.empty())
    places += ":" + home + "/.local/bin";
  std::error_code ignored;
  for (std::size_t begin = 0; begin <= places.size();) {
    const std::size_t end = std::min(places.find(':', begin), places.size());
    const fs::path lib = fs::path(places.substr(begin, end - begin)).parent_path() / "lib";
    for (const auto& python : fs::directory_iterator(lib, ignored))
      for (const char* packages : {"site-packages", "dist-packages"}) {
        const auto folder = python.path() / packages / package / "model";
        if (python.path().filename().string().starts_with("python3") &&
            fs::is_regular_file(folder / "config.json", ignored))
          return folder.string();
      }
    begin = end + 1;
  }
  return "";
}

template <class B> void check_pretrained_text(Fixture& f) {
  const Json& package = entry(f.config(), "package");
  const std::string folder = package_model(package.is_string() ? package.get<std::string>() : "");
  if (folder.empty())
    fail_file(f.path(), "",
              "needs the model of the Python package {}, which is not installed (hint: "
              "scripts/get_text_model.sh gets it, HLIP_TEXT_MODEL names its folder)",
              package.dump());
  const HfTextModel model(folder);
  Initializer without = Initializer::without_values();
  Bert<float, B> bert(model.config(), without);
  model.load(bert);

  const auto ids = f.indices<B>("input.ids");
  const index_t batch = ids.dim(0), length = ids.dim(1), dim = model.config().hidden_size;
  f.require("output.last_hidden", {batch, length, dim});
  auto hidden = bert(ids).value().to_vector();
  const auto tokens = ids.to_vector();
  const auto want = f.reals("output.last_hidden");
  for (std::size_t i = 0; i < hidden.size(); ++i)  // what stands at padding means nothing
    if (tokens[i / static_cast<std::size_t>(dim)] == 0) hidden[i] = static_cast<float>(want[i]);
  f.compare("output.last_hidden", std::vector<double>(hidden.begin(), hidden.end()),
            {batch, length, dim}, pretrained);
}

}  // namespace golden
