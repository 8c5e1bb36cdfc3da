// metrics.csv: one row a step, written through at once, so a killed run leaves at most one partial last line, and brought to disk before
// every checkpoint, so a machine that loses power keeps the rows up to it; and, where asked for, the same as TensorBoard events.
#pragma once

#include <hlip/io/file.hpp>
#include <hlip/report/event_file.hpp>

#include <cstdio>
#include <memory>
#include <string>

HLIP_BEGIN

/// What is logged of a step.
struct StepMetrics {
  std::string stage;  ///< "text_step" or "step"
  std::int64_t step = 0;
  double loss = 0, lr = 0, grad_norm = 0, logit_scale = 0, samples_per_second = 0, data_wait = 0;
  bool skipped = false;
};

/// Appends rows "stage,step,loss,lr,grad_norm,logit_scale,samples_per_second,data_wait,skipped".
class MetricsLog {
 public:
  static constexpr std::string_view header = "stage,step,loss,lr,grad_norm,logit_scale,samples_per_second,data_wait,skipped\n";

  /// Opens the file and drops rows a resumed run will write again: those for which `keep(stage, step)` is false, and a cut last line.
  template <class Keep>
  MetricsLog(const std::string& path, Keep keep) : path_(path) {
    std::string kept(header);
    if (is_file(path)) {
      const std::string text = read_file(path);
      std::size_t at = text.rfind(header, 0) == 0 ? header.size() : text.size();
      for (std::size_t end; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
        const std::string line = text.substr(at, end - at);
        const std::size_t comma = line.find(','), second = line.find(',', comma + 1);
        if (comma == std::string::npos || second == std::string::npos) continue;
        if (keep(line.substr(0, comma), std::atoll(line.c_str() + comma + 1))) kept += line + "\n";
      }
    }
    atomic_write(path, kept);
    file_ = std::fopen(path.c_str(), "ab");
    if (!file_) fail_file(path, "", "cannot open for appending");
  }
  ~MetricsLog() {
    if (file_) std::fclose(file_);
  }
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;

  /// Also writes TensorBoard events: "train/loss" and so on, those of the text stage as "text/loss" in a folder of their own, because its
  /// steps begin at 1 as well.
  /// @param text_step @param step the first this run makes of each stage: what an earlier run logged from there on is void; 0: nothing is
  HLIP_LAZY void report_to_tensorboard(const std::string& folder, std::int64_t text_step, std::int64_t step) {
    if (::mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST) fail_file(folder, "", "cannot make the folder: {}", std::strerror(errno));
    text_events_ = std::make_unique<EventFile>(folder + "/text", text_step);
    events_ = std::make_unique<EventFile>(folder + "/image", step);
  }

  HLIP_LAZY void add(const StepMetrics& m) {
    const auto row = fmt::format("{},{},{:.6g},{:.6g},{:.6g},{:.6g},{:.4g},{:.3f},{}\n", m.stage, m.step, m.loss, m.lr, m.grad_norm, m.logit_scale, m.samples_per_second, m.data_wait, m.skipped ? 1 : 0);
    if (std::fwrite(row.data(), 1, row.size(), file_) != row.size() || std::fflush(file_) != 0) fail_file(path_, "", "cannot write");
    EventFile* events = m.stage == "text_step" ? text_events_.get() : events_.get();
    if (!events) return;
    const std::string group = m.stage == "text_step" ? "text/" : "train/";
    for (const auto& [name, value] : {std::pair{"loss", m.loss}, {"lr", m.lr}, {"grad_norm", m.grad_norm}, {"logit_scale", m.logit_scale}, {"samples_per_second", m.samples_per_second}, {"data_wait", m.data_wait}})
      events->add_scalar(group + name, value, m.step);
  }
  /// Brings to disk what was added so far. @throws hlip::error when that fails
  HLIP_LAZY void sync() {
    if (std::fflush(file_) != 0 || ::fsync(::fileno(file_)) != 0) fail_file(path_, "", "cannot flush to disk: {}", std::strerror(errno));
    for (EventFile* events : {text_events_.get(), events_.get()})
      if (events) events->sync();
  }
  /// A figure of the image stage that is no part of a row, for TensorBoard alone.
  void add_scalar(const std::string& tag, double value, std::int64_t step) {
    if (events_) events_->add_scalar(tag, value, step);
  }

 private:
  std::string path_;
  std::FILE* file_ = nullptr;
  std::unique_ptr<EventFile> text_events_, events_;
};

HLIP_END
