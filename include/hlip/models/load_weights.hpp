// Loads weights that other programs wrote into our models: names as HLIP, open_clip, peft, timm and
// Hugging Face spell them.
#pragma once

#include <hlip/models/clip.hpp>
#include <hlip/models/convert_2d.hpp>
#include <hlip/nn/weights.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

namespace detail {

/// A name without what peft adds to it: the two levels around a model, and the one around an
/// adapted layer.
inline std::string name_without_lora(std::string name) {
  for (const std::string_view part : {"base_model.model.", "base_layer."})
    if (const auto at = name.find(part);
        at != std::string::npos && (at == 0 || name[at - 1] == '.'))
      name.erase(at, part.size());
  return name;
}

/// Weights saved without LoRA fit a module with it, and the other way round.
template <class M> void match_lora_names(M& module, NamedWeights& weights) {
  std::map<std::string, std::string> wanted;
  each_parameter(module, [&](const std::string& name, auto&) {
    wanted.emplace(name_without_lora(name), name);
  });
  weights.rename([&](const std::string& name) {
    const auto at = wanted.find(name_without_lora(name));
    return at == wanted.end() ? name : at->second;
  });
}

/// Fills a table of positions from one of another size. `resized(table)` gives it the size of the
/// parameter.
template <class M, class Resized>
void load_resized(M& module, const NamedWeights& weights, const std::string& name,
                  LoadReport& report, Resized resized) {
  using T = typename M::value_type;
  using B = typename M::backend;
  each_parameter(module, [&](const std::string& own, auto& p) {
    if (own != name || !weights.contains(name)) return;
    const Shape from = weights.info(name).shape, to = p.shape();
    if (from == to || from.rank() != to.rank() || from.back() != to.back() || from.numel() == 0)
      return;
    const Tensor<T, B> table = resized(weights.template tensor<T, B>(name));
    if (!(table.shape() == to)) return;
    p.value().assign(table);
    std::erase_if(report.mismatched,
                  [&](const std::string& entry) { return entry.starts_with(name + " "); });
    report.resized.push_back(fmt::format("{} {} → {}", name, to_string(from), to_string(to)));
  });
}

}  // namespace detail

/// Loads a joint model. Tables of positions are resized where the sizes differ; the scans' keeps
/// its first rows. A text pooler is left out.
/// @param map makes the parameters be the file's own memory (see map_state_dict)
/// @return what was missing, unexpected or of another shape: for the caller to judge
template <int Levels, class T, class B>
LoadReport load_clip_weights(Clip<Levels, T, B>& model, NamedWeights& weights, bool map = false) {
  weights.leave_out("hlip pools the last hidden state itself", [](const std::string& name) {
    return name.find("text.transformer.") == 0 && name.find(".pooler.") != std::string::npos;
  });
  weights.leave_out("hlip counts positions itself", [](const std::string& name) {
    return name.ends_with("embeddings.position_ids");
  });
  detail::match_lora_names(model, weights);
  LoadReport report;
  if constexpr (std::is_same_v<B, Cpu>)
    report = map ? map_state_dict(model, weights, false) : load_state_dict(model, weights, false);
  else report = load_state_dict(model, weights, false);
  detail::load_resized(model, weights, "visual.trunk.spatial_posemb", report,
                       [&](const Tensor<T, B>& table) {
                         const Shape grid = model.config.vision.grid();
                         return resize_spatial(table, grid[0], grid[1], grid[2]);
                       });
  detail::load_resized(model, weights, "visual.trunk.sequential_posemb", report,
                       [&](const Tensor<T, B>& table) {
                         const index_t scans = model.config.vision.max_num_scans;
                         return resize_sequential(table, scans);
                       });
  return report;
}

/// Loads a BERT encoder as Hugging Face saves it: below "bert." in models with a head, with
/// LayerNorm.gamma and beta in old files.
/// @return as load_clip_weights
template <class T, class B> LoadReport load_bert_weights(Bert<T, B>& bert, NamedWeights& weights) {
  weights.select("bert.");
  weights.leave_out("hlip pools the last hidden state itself",
                    [](const std::string& name) { return name.starts_with("pooler."); });
  weights.leave_out("hlip counts positions itself",
                    [](const std::string& name) { return name == "embeddings.position_ids"; });
  weights.leave_out("the head of another task",
                    [](const std::string& name) { return name.starts_with("cls"); });
  weights.rename([](std::string name) {
    for (const auto& [old, now] :
         {std::pair<std::string_view, std::string_view>{"LayerNorm.gamma", "LayerNorm.weight"},
          {"LayerNorm.beta", "LayerNorm.bias"}})
      if (name.ends_with(old)) name.replace(name.size() - old.size(), old.size(), now);
    return name;
  });
  detail::match_lora_names(bert, weights);
  return load_state_dict(bert, weights, false);
}

/// Starts the visual trunk from a 2-D vision transformer (MAE, timm): see convert_2d.hpp. Heads and
/// decoders are left out.
/// @return as load_clip_weights; the table of scans has no counterpart and is not missing
/// @throws hlip::error when the file holds no such transformer, or one of another width
template <int Levels, class T, class B>
LoadReport load_image_weights(HlipVit<Levels, T, B>& trunk, NamedWeights& weights) {
  for (const char* name : {"cls_token", "pos_embed", "patch_embed.proj.weight"})
    if (!weights.contains(name))
      fail_file(weights.file().path(), name,
                "is not there, so these are no weights of a 2-D vision transformer as timm and MAE "
                "save them");
  const index_t dim = weights.info("cls_token").shape.back();
  if (dim != trunk.config.embed_dim)
    fail_file(weights.file().path(), "cls_token", "is {} wide, the model {}", dim,
              trunk.config.embed_dim);
  weights.leave_out("of no use to a 3-D encoder", [](const std::string& name) {
    return name != "cls_token" && name != "pos_embed" && !name.starts_with("patch_embed.proj.") &&
           !name.starts_with("blocks.") && !name.starts_with("norm.");
  });
  LoadReport report = load_2d_checkpoint(trunk, weights);
  std::erase(report.missing, "sequential_posemb");
  const Shape filter = weights.info("patch_embed.proj.weight").shape,
              table = weights.info("pos_embed").shape;
  const auto move = [&](const char* name, const std::string& entry) {
    if (std::erase(report.loaded, name) > 0) report.resized.push_back(entry);
  };
  move("patch_embed.proj.weight", fmt::format("patch_embed.proj.weight {} → {}", to_string(filter),
                                              to_string(trunk.patch_embed.proj.weight.shape())));
  move("spatial_posemb", fmt::format("pos_embed {} → spatial_posemb {}", to_string(table),
                                     to_string(trunk.spatial_posemb.shape())));
  return report;
}

/// Ends the attempt when nothing at all fitted: the file is then that of another model.
HLIP_LAZY void expect_some_loaded(const NamedWeights& weights, const LoadReport& report) {
  if (report.loaded.empty())
    fail_file(weights.file().path(), "", "holds nothing that fits the model\n{}",
              weights_table(weights, report));
}

HLIP_END
