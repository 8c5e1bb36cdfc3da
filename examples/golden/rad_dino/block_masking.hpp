// Kind block_masking: masks under a tape of uniforms to the cell, and statistics of many draws.
#pragma once

#include "../tape.hpp"
#include "../tolerances.hpp"

#include <hlip/systems/rad_dino/crops.hpp>
#include <hlip/systems/rad_dino/masking.hpp>

#include <numeric>

namespace golden {

inline MaskingOptions masking_options(const Fixture& f) {
  MaskingOptions o;
  o.min_patches = size_of(f.said_json("min_patches"), "min_patches");
  o.min_aspect = number_of(f.said_json("min_aspect"), "min_aspect");
  return o;
}

/// Mean and deviation over draws against the file's, in standard errors of their difference.
inline double standard_errors(double mean, double sd, double wanted, double wanted_sd,
                              double draws) {
  const double error = std::sqrt((sd * sd + wanted_sd * wanted_sd) / draws);
  return error > 0 ? std::abs(mean - wanted) / error : std::abs(mean - wanted) > 1e-9 ? 1e9 : 0;
}

/// Counts, neighbours and positions of masks over as many draws as the file's.
inline void check_mask_statistics(Fixture& f, const std::string& grid, index_t side,
                                  const std::string& ratio) {
  const std::string in = "input." + grid + ".stat_" + ratio + "_target",
                    out = "output." + grid + ".stat_" + ratio + "_";
  const index_t target = f.integers(in).at(0), draws = size_of(f.said_json("draws"), "draws");
  const auto n = static_cast<double>(draws);
  const MaskingOptions options = masking_options(f);
  std::vector<double> counts, pairs, frequency(static_cast<std::size_t>(side * side));
  double hits = 0;
  for (index_t d = 0; d < draws; ++d) {
    RandomStream stream({static_cast<std::uint64_t>(d), 77u, static_cast<std::uint64_t>(target)});
    const auto mask = block_mask({1, side, side}, target, options,
                                 [&] { return stream.uniform(); });
    double count = 0, adjacent = 0;
    for (index_t y = 0; y < side; ++y)
      for (index_t x = 0; x < side; ++x) {
        const auto at = [&](index_t r, index_t c) {
          return r < side && c < side ? mask[static_cast<std::size_t>(r * side + c)] : 0;
        };
        count += at(y, x);
        adjacent += (at(y, x) & at(y + 1, x)) + (at(y, x) & at(y, x + 1));
        frequency[static_cast<std::size_t>(y * side + x)] += at(y, x) / n;
      }
    counts.push_back(count);
    pairs.push_back(adjacent);
    hits += count == static_cast<double>(target);
  }
  const auto moments = [n](const std::vector<double>& values) {
    double mean = 0, square = 0;
    for (const double v : values) mean += v / n;
    for (const double v : values) square += (v - mean) * (v - mean) / n;
    return std::pair(mean, std::sqrt(square));
  };
  constexpr double allowed = 4;  // standard errors
  const auto count = f.reals(out + "count_mean_std_min_max");
  const auto [count_mean, count_sd] = moments(counts);
  f.note(out + "count_mean_std_min_max",
         standard_errors(count_mean, count_sd, count.at(0), count.at(1), n), allowed);
  f.demand(*std::max_element(counts.begin(), counts.end()) <= static_cast<double>(target),
           "{}: a mask has more cells than asked for", grid);
  const auto adjacent = f.reals(out + "adjacent_pairs_mean_std");
  const auto [pair_mean, pair_sd] = moments(pairs);
  f.note(out + "adjacent_pairs_mean_std",
         standard_errors(pair_mean, pair_sd, adjacent.at(0), adjacent.at(1), n), allowed);
  const auto of_share = [](double p) { return std::sqrt(p * (1 - p)); };
  const double rate = f.scalar(out + "exact_hit_rate");
  f.note(out + "exact_hit_rate",
         standard_errors(hits / n, of_share(hits / n), rate, of_share(rate), n), allowed);
  // over all cells at once: their root mean square is about 1 when only chance differs
  const auto wanted = f.reals(out + "position_frequency");
  f.demand(wanted.size() == frequency.size(), "{}: {} positions", grid, wanted.size());
  double squares = 0;
  for (std::size_t i = 0; i < std::min(wanted.size(), frequency.size()); ++i) {
    const double z = standard_errors(frequency[i], of_share(frequency[i]), wanted[i],
                                     of_share(wanted[i]), n);
    squares += z * z / static_cast<double>(wanted.size());
  }
  f.note(out + "position_frequency", std::sqrt(squares), 2);
}

inline void check_masks_of_grid(Fixture& f, const std::string& grid, index_t side) {
  Tape tape(f.reals("input." + grid + ".tape"), grid);
  const auto starts = f.integers("input." + grid + ".tape_start"),
             targets = f.integers("input." + grid + ".targets");
  std::vector<std::int64_t> masks;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    tape.seek(starts.at(i));
    for (const std::uint8_t cell :
         block_mask({1, side, side}, targets[i], masking_options(f), tape))
      masks.push_back(cell);
  }
  f.demand(tape.over(), "{}: numbers of the tape are left", grid);
  f.compare_exact("output." + grid + ".masks", masks,
                  {static_cast<index_t>(targets.size()), side, side});
  for (const auto& name : f.file().names()) {
    const std::string front = "input." + grid + ".stat_", back = "_target";
    if (name.starts_with(front) && name.ends_with(back))
      check_mask_statistics(f, grid, side,
                            name.substr(front.size(), name.size() - front.size() - back.size()));
  }
}

template <class B> void check_block_masking(Fixture& f) {
  for (const auto& name : f.file().names()) {
    const std::string front = "output.", back = ".masks";
    if (!name.starts_with(front) || !name.ends_with(back) || name == "output.collate.masks")
      continue;
    const std::string grid = name.substr(front.size(), name.size() - front.size() - back.size());
    check_masks_of_grid(f, grid, f.shape(name).back());
  }

  Tape tape(f.reals("input.collate.tape"), "collate");
  const Shape shape = f.shape("output.collate.masks");
  const auto side = static_cast<index_t>(
      std::llround(std::sqrt(static_cast<double>(shape.back()))));
  const BatchMasks batch = batch_masks(shape[0], {1, side, side}, masking_options(f), tape);
  f.demand(tape.over(), "numbers of the collate tape are left");
  f.compare_exact("output.collate.masks",
                  std::vector<std::int64_t>(batch.masks.begin(), batch.masks.end()), shape);
  f.compare_exact("output.collate.upperbound", {batch.upper_bound}, {});
  std::vector<std::int64_t> indices;
  for (std::size_t i = 0; i < batch.masks.size(); ++i)
    if (batch.masks[i] != 0) indices.push_back(static_cast<std::int64_t>(i));
  f.compare_exact("output.collate.mask_indices", indices, {static_cast<index_t>(indices.size())});
  std::vector<double> weights;
  for (const auto i : indices) {
    const auto first = batch.masks.begin() + i / shape[1] * shape[1];
    weights.push_back(1.0 / std::accumulate(first, first + shape[1], 0.0));
  }
  f.compare("output.collate.masks_weight", weights, of_an_operator);
  for (const std::string& part : {std::string("global"), std::string("local")}) {
    const auto crops = f.tensor<B>("input.collate." + part);
    f.compare("output.collate." + part, crop_major(crops), exact);
  }
}

}  // namespace golden
