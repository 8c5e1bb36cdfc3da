// Training annotations, {study: {"recons": [volume, ...], "report": [sentence, ...]}} and its
// relatives. Needs nlohmann_json.
#pragma once

#include <hlip/data/problems.hpp>
#include <hlip/io/json.hpp>

#include <string>
#include <vector>

HLIP_BEGIN

/// One study of an annotation file.
struct StudyAnnotation {
  std::string study;
  std::vector<std::string> scans, report;
};

/// True when joining `name` to a folder stays inside that folder.
inline bool is_inside_name(std::string_view name) {
  if (name.empty() || name.front() == '/' || name.find('\\') != name.npos ||
      name.find('\0') != name.npos)
    return false;
  for (std::size_t at = 0; at <= name.size();) {
    const auto end = std::min(name.find('/', at), name.size());
    if (name.substr(at, end - at) == "..") return false;
    at = end + 1;
  }
  return true;
}

namespace detail {

/// The texts of a list; notes what is not a text.
HLIP_LAZY std::vector<std::string> text_list(const Json& list, const std::string& place,
                                             FileProblems& problems) {
  std::vector<std::string> out;
  for (const auto& item : list) {
    if (item.is_string()) out.push_back(item.get<std::string>());
    else
      problems.add([&] {
        return fmt::format("{} holds {}, expected text", place, quote_text(item.dump()));
      });
  }
  return out;
}

}  // namespace detail

/// The studies of an annotation file, sorted by name. Scans stand in a list under "recons" or
/// "scans", or are the keys under "series"; the report is a list of texts or one text. Studies with
/// a fault are left out, and the first faults are added to `problems`.
/// @param need_reports a study without a report is a fault; otherwise it only has none
/// @throws hlip::error when the file is not a JSON object
HLIP_LAZY std::vector<StudyAnnotation> study_annotations(const Json& root, const std::string& path,
                                                         Problems& problems,
                                                         bool need_reports = true) {
  if (!root.is_object())
    fail_file(path, "", "is a JSON {}, expected an object of studies", root.type_name());
  std::vector<StudyAnnotation> out;
  FileProblems faults(problems, path);
  for (const auto& [name, entry] : root.items()) {
    const auto place = fmt::format("study {}", quote_text(name));
    const std::size_t before = faults.count();
    const auto wrong = [&](const char* fault) { faults.add([&] { return place + ": " + fault; }); };
    StudyAnnotation study;
    study.study = name;
    if (!is_inside_name(name)) wrong("the name leads out of the data folder");
    if (!entry.is_object()) {
      wrong("is not an object");
      continue;
    }
    const char* key = entry.contains("recons")  ? "recons"
                      : entry.contains("scans") ? "scans"
                                                : "series";
    if (!entry.contains(key)) wrong("has no scans (\"recons\", \"scans\" or \"series\")");
    else if (entry[key].is_array())
      study.scans = detail::text_list(entry[key], place + ": " + key, faults);
    else if (entry[key].is_object())
      for (const auto& [scan, ignored] : entry[key].items()) study.scans.push_back(scan);
    else wrong("its scans are not a list");
    if (entry.contains(key) && study.scans.empty() && faults.count() == before)
      wrong("has no scans");
    for (const auto& scan : study.scans)
      if (!is_inside_name(scan))
        faults.add([&] {
          return fmt::format("{}: scan {} leads out of the data folder", place, quote_text(scan));
        });
    if (!entry.contains("report")) {
      if (need_reports) wrong("has no report");
    } else if (entry["report"].is_string())
      study.report = {entry["report"].template get<std::string>()};
    else if (entry["report"].is_array())
      study.report = detail::text_list(entry["report"], place + ": report", faults);
    else wrong("its report is not a list of texts");
    if (need_reports && entry.contains("report") && study.report.empty() &&
        faults.count() == before)
      wrong("its report is empty");
    if (faults.count() == before) out.push_back(std::move(study));
  }
  return out;
}

HLIP_END
