// Radiographs with reports as samples: which rows of a table can be learned from, and batches of
// them.
#pragma once

#include <hlip/datasets/chest_xray/table.hpp>
#include <hlip/imaging/read_radiograph.hpp>
#include <hlip/systems/rad_dino/report_writer.hpp>
#include <hlip/text/words.hpp>

#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Pictures and the texts that belong to them.
struct ReportRows {
  std::vector<std::string> names, images, reports;
  std::vector<std::size_t> lines;  ///< of the table
};

/// The rows of a split that have a report. Faults of the table, and reports that are empty, are
/// added to `problems`.
/// @throws hlip::error when the table has no column of reports, or no row is left
HLIP_LAZY ReportRows rows_with_reports(const RadiographTable& table, const std::string& column,
                                       const std::string& split, Problems& problems) {
  const int reports = table.column_of(column);
  ReportRows rows;
  {
    FileProblems faults(problems, table.path);
    for (const std::size_t i : pictures_of_split(table, split)) {
      const std::string_view text = table.text(i, column);
      if (white_space_words(text).empty()) {
        faults.add([&] {
          return fmt::format("{}: is empty, expected a report",
                             table.table.place(table.rows[i], reports));
        });
        continue;
      }
      rows.names.push_back(table.names[i]), rows.images.push_back(table.images[i]);
      rows.reports.emplace_back(text), rows.lines.push_back(table.table.line(table.rows[i]));
    }
  }
  if (rows.names.empty()) {
    expect_no_problems(problems, table.path, "reports");
    fail_file(table.path, column, "has no report");
  }
  return rows;
}

/// Prepared pictures and the ids of their reports.
class ReportPictures {
 public:
  struct Sample {
    Tensor<float> picture;  // (in_chans, S, S)
    std::vector<std::int64_t> report;
  };
  /// @param room tokens that a report may have with its end token; a longer one is left out and
  /// added to `problems`
  /// @throws hlip::error when none is left
  template <class B>
  ReportPictures(const ReportRows& rows, const ReportTokens& tokens, const ReportWriter<B>& writer,
                 const std::string& table, Problems& problems)
      : preparation_(writer.encoder.preparation), channels_(writer.encoder.vit.config.in_chans) {
    const auto& ends = writer.decoder.config.end_tokens;
    const std::int64_t end = tokens.eos() >= 0 || ends.empty() ? tokens.eos() : ends.front();
    const index_t room = writer.decoder.config.max_positions - writer.prompt_tokens();
    {
      FileProblems faults(problems, table);
      for (std::size_t i = 0; i < rows.names.size(); ++i) {
        std::vector<std::int64_t> ids = tokens.encode(rows.reports[i]);
        ids.push_back(end);
        const auto count = static_cast<index_t>(ids.size());
        if (count > room) {
          faults.add([&] {
            return fmt::format(
                "line {}: a report of {} tokens; behind the {} of picture and prompt the decoder "
                "has place for {} (max_position_embeddings)",
                rows.lines[i], count, writer.prompt_tokens(), room);
          });
          continue;
        }
        names_.push_back(rows.names[i]), images_.push_back(rows.images[i]);
        reports_.push_back(std::move(ids));
      }
    }
    if (names_.empty()) expect_no_problems(problems, table, "reports");
  }
  index_t size() const { return static_cast<index_t>(names_.size()); }
  const std::string& name(index_t i) const { return names_[static_cast<std::size_t>(i)]; }
  Sample get(index_t i) const {
    const auto k = static_cast<std::size_t>(i);
    const Tensor<float> three = prepare_radiograph(read_radiograph(images_[k]), preparation_);
    // all channels of a grey picture are alike
    return {three.slice(0, 0, channels_).contiguous(), reports_[k]};
  }

 private:
  RadiographPreparation preparation_;
  index_t channels_;
  std::vector<std::string> names_, images_;
  std::vector<std::vector<std::int64_t>> reports_;
};

template <class B>
ReportBatch<B> collate_reports(const std::vector<ReportPictures::Sample>& samples) {
  std::vector<Tensor<float>> pictures;
  ReportBatch<B> batch;
  for (const auto& s : samples) {
    pictures.push_back(s.picture);
    batch.reports.push_back(s.report);
  }
  batch.pictures = on_backend<B>(Tensor<float>(stack(pictures, 0)));
  return batch;
}

HLIP_END
