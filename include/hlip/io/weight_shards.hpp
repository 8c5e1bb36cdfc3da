// Weights as Hugging Face keeps them: one file, or several and an index that says which tensor is
// in which. Needs nlohmann_json, libdeflate and zlib.
#pragma once

#include <hlip/io/weights_file.hpp>

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

/// The tensors of all shards under their names: a source for load_state_dict. All files are opened
/// and checked at once, none is read before it is used.
class WeightShards {
 public:
  /// The first of model.safetensors.index.json, model.safetensors, pytorch_model.bin.index.json and
  /// pytorch_model.bin that lies in the folder.
  /// @param access of the files; copy_on_write for `mapped`
  /// @throws hlip::error naming the file: a shard that is missing, or a tensor that is not in
  /// its shard
  HLIP_LAZY explicit WeightShards(const std::string& folder, MapAccess access = MapAccess::read) {
    for (const char* name : {"/model.safetensors", "/pytorch_model.bin"}) {
      if (const std::string index = folder + name + ".index.json"; is_file(index)) {
        open_shards(folder, index, access);
        return;
      }
      if (is_file(folder + name)) {
        path_ = folder + name;
        files_.push_back(open_weights(path_, access));
        for (const std::string& tensor : files_[0].names()) place_.emplace(tensor, 0);
        collect();
        return;
      }
    }
    fail_file(folder, "",
              "has neither model.safetensors nor pytorch_model.bin, nor an index of shards of "
              "either (model.safetensors.index.json)");
  }

  /// The index, or the one file.
  const std::string& path() const { return path_; }
  std::size_t files() const { return files_.size(); }
  /// Names of all tensors, sorted.
  const std::vector<std::string>& names() const { return names_; }
  bool contains(const std::string& name) const { return place_.count(name) != 0; }
  /// The file that holds a tensor. @throws hlip::error when none does
  HLIP_LAZY const TensorFile& file(const std::string& name) const {
    const auto at = place_.find(name);
    if (at == place_.end()) fail_file(path_, "", "has no tensor {}", quote_text(name));
    return files_[at->second];
  }
  const StoredTensor& info(const std::string& name) const { return file(name).info(name); }
  template <Element T, class B = Cpu> Tensor<T, B> tensor(const std::string& name) const {
    return file(name).tensor<T, B>(name);
  }
  template <Element T> Tensor<T, Cpu> mapped(const std::string& name) const {
    return file(name).mapped<T>(name);
  }

 private:
  HLIP_LAZY void open_shards(const std::string& folder, const std::string& index,
                             MapAccess access) {
    path_ = index;
    const Json json = read_json(index, {.max_bytes = std::size_t{1} << 26});
    if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object())
      fail_file(index, "weight_map", "is not there, or no object");
    std::map<std::string, std::size_t> number;  // of a file
    for (const auto& [tensor, file] : json["weight_map"].items()) {
      if (!file.is_string())
        fail_file(index, quote_text(tensor), "is {}, expected the name of a file", file.dump());
      const std::string shard = file.template get<std::string>();
      if (shard.empty() || shard.find('/') != shard.npos || shard[0] == '.')
        fail_file(index, quote_text(tensor), "is in {}, expected a file beside the index",
                  quote_text(shard));
      const auto [place, fresh] = number.emplace(shard, files_.size());
      const std::string path = folder + "/" + shard;
      if (fresh) {
        if (!is_file(path))
          fail_file(path, "", "is not there; {} says that it holds {}", index, quote_text(tensor));
        files_.push_back(open_weights(path, access));
      }
      if (!files_[place->second].contains(tensor))
        fail_file(path, quote_text(tensor), "is not in this shard; {} says it is", index);
      place_.emplace(tensor, place->second);
    }
    collect();
  }
  void collect() {
    for (const auto& [name, file] : place_) names_.push_back(name);
  }

  std::string path_;
  std::vector<TensorFile> files_;
  std::map<std::string, std::size_t> place_;  // name → number of its file
  std::vector<std::string> names_;
};

HLIP_END
