// What was asked on the command line.
#pragma once

#include <hlip/hlip.hpp>

#include <hlip/eval/bootstrap.hpp>

#include <string>

namespace evaluate {

using namespace hlip;

struct Options {
  std::string checkpoint, model, vocab, data_root, labels, out, scores, embeddings, studies, split,
      save_inputs, spacing_from = "table", prompts = "volume", device = "cpu", precision = "fp32";
  bool already_hu = false, allow_absent = false;
  index_t num_slices = 0;
  int threads = 0;
  BootstrapOptions bootstrap;
};

}  // namespace evaluate
