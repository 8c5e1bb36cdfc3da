// Entities and relations that RadGraph has found in reports, as triples for the F1 of facts. Needs
// nlohmann_json.
#pragma once

#include <hlip/eval/f1.hpp>
#include <hlip/io/json.hpp>
#include <hlip/text/words.hpp>

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

HLIP_BEGIN

/// Numbers for the texts of entities and for their labels. Triples of two files can be compared if
/// they were read with the same.
class RadgraphNumbers {
 public:
  /// The number of a text: the same one for the same text.
  std::int64_t operator()(const std::string& text) {
    return numbers_.emplace(text, static_cast<std::int64_t>(numbers_.size())).first->second;
  }

 private:
  std::unordered_map<std::string, std::int64_t> numbers_;
};

/// Reports by name, each with its (entity, label, has-relation) triples.
using RadgraphReports = std::map<std::string, std::vector<EntityTriple>>;

namespace detail {

inline const Json& radgraph_member(const Json& object, const char* name, Json::value_t type,
                                   const std::string& path, const std::string& place) {
  const auto at = object.find(name);
  if (at == object.end()) fail_file(path, place, "has no {}", quote_text(name));
  if (at->type() != type)
    fail_file(path, place, "{} is a JSON {}, expected {}", quote_text(name), at->type_name(),
              type == Json::value_t::object  ? "an object"
              : type == Json::value_t::array ? "a list"
                                             : "a text");
  return *at;
}

inline EntityTriple radgraph_triple(const Json& entity, RadgraphNumbers& numbers,
                                    const std::string& path, const std::string& place) {
  if (!entity.is_object())
    fail_file(path, place, "is a JSON {}, expected an object", entity.type_name());
  std::string tokens =
      radgraph_member(entity, "tokens", Json::value_t::string, path, place).get<std::string>();
  for (char& c : tokens) c = ascii_lower(c);
  const auto label =
      radgraph_member(entity, "label", Json::value_t::string, path, place).get<std::string>();
  const Json& relations = radgraph_member(entity, "relations", Json::value_t::array, path, place);
  return {numbers(tokens), numbers(label), relations.empty() ? 0 : 1};
}

}  // namespace detail

/// Triples of what RadGraph writes: {report: {"entities": {number: {"tokens": "effusion", "label":
/// "OBS-DP", "relations": [["located_at", "2"]]}}}}. Tokens are compared in lower case; an entity
/// has a relation if one leaves it. Other members are passed over.
/// @param path named in errors
/// @param numbers the same object for all files that are to be compared
/// @throws hlip::error with file, report and entity for whatever is not of this form, and for a
/// report named twice
/// Source: Jain et al., "RadGraph", 2021.
HLIP_LAZY RadgraphReports parse_radgraph(std::string_view text, const std::string& path,
                                         RadgraphNumbers& numbers, const JsonLimits& limits = {}) {
  RadgraphReports reports;
  each_json_member(text, path, limits, [&](const std::string& name, const Json& report) {
    const std::string place = "report " + quote_text(name);
    if (!report.is_object())
      fail_file(path, place, "is a JSON {}, expected an object", report.type_name());
    const auto [at, added] = reports.emplace(name, std::vector<EntityTriple>{});
    if (!added) fail_file(path, place, "is there twice");
    const Json& entities = detail::radgraph_member(report, "entities", Json::value_t::object, path,
                                                   place);
    for (const auto& [key, entity] : entities.items())
      at->second.push_back(
          detail::radgraph_triple(entity, numbers, path, place + ", entity " + quote_text(key)));
  });
  return reports;
}

/// Reads a file of RadGraph; see parse_radgraph.
HLIP_LAZY RadgraphReports read_radgraph(const std::string& path, RadgraphNumbers& numbers,
                                        const JsonLimits& limits = {}) {
  return parse_radgraph(read_file(path, limits.max_bytes), path, numbers, limits);
}

/// F1 of the facts of each generated report (RGER), in the order of the names; their mean is the
/// figure of tables, and a resample draws from them.
/// @return one for each report, 0 to 1; see triples_f1
/// @throws hlip::error if one of the two has a report that the other lacks
/// Source: Delbrouck et al., "Improving the Factual Correctness of Radiology Report Generation with
/// Semantic Rewards", 2022.
HLIP_LAZY std::vector<double> radgraph_f1(const RadgraphReports& reference,
                                          const RadgraphReports& hypothesis) {
  for (const auto* pair : {&reference, &hypothesis})
    for (const auto& [name, triples] : *pair) {
      const bool of_reference = pair == &reference;
      expect((of_reference ? hypothesis : reference).contains(name), "radgraph_f1",
             "report {} is among the {} alone", quote_text(name),
             of_reference ? "references" : "hypotheses");
    }
  std::vector<double> scores;
  for (const auto& [name, triples] : reference)
    scores.push_back(triples_f1(triples, hypothesis.at(name)));
  return scores;
}

HLIP_END
