// What probe_radiographs leaves in its folder: tables, JSON and a page.
#pragma once

#include "options.hpp"
#include "page.hpp"

#include <hlip/eval/finding_split.hpp>
#include <hlip/eval/probe_json.hpp>
#include <hlip/io/csv_text.hpp>
#include <hlip/io/file.hpp>

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

namespace probe {

/// What is to be learned from which pictures, and what there is to know about that.
struct Task {
  PictureTable table;
  std::vector<FindingLabels> findings;
  FindingSplit train, valid, test;
  std::vector<std::string> notes;

  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& f : findings) out.push_back(f.name);
    return out;
  }
};

/// A line for each encoder, seed and tested picture. @param seed of the first probe
inline std::string scores_csv(const Task& task, const std::vector<Probed>& probed,
                              std::uint64_t seed) {
  std::vector<std::string> header = {"encoder", "seed", "image"};
  for (const auto& f : task.findings) header.push_back(f.name);
  std::string text = csv_row(header);
  const std::size_t count = task.findings.size();
  for (const auto& p : probed)
    for (std::size_t s = 0; s < p.scores.size(); ++s)
      for (std::size_t i = 0; i < task.test.rows.size(); ++i) {
        std::vector<std::string> row = {p.table.encoder(), fmt::format("{}", seed + s),
                                        task.table.images[task.test.rows[i]]};
        for (std::size_t k = 0; k < count; ++k)
          row.push_back(fmt::format("{}", p.scores[s][i * count + k]));
        text += csv_row(row);
      }
  return text;
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// Name and value of what was done.
inline Pairs about(const Options& o, const Task& task, const std::vector<Probed>& probed) {
  std::string files, rates;
  for (const auto& p : probed)
    rates += fmt::format("{}{:g} ({})", rates.empty() ? "" : ", ", p.lr, p.table.encoder());
  for (const auto& f : o.features) files += (files.empty() ? "" : ", ") + f;
  return {{"features", files},
          {"labels", o.labels},
          {"pictures",
           fmt::format("{} to train, {} to test", task.train.rows.size(), task.test.rows.size())},
          {"probe", "one linear layer, mean binary cross-entropy, AdamW, cosine"},
          {"learning rate", rates},
          {"weight decay", fmt::format("{:g}", o.probe.weight_decay)},
          {"epochs", std::to_string(o.probe.epochs)},
          {"batch size", std::to_string(o.probe.batch_size)},
          {"features standardised", o.standardise ? "yes" : "no"},
          {"seeds", fmt::format("{} from {} on", o.seeds, o.seed)},
          {"intervals",
           fmt::format("95 %, {} bootstrap resamples of tested pictures", o.bootstrap.resamples)}};
}

inline void write_results(const Options& o, const Task& task, const std::vector<Probed>& probed) {
  const Pairs said = about(o, task, probed);
  std::string csv = ProbeTable::csv_header();
  Json json;
  for (const auto& [name, value] : said) json["about"][name] = value;
  json["notes"] = task.notes;
  json["tested_pictures"] = task.test.rows.size();
  for (const auto& p : probed) {
    csv += p.table.to_csv();
    Json encoder = probe_json(p.table);
    encoder["lr"] = p.lr;
    json["encoders"].push_back(std::move(encoder));
  }
  atomic_write(o.out + "/probe.csv", csv);
  atomic_write(o.out + "/probe.json", json.dump(2) + "\n");
  atomic_write(o.out + "/scores.csv", scores_csv(task, probed, o.seed));
  atomic_write(o.out + "/probe.html", page(probed, task.test.labels, said, task.notes));
  fmt::print("written: {0}/probe.csv, {0}/probe.json, {0}/scores.csv, {0}/probe.html\n",
             visible_text(o.out));
}

}  // namespace probe
