// What the programs of an ablation left, as one table. Needs libcsv.
#pragma once

#include <hlip/io/csv.hpp>
#include <hlip/systems/rad_dino/ablation_steps.hpp>

#include <map>
#include <string>
#include <vector>

HLIP_BEGIN

namespace detail {

/// Numbers by their titles, in the order in which they were read.
struct NamedNumbers {
  std::vector<AblationMetric> metrics;
  std::map<std::string, double> values;
  void add(const AblationMetric& metric, double value) {
    if (values.emplace(metric.title(), value).second) metrics.push_back(metric);
  }
  double at(const std::string& title) const {
    const auto it = values.find(title);
    return it == values.end() ? not_a_number : it->second;
  }
};

/// AUPRC of each finding in probe.csv; an empty field is not a number.
HLIP_LAZY void read_probe(const std::string& path, NamedNumbers& numbers) {
  const CsvTable table = read_csv(path, {"finding", "auprc"});
  const int finding = table.column("finding"), auprc = table.column("auprc");
  for (std::size_t r = 0; r < table.rows(); ++r)
    if (const std::string name(table.at(r, finding)); name != "macro")
      numbers.add({"AUPRC", name}, table.at(r, auprc).empty()
                                       ? not_a_number
                                       : table_number<double>(table, r, auprc));
}

/// Dice of each structure in dice_summary.csv that is asked for, over the pictures that have it.
HLIP_LAZY void read_dice(const std::string& path, const std::vector<std::string>& structures,
                         NamedNumbers& numbers) {
  const CsvTable table = read_csv(path, {"structure", "class", "dice_present"});
  const int structure = table.column("structure"), part = table.column("class"),
            dice = table.column("dice_present");
  for (const auto& name : structures) {
    std::size_t r = 0;
    while (r < table.rows() && (table.at(r, structure) != name || !table.at(r, part).empty())) ++r;
    if (r == table.rows()) fail_file(path, "", "has no line for {}", quote_text(name));
    numbers.add({"Dice", name}, table.at(r, dice).empty() ? not_a_number  // no picture has it
                                                          : table_number<double>(table, r, dice));
  }
}

/// The mean of what these titles name; "AUPRC *" names all of `common`.
HLIP_LAZY double mean_of(const NamedNumbers& numbers, const std::vector<std::string>& titles,
                         const std::vector<std::string>& common) {
  std::vector<double> values;
  for (const auto& title : titles)
    if (title == "AUPRC *")
      for (const auto& each : common) values.push_back(numbers.at(each));
    else values.push_back(numbers.at(title));
  double sum = 0;
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

}  // namespace detail

/// The table of an ablation, and findings that are in no mean because a probe has no number for
/// them.
struct AblationResults {
  AblationTable table;
  std::vector<std::string> left_out;
};

/// Reads what the steps of an ablation made.
/// @throws hlip::error naming the file and the line of what is not there or no number
HLIP_LAZY AblationResults read_ablation(const Ablation& ablation, const AblationRun& run) {
  using detail::NamedNumbers;
  const auto seeds = static_cast<std::size_t>(run.seeds);
  std::vector<std::vector<NamedNumbers>> all;  // by variant and seed
  for (const auto& variant : ablation.variants) {
    all.emplace_back(seeds);
    for (std::size_t s = 0; s < seeds; ++s) {
      const std::string folder = run.folder_of(run.seed + s, variant.name);
      if (!ablation.masks.empty())
        detail::read_dice(folder + "/masks/dice_summary.csv", ablation.masks, all.back()[s]);
      detail::read_probe(folder + "/probe/probe.csv", all.back()[s]);
    }
  }
  std::vector<AblationMetric> metrics;
  for (const auto& number : ablation.numbers) metrics.push_back(number.metric);
  std::vector<std::string> variants, common, left_out;
  for (const auto& v : ablation.variants) variants.push_back(v.name);
  for (const auto& metric : all.at(0).at(0).metrics) {
    metrics.push_back(metric);
    if (metric.quantity != "AUPRC") continue;
    bool everywhere = true;
    for (const auto& of_variant : all)
      for (const auto& numbers : of_variant)
        everywhere = everywhere && !std::isnan(numbers.at(metric.title()));
    (everywhere ? common : left_out).push_back(everywhere ? metric.title() : metric.name);
  }
  const auto reference = std::find(variants.begin(), variants.end(), ablation.reference);
  AblationTable table(variants, static_cast<std::size_t>(reference - variants.begin()), metrics,
                      seeds);
  for (std::size_t v = 0; v < all.size(); ++v)
    for (std::size_t s = 0; s < seeds; ++s)
      for (std::size_t m = 0; m < metrics.size(); ++m) {
        const NamedNumbers& numbers = all[v][s];
        if (m >= ablation.numbers.size()) {
          table.at(v, m, s) = numbers.at(metrics[m].title());
          continue;
        }
        const AblationNumber& made = ablation.numbers[m];
        table.at(v, m, s) = detail::mean_of(numbers, made.of, common) -
                            (made.less.empty() ? 0 : detail::mean_of(numbers, made.less, common));
      }
  return {std::move(table), std::move(left_out)};
}

HLIP_END
