// Looks at everything in a CT-RATE tree before anybody trains on it: files, geometry, intensity,
// reports, duplicates, leaks between splits. Needs libcsv, zlib, nlohmann_json and utf8proc.
#pragma once

#include <hlip/core/worker_thread.hpp>
#include <hlip/datasets/ct_rate/load_volume.hpp>
#include <hlip/imaging/plausible_ct.hpp>
#include <hlip/text/report_look.hpp>
#include <hlip/text/wordpiece.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Something to know about a data set. Faults should be repaired before training; warnings are for
/// a person to judge.
struct DataFinding {
  bool fault = false;
  std::string kind;   ///< "file", "geometry", "intensity", "report", "duplicate", "leak"
  std::string where;  ///< volume, study or patient
  std::string what;
  friend bool operator<(const DataFinding& a, const DataFinding& b) {
    return std::tie(b.fault, a.kind, a.where, a.what) < std::tie(a.fault, b.kind, b.where, b.what);
  }
};

/// What was seen of one volume.
struct VolumeLook {
  std::string split, study, name, orientation;
  bool read = false;  ///< to its last voxel; the rest is only known then
  Shape shape{0, 0, 0};
  std::array<double, 3> spacing{};  ///< (D, H, W) in mm, as training uses it
  HuRange range;
  std::array<std::uint64_t, 2> hash{};  ///< of shape and HU: the same however they are stored
};

/// Counts of one split.
struct SplitLook {
  std::string name;
  std::size_t studies = 0, volumes = 0, absent = 0, labelled = 0, with_report = 0;
  index_t longest_report = 0, cut_reports = 0;  ///< tokens; reports that do not fit
};

/// How a tree is checked.
struct DataCheckOptions {
  std::vector<std::string> splits = {"train", "valid"};
  bool already_hu = false, allow_absent = false;
  int threads = 1;  ///< volumes in memory at a time
  /// for the length of reports; none: lengths are not looked at
  std::shared_ptr<const WordPieceTokenizer> tokenizer;
  index_t context_length = 512;
  NiftiOptions nifti;
};

/// Everything found, findings sorted with faults first.
struct DataCheck {
  std::string root;
  std::vector<SplitLook> splits;
  std::vector<VolumeLook> volumes;
  std::vector<DataFinding> findings;
  std::size_t faults() const {
    return static_cast<std::size_t>(
        std::count_if(findings.begin(), findings.end(), [](const auto& f) { return f.fault; }));
  }
};

namespace detail {

/// A sum over numbers in their order; two of 64 bits, so that equal sums mean equal contents.
class ContentHash {
 public:
  void add(std::uint64_t word) {
    a_ = std::rotl((a_ ^ word) * 0x9E3779B97F4A7C15u, 31);
    b_ = std::rotl((b_ + word) * 0xC2B2AE3D27D4EB4Fu, 29) ^ (word << 7);
  }
  std::array<std::uint64_t, 2> value() const { return {a_ ^ (a_ >> 32), b_ ^ (b_ >> 29)}; }

 private:
  std::uint64_t a_ = 0x243F6A8885A308D3u, b_ = 0x13198A2E03707344u;
};

/// Reads a volume once, to its end.
template <class Add>
void look_at_volume(const CtRateVolume& recon, const DataCheckOptions& options, VolumeLook& look,
                    Add add) {
  CtPreset preset;
  preset.already_hu = options.already_hu;
  const CtScan scan = open_ct_rate_volume(recon, preset, options.nifti);
  look.shape = scan.shape();
  look.spacing = scan.frame.spacing;
  look.orientation = scan.frame.orientation_known ? orientation_code(scan.frame.affine) : "unknown";
  for (const auto& w : scan.frame.warnings) add(false, "geometry", w);
  HuCounter counter;
  ContentHash hash;
  for (int d = 0; d < 3; ++d) hash.add(static_cast<std::uint64_t>(look.shape[d]));
  std::vector<float> hu(1 << 16);
  index_t odd = 0;
  for (index_t at = 0, total = look.shape.numel(), step = static_cast<index_t>(hu.size());
       at < total; at += step) {
    const index_t n = std::min(step, total - at);
    odd += scan.hounsfield(at, n, hu.data());
    counter.add(hu.data(), n);
    for (index_t i = 0; i < n; ++i)
      hash.add(std::bit_cast<std::uint32_t>(hu[static_cast<std::size_t>(i)]));
  }
  look.range = counter.range();
  look.hash = hash.value();
  look.read = true;
  if (odd > 0) add(false, "intensity", fmt::format("{} voxels are not finite", odd));
  for (const auto& oddity : ct_oddities(look.range, look.shape, scan.frame))
    add(oddity.fault, oddity.kind, oddity.what);
}

template <class Add>
void look_at_study_report(const CtRateStudy& study, const DataCheckOptions& options,
                          SplitLook& split, Add add) {
  std::string whole, raw = study.impression + "\n" + study.findings;
  for (const auto& part : study.report)
    whole.append(whole.empty() ? "" : " ").append(clean_report(part));
  if (whole.empty()) return add(true, "is empty");
  ++split.with_report;
  const auto look = look_at_report(raw);
  if (look.replaced > 0)
    add(false, fmt::format("{} characters were lost before it came here (U+FFFD)", look.replaced));
  if (look.misdecoded > 0)
    add(false,
        fmt::format("{} letters look as if UTF-8 was read as another encoding", look.misdecoded));
  if (look.controls > 0)
    add(false, fmt::format("holds {} control characters, which are left out", look.controls));
  if (look.entities > 0)
    add(false, fmt::format("holds {} HTML entities, which are replaced", look.entities));
  if (!options.tokenizer) return;
  const auto tokens = static_cast<index_t>(options.tokenizer->encode_unpadded(whole).size());
  split.longest_report = std::max(split.longest_report, tokens);
  if (tokens <= options.context_length) return;
  ++split.cut_reports;
  add(false, fmt::format("has {} tokens, and is cut after {}", tokens, options.context_length));
}

/// Volumes with the same contents, and patients that are in two splits.
HLIP_LAZY void look_for_duplicates(DataCheck& check) {
  std::map<std::array<std::uint64_t, 2>, const VolumeLook*> first;
  std::map<std::string, std::set<std::string>> splits_of;
  for (const auto& v : check.volumes) {
    if (const auto name = parse_ct_rate_name(v.name)) splits_of[name->patient].insert(v.split);
    if (!v.read) continue;
    const auto [at, inserted] = first.emplace(v.hash, &v);
    if (inserted) continue;
    const auto& other = *at->second;
    if (other.split != v.split)
      check.findings.push_back(
          {true, "leak", v.name,
           fmt::format("has the same voxels as {} of split {}", other.name, other.split)});
    else
      check.findings.push_back({other.study != v.study, "duplicate", v.name,
                                fmt::format("has the same voxels as {}", other.name)});
  }
  for (const auto& [patient, splits] : splits_of)
    if (splits.size() > 1) {
      std::string list;
      for (const auto& s : splits) list.append(list.empty() ? "" : ", ").append(s);
      check.findings.push_back({true, "leak", patient, "is a patient of several splits: " + list});
    }
  std::map<std::string, std::size_t> orientations;
  for (const auto& v : check.volumes)
    if (v.read) ++orientations[v.orientation];
  if (orientations.size() < 2) return;
  std::string list;
  for (const auto& [code, count] : orientations)
    list += fmt::format("{}{} {}", list.empty() ? "" : ", ", count, code);
  check.findings.push_back(
      {false, "geometry", check.root,
       fmt::format("volumes lie differently ({}), and training does not turn them", list)});
}

}  // namespace detail

/// Opens every file of a tree and looks at all of it.
/// @param progress called as progress(volumes done, all) by one thread at a time
/// @return what was found; nothing is thrown for faults of the data
template <class Progress>
DataCheck check_ct_rate(const std::string& root, const DataCheckOptions& options,
                        Progress progress) {
  // One function: what is found out about one volume after the other, and the sums.
  DataCheck check;
  check.root = root;
  std::vector<CtRateVolume> recons;
  for (const auto& split : options.splits) {
    CtRateOptions reading;
    // so that the volumes of a study without a report are looked at as well
    reading.need_reports = false;
    reading.already_hu = options.already_hu;
    reading.allow_absent = options.allow_absent;
    reading.check = VolumeCheck::exists;
    const CtRateDataset data = read_ct_rate(root, split, reading);
    for (const auto& problem : data.problems)
      check.findings.push_back({true, "file", split, problem});
    SplitLook look;
    look.name = split;
    look.studies = data.studies.size();
    look.absent = data.absent;
    const bool any_report = std::any_of(data.studies.begin(), data.studies.end(),
                                        [](const auto& s) { return !s.report.empty(); });
    if (!any_report) check.findings.push_back({true, "report", split, "has no report at all"});
    for (const auto& study : data.studies) {
      look.labelled += !study.labels.empty();
      for (const auto& recon : study.recons) {
        ++look.volumes;
        recons.push_back(recon);
        check.volumes.push_back({split, study.name, recon.name, "", false, {0, 0, 0}, {}, {}, {}});
      }
      if (any_report)
        detail::look_at_study_report(
            study, options, look, [&](bool fault, const std::string& what) {
              check.findings.push_back({fault, "report", study.name, what});
            });
    }
    if (look.labelled > 0 && look.labelled < look.studies)
      check.findings.push_back({false, "file", split,
                                fmt::format("{} of {} studies have no labels",
                                            look.studies - look.labelled, look.studies)});
    check.splits.push_back(look);
  }

  std::atomic<std::size_t> next{0};
  std::size_t done = 0;
  std::mutex lock;
  const auto work = [&] {
    use_one_openmp_thread();  // volumes side by side
    for (std::size_t i = next++; i < recons.size(); i = next++) {
      std::vector<DataFinding> own;
      const auto add = [&](bool fault, std::string_view kind, const std::string& what) {
        own.push_back({fault, std::string(kind), recons[i].name, what});
      };
      try {
        detail::look_at_volume(recons[i], options, check.volumes[i], add);
      } catch (const std::bad_alloc&) {
        add(true, "file", "there is not enough memory to read it; try fewer threads");
      } catch (const std::exception& e) {
        add(true, "file", e.what());
      }
      const std::lock_guard guard(lock);
      for (auto& f : own) check.findings.push_back(std::move(f));
      progress(++done, recons.size());
    }
  };
  std::vector<std::thread> workers;
  try {
    for (int t = 0; t < std::max(1, options.threads); ++t) workers.emplace_back(work);
  } catch (const std::system_error&) {  // the machine gives fewer threads: those do the same work
    if (workers.empty()) work();
  }
  for (auto& w : workers) w.join();
  detail::look_for_duplicates(check);
  std::sort(check.findings.begin(), check.findings.end());
  return check;
}

HLIP_END
