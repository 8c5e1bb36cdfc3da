// What somebody has found of variants, as something that the numbers of a table can answer.
#pragma once

#include <hlip/eval/ablation_table.hpp>

#include <limits>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// Where the difference of two variants in a metric is expected.
struct AblationExpectation {
  std::string says;          ///< in words
  std::string above, below;  ///< variants: the first less the second
  std::string metric;        ///< its title
  /// above 0 means better; from -0.05 to 0.05, hardly a change
  Interval expected = {0, std::numeric_limits<double>::infinity()};
};

/// What the numbers say to it: the whole interval of the difference is where it was expected, or
/// none of it is; or they cannot tell.
enum class Agreement { agrees, undecided, disagrees };

inline std::string_view to_string(Agreement a) {
  return a == Agreement::agrees ? "agrees" : a == Agreement::disagrees ? "disagrees" : "undecided";
}

/// @throws hlip::error for a variant or metric that the table has not
HLIP_LAZY PairedDifference difference_of(const AblationTable& table, const AblationExpectation& e) {
  return table.difference(table.variant(e.above), table.variant(e.below), table.metric(e.metric));
}

/// @throws hlip::error as difference_of
HLIP_LAZY Agreement agreement(const AblationTable& table, const AblationExpectation& e) {
  const Interval found = difference_of(table, e).interval;
  return found.low > e.expected.low && found.high < e.expected.high   ? Agreement::agrees
         : found.high < e.expected.low || found.low > e.expected.high ? Agreement::disagrees
                                                                      : Agreement::undecided;
}

/// "AUPRC Tube, 64px less 32px: +0.120 (+0.080 to +0.160), expected above 0"
HLIP_LAZY std::string found_text(const AblationTable& table, const AblationExpectation& e) {
  const std::string where = std::isinf(e.expected.high)
                                ? fmt::format("above {:g}", e.expected.low)
                                : fmt::format("between {:g} and {:g}", e.expected.low,
                                              e.expected.high);
  return fmt::format("{}, {} less {}: {}, expected {}", e.metric, e.above, e.below,
                     AblationTable::difference_cell(difference_of(table, e)), where);
}

/// "2 of 3 agree, 1 undecided"
HLIP_LAZY std::string agreements_text(const AblationTable& table,
                                      const std::vector<AblationExpectation>& all) {
  std::size_t counts[3] = {};
  for (const auto& e : all) ++counts[static_cast<std::size_t>(agreement(table, e))];
  std::string text = fmt::format("{} of {} agree", counts[0], all.size());
  if (counts[1] > 0) text += fmt::format(", {} undecided", counts[1]);
  if (counts[2] > 0) text += fmt::format(", {} disagree", counts[2]);
  return text;
}

HLIP_END
