// metrics.csv: one row a step, written through at once, so a killed run leaves at most one partial
// last line, and brought to disk before every checkpoint, so a machine that loses power keeps the
// rows up to it; and, where asked for, the same as TensorBoard events.
#pragma once

#include <hlip/io/event_file.hpp>
#include <hlip/io/file.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

/// What is logged of a step.
struct StepMetrics {
  std::string stage;
  std::int64_t step = 0;
  double loss = 0, lr = 0, grad_norm = 0;
  /// columns of their own, named without commas
  std::vector<std::pair<std::string, double>> others = {};
  double samples_per_second = 0, data_wait = 0;
  bool skipped = false;
};

/// Where the TensorBoard events of a stage go. Stages count their steps from 1, so each has a
/// folder.
struct EventStage {
  std::string stage;
  std::string folder;  ///< below that of the events: "text"
  std::string group;   ///< tags are GROUP/loss and so on
  /// step this run makes first: what an earlier run logged from there on is void; 0: nothing is
  std::int64_t first = 0;
};

/// Appends rows "stage,step,loss,lr,grad_norm,…,samples_per_second,data_wait,skipped". In place of
/// … stands a column for everything else that was ever logged in this file; rows of stages that do
/// not have it leave it empty.
class MetricsLog {
 public:
  /// Opens the file and drops rows a resumed run will write again: those for which `keep(stage,
  /// step)` is false, and a cut last line. A file with another header begins anew.
  template <class Keep> MetricsLog(const std::string& path, Keep keep) : path_(path) {
    std::string kept;
    if (is_file(path)) {
      const std::string text = read_file(path);
      std::size_t at = text.find('\n');
      if (at != std::string::npos && read_header(std::string_view(text).substr(0, at)))
        for (std::size_t end; (end = text.find('\n', ++at)) != std::string::npos; at = end) {
          const std::string line = text.substr(at, end - at);
          const std::size_t comma = line.find(','), second = line.find(',', comma + 1);
          if (comma == std::string::npos || second == std::string::npos) continue;
          if (keep(line.substr(0, comma), std::atoll(line.c_str() + comma + 1)))
            kept += line + "\n";
        }
    }
    atomic_write(path, header() + kept);
    open();
  }
  ~MetricsLog() {
    if (file_) std::fclose(file_);
  }
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;

  std::string header() const { return header_of(others_); }

  /// Also writes TensorBoard events: GROUP/loss and so on for each stage.
  HLIP_LAZY void report_to_tensorboard(const std::string& folder,
                                       const std::vector<EventStage>& stages) {
    if (::mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST)
      fail_file(folder, "", "cannot make the folder: {}", std::strerror(errno));
    for (const auto& s : stages)
      events_.push_back(
          {s.stage, s.group, std::make_unique<EventFile>(folder + "/" + s.folder, s.first)});
  }

  HLIP_LAZY void add(const StepMetrics& m) {
    widen(m);
    if (!file_) open();
    std::string row = fmt::format("{},{},{:.6g},{:.6g},{:.6g}", m.stage, m.step, m.loss, m.lr,
                                  m.grad_norm);
    for (const auto& name : others_) {
      row += ",";
      for (const auto& [column, value] : m.others)
        if (column == name) {
          row += fmt::format("{:.6g}", value);
          break;
        }
    }
    row += fmt::format(",{:.4g},{:.3f},{}\n", m.samples_per_second, m.data_wait, m.skipped ? 1 : 0);
    if (std::fwrite(row.data(), 1, row.size(), file_) != row.size() || std::fflush(file_) != 0)
      fail_file(path_, "", "cannot write");
    for (const auto& e : events_) {
      if (e.stage != m.stage) continue;
      for (const auto& [name, value] : {std::pair{"loss", m.loss},
                                        {"lr", m.lr},
                                        {"grad_norm", m.grad_norm},
                                        {"samples_per_second", m.samples_per_second},
                                        {"data_wait", m.data_wait}})
        e.file->add_scalar(e.group + "/" + name, value, m.step);
      for (const auto& [name, value] : m.others)
        e.file->add_scalar(e.group + "/" + name, value, m.step);
    }
  }
  /// Brings to disk what was added so far. @throws hlip::error when that fails
  HLIP_LAZY void sync() {
    if (!file_) open();
    if (std::fflush(file_) != 0 || ::fsync(::fileno(file_)) != 0)
      fail_file(path_, "", "cannot flush to disk: {}", std::strerror(errno));
    for (const auto& e : events_) e.file->sync();
  }
  /// A figure of the last stage that is no part of a row, for TensorBoard alone.
  void add_scalar(const std::string& tag, double value, std::int64_t step) {
    if (!events_.empty()) events_.back().file->add_scalar(tag, value, step);
  }

 private:
  static constexpr std::string_view front = "stage,step,loss,lr,grad_norm",
                                    back = ",samples_per_second,data_wait,skipped";
  struct Events {
    std::string stage, group;
    std::unique_ptr<EventFile> file;
  };

  static std::string header_of(const std::vector<std::string>& others) {
    std::string text(front);
    for (const auto& name : others) text += "," + name;
    return text + std::string(back) + "\n";
  }
  void open() {
    file_ = std::fopen(path_.c_str(), "ab");
    if (!file_) fail_file(path_, "", "cannot open for appending");
  }
  /// Takes the other columns of a file's header. @return false when it is not one of ours
  bool read_header(std::string_view line) {
    if (line.size() < front.size() + back.size() || !line.starts_with(front) ||
        !line.ends_with(back))
      return false;
    line = line.substr(front.size(), line.size() - front.size() - back.size());
    while (!line.empty()) {
      if (line[0] != ',') return false;
      const std::size_t end = std::min(line.find(',', 1), line.size());
      others_.emplace_back(line.substr(1, end - 1));
      line.remove_prefix(end);
    }
    return true;
  }
  /// Gives the file the columns that this row is the first to have: they are empty in the rows
  /// before it.
  HLIP_LAZY void widen(const StepMetrics& m) {
    std::vector<std::string> columns = others_;
    for (const auto& [name, value] : m.others)
      if (std::find(columns.begin(), columns.end(), name) == columns.end()) columns.push_back(name);
    if (columns.size() == others_.size()) return;
    const std::string text = read_file(path_), commas(columns.size() - others_.size(), ',');
    std::string widened = header_of(columns);
    for (std::size_t at = text.find('\n') + 1, end;
         (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
      std::string line = text.substr(at, end - at);
      std::size_t last = line.size();  // where the last three columns begin
      for (int k = 0; k < 3 && last != std::string::npos; ++k) last = line.rfind(',', last - 1);
      if (last != std::string::npos) widened += line.insert(last, commas) + "\n";
    }
    // On a full disk all stays as it was, and the next row tries again
    atomic_write(path_, widened);
    others_ = std::move(columns);
    if (file_) std::fclose(std::exchange(file_, nullptr));
    open();
  }

  std::string path_;
  std::FILE* file_ = nullptr;
  std::vector<std::string> others_;  // columns
  std::vector<Events> events_;
};

HLIP_END
