// What train_ct_rate leaves behind for the page of its run: scores, embeddings, and examples of
// where the model looked.
#pragma once

#include <hlip/io/png.hpp>
#include <hlip/report/run_page.hpp>
#include <hlip/systems/hlip/interpret_ct.hpp>
#include <hlip/systems/hlip/zero_shot_ct.hpp>

#include <filesystem>
#include <string>
#include <vector>

HLIP_BEGIN

/// Writes the embeddings of at most `most` volumes, evenly chosen, and of their reports.
template <int Levels, class B>
void write_embeddings(const std::string& path, const Clip<Levels, float, B>& model,
                      const WordPieceTokenizer& tokenizer, const CtRateVolumes& volumes,
                      const ZeroShotScores& scores, index_t most = 300) {
  NoGrad guard;
  const index_t all = volumes.size(), n = std::min(all, most), dim = scores.features.dim(1);
  std::vector<std::int64_t> rows, text_of;
  std::vector<Tensor<float, Cpu>> images, texts;
  for (index_t k = 0; k < n; ++k) {
    const index_t i = k * all / n;
    rows.push_back(i);
    if (model.config.dual_text)
      images.push_back(on_backend<Cpu>(model
                                           .encode_image(Var<float, B>(on_backend<B>(
                                                             stack_volumes({volumes.get(i)}))),
                                                         {}, {}, model.config.report_output())
                                           .value())
                           .reshape({dim}));
    else images.push_back(scores.features.select(0, i));
    if (volumes.report(i).empty()) continue;
    text_of.push_back(k);
    texts.push_back(
        on_backend<Cpu>(model
                            .encode_text(on_backend<B>(pad_ids({tokenizer.encode_unpadded(
                                volumes.report(i), model.config.context_length)})))
                            .value())
            .reshape({dim}));
  }
  SafetensorsWriter file;
  file.add("image", stack(images, 0));
  file.add("text", texts.empty() ? Tensor<float, Cpu>::zeros({0, dim}) : stack(texts, 0));
  file.add("image_row", std::span<const std::int64_t>(rows), {n});
  file.add("text_of", std::span<const std::int64_t>(text_of),
           {static_cast<index_t>(text_of.size())});
  file.write(path);
}

/// Which volumes are worth a picture: the surest hits of the findings that are told apart best,
/// then the worst miss of the best one.
struct ReportExample {
  std::size_t volume = 0, finding = 0;
  bool hit = true;
};
HLIP_LAZY std::vector<ReportExample> choose_examples(const ZeroShotScores& s, std::size_t count) {
  const std::size_t C = s.findings.size();
  const auto table = s.table();
  std::vector<std::size_t> order(C);
  for (std::size_t c = 0; c < C; ++c) order[c] = c;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return table.rows()[a].metrics.auc > table.rows()[b].metrics.auc;
  });
  const auto extreme = [&](std::size_t c, bool highest) {  // among the volumes with the finding
    std::size_t best = s.volumes.size();
    for (std::size_t i = 0; i < s.volumes.size(); ++i)
      if (s.labels[i * C + c] == 1 &&
          (best == s.volumes.size() || (highest ? s.scores[i * C + c] > s.scores[best * C + c]
                                                : s.scores[i * C + c] < s.scores[best * C + c])))
        best = i;
    return best;
  };
  std::vector<ReportExample> out;
  if (count == 0) return out;
  for (std::size_t k = 0; k < C && out.size() + 1 < std::max<std::size_t>(count, 2); ++k)
    if (const auto i = extreme(order[k], true); i < s.volumes.size())
      out.push_back({i, order[k], true});
  if (C > 0)
    if (const auto i = extreme(order[0], false); i < s.volumes.size())
      out.push_back({i, order[0], false});
  if (out.size() > count) out.resize(count);
  return out;
}

namespace detail {
/// How a volume lies and which of its slices the input shows, if its file is still there and says
/// so.
struct SeenVolume {
  MontageView view;
  std::vector<index_t> slices;
};
HLIP_LAZY SeenVolume look_up(const CtRateVolume& volume, const CtPreset& preset) {
  if (!is_file(volume.path)) return {};
  const auto header = inspect_nifti(volume.path, false).header;
  const auto& geometry = header.geometry;
  return {montage_view(geometry.affine, geometry.orientation_known),
          scan_slices(ct_input_grid(
              header.shape(), volume.has_metadata ? volume.spacing : geometry.spacing, preset))};
}
}  // namespace detail

/// Draws examples as PNG files into `folder`. @return the entries of summary.json: caption and
/// picture
template <class B>
Json write_examples(const std::string& folder, const Clip<3, float, B>& model,
                    const ZeroShotClassifier& classifier, const CtRateVolumes& volumes,
                    const ZeroShotScores& scores, const CtPreset& preset, std::size_t count) {
  Json list = Json::array();
  for (const auto& e : choose_examples(scores, count)) {
    const auto input = volumes.get(static_cast<index_t>(e.volume));
    const std::size_t C = scores.findings.size();
    const std::vector<double> p(
        scores.scores.begin() + static_cast<std::ptrdiff_t>(e.volume * C),
        scores.scores.begin() + static_cast<std::ptrdiff_t>((e.volume + 1) * C));
    const auto seen = detail::look_up(volumes.source(static_cast<index_t>(e.volume)), preset);
    Montage m = ct_montage(classifier, p, e.finding, input, preset,
                           relevance_by_level(model, classifier, input, e.finding), seen.view,
                           seen.slices);
    m.most_layers = 6, m.panel = 192;
    const Picture picture = draw_montage(m);
    const auto name = fmt::format("example_{}.png", list.size() + 1);
    atomic_write(folder + "/" + name,
                 encode_png(picture.pixels(), static_cast<std::size_t>(picture.width()),
                            static_cast<std::size_t>(picture.height())));
    list.push_back(
        {{"picture", name},
         {"caption",
          fmt::format("{}: {}, {} {:.3f}", scores.volumes[e.volume], scores.findings[e.finding],
                      e.hit ? "present, the highest probability of all volumes that have it:"
                            : "present, the lowest probability of all volumes that have it:",
                      p[e.finding])}});
  }
  return list;
}

HLIP_END
