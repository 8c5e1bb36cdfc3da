// metrics.csv: one row a step, written through at once, so a killed run leaves at most one partial last line.
#pragma once

#include <hlip/io/file.hpp>

#include <cstdio>
#include <string>

HLIP_BEGIN

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

  void add(const std::string& row) {
    if (std::fwrite(row.data(), 1, row.size(), file_) != row.size() || std::fflush(file_) != 0) fail_file(path_, "", "cannot write");
  }

 private:
  std::string path_;
  std::FILE* file_ = nullptr;
};

HLIP_END
