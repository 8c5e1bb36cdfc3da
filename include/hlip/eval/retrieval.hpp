// Retrieval between matched images and texts: where does the true partner rank?
#pragma once

#include <hlip/eval/auc.hpp>

#include <string>

HLIP_BEGIN

/// One direction of retrieval. Ranks count from 1.
struct RetrievalMetrics {
  double mean_rank = not_a_number, median_rank = not_a_number;
  double recall_at_1 = not_a_number, recall_at_5 = not_a_number, recall_at_10 = not_a_number;
};

/// Both directions, and how close true partners are.
struct RetrievalReport {
  RetrievalMetrics image_to_text, text_to_image;
  double clip_score = not_a_number;  ///< mean of 100 * max(0, cosine) over the true pairs
};

/// Metrics from the number of candidates ranked before each true partner.
inline RetrievalMetrics retrieval_metrics(std::vector<std::int64_t> ranks) {
  RetrievalMetrics m;
  if (ranks.empty()) return m;
  const auto n = static_cast<double>(ranks.size());
  const auto within = [&](std::int64_t k) {
    return static_cast<double>(
               std::count_if(ranks.begin(), ranks.end(), [k](auto r) { return r < k; })) /
           n;
  };
  m.recall_at_1 = within(1), m.recall_at_5 = within(5), m.recall_at_10 = within(10);
  m.mean_rank =
      static_cast<double>(std::accumulate(ranks.begin(), ranks.end(), std::int64_t{0})) / n + 1;
  std::sort(ranks.begin(), ranks.end());
  const std::size_t half = ranks.size() / 2;
  const double median = ranks.size() % 2 ? static_cast<double>(ranks[half])
                                         : static_cast<double>(ranks[half - 1] + ranks[half]) / 2;
  m.median_rank = std::floor(median) + 1;
  return m;
}

/// Ranks every text for every image and the other way round by their dot product. The logit scale
/// is positive and so changes no rank; candidates with equal scores rank in their order.
/// @param image, text row-major (pairs, dim), L2-normalised; row i of both belong together
/// @throws hlip::error if the sizes do not fit
/// Source: open_clip validation metrics.
inline RetrievalReport retrieval(std::span<const double> image, std::span<const double> text,
                                 std::int64_t dim) {
  expect(
      dim > 0 && image.size() == text.size() && image.size() % static_cast<std::size_t>(dim) == 0,
      "retrieval", "{} image and {} text values, expected as many and rows of {}", image.size(),
      text.size(), dim);
  const std::size_t width = static_cast<std::size_t>(dim), n = image.size() / width;
  const auto dot = [&](std::size_t i, std::size_t j) {
    double sum = 0;
    for (std::size_t d = 0; d < width; ++d) sum += image[i * width + d] * text[j * width + d];
    return sum;
  };
  std::vector<std::int64_t> image_ranks(n), text_ranks(n);
  std::vector<double> truth(n);
  double clip_score = 0;
  for (std::size_t i = 0; i < n; ++i) {
    truth[i] = dot(i, i);
    clip_score += 100 * std::max(0.0, truth[i]);
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      if (i == j) continue;
      const double s = dot(i, j);
      image_ranks[i] += s > truth[i] || (s == truth[i] && j < i);
      text_ranks[j] += s > truth[j] || (s == truth[j] && i < j);
    }
  }
  RetrievalReport report{retrieval_metrics(std::move(image_ranks)),
                         retrieval_metrics(std::move(text_ranks)), not_a_number};
  if (n > 0) report.clip_score = clip_score / static_cast<double>(n);
  return report;
}

/// "image to text: R@1 0.120, R@5 0.410, R@10 0.600, median rank 7, mean 12.3; text to image: …;
/// CLIP score 31.2"
inline std::string to_string(const RetrievalReport& report) {
  const auto direction = [](const RetrievalMetrics& m) {
    return fmt::format("R@1 {:.3f}, R@5 {:.3f}, R@10 {:.3f}, median rank {:.0f}, mean {:.1f}",
                       m.recall_at_1, m.recall_at_5, m.recall_at_10, m.median_rank, m.mean_rank);
  };
  return fmt::format("image to text: {}; text to image: {}; CLIP score {:.1f}",
                     direction(report.image_to_text), direction(report.text_to_image),
                     report.clip_score);
}

HLIP_END
