// What a probe was worth, as JSON. Needs nlohmann_json.
#pragma once

#include <hlip/eval/probe_table.hpp>
#include <hlip/io/json.hpp>

#include <cmath>
#include <utility>

HLIP_BEGIN

namespace detail {
/// {"auprc": {"mean", "sd", "low", "high"}, "auroc": …}; null where there is no number.
HLIP_LAZY Json probe_row_json(const ProbeTable::Row& r) {
  const auto number = [](double v) { return std::isnan(v) ? Json() : Json(v); };
  const auto metric = [&](const MeanSd& m, const Interval& i) {
    return Json{{"mean", number(m.mean)},
                {"sd", number(m.sd)},
                {"low", number(i.low)},
                {"high", number(i.high)}};
  };
  return {{"auprc", metric(r.auprc, r.auprc_interval)},
          {"auroc", metric(r.auroc, r.auroc_interval)}};
}
}  // namespace detail

/// Every number of a table: "encoder", "macro", "left_out", and "findings" in the order of its
/// rows. An undefined number, and the note of an interval that has none, is null.
HLIP_LAZY Json probe_json(const ProbeTable& table) {
  Json out = {{"encoder", table.encoder()},
              {"macro", detail::probe_row_json(table.macro())},
              {"left_out", table.left_out()}};
  for (const auto& r : table.rows()) {
    Json f = detail::probe_row_json(r);
    f["finding"] = r.name, f["positives"] = r.positives, f["negatives"] = r.negatives;
    f["interval_note"] = r.note().empty() ? Json() : Json(r.note());
    out["findings"].push_back(std::move(f));
  }
  return out;
}

HLIP_END
