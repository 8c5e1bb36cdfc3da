// Training and trained models. Needs nlohmann_json, libcsv, utf8proc and zlib. The command lines of the programs are not part of it:
// train/command_line.hpp needs CLI11, which takes longer to compile than Eigen and fmt together; nor are what they draw (interpret_ct.hpp,
// run_report.hpp, report_examples.hpp), the run itself (training_run.hpp), weights in other formats (published_model.hpp) and studies of several scans (brain_samples.hpp): an umbrella may take three seconds.
#pragma once

#include <hlip/train/accumulation.hpp>
#include <hlip/train/batches.hpp>
#include <hlip/train/checkpoint_store.hpp>
#include <hlip/train/contrastive_trainer.hpp>
#include <hlip/train/ct_rate_samples.hpp>
#include <hlip/train/memory_report.hpp>
#include <hlip/train/metrics_log.hpp>
#include <hlip/train/precision.hpp>
#include <hlip/train/progress.hpp>
#include <hlip/train/report_text.hpp>
#include <hlip/train/stop_signal.hpp>
#include <hlip/train/trained_model.hpp>
#include <hlip/train/zero_shot.hpp>
#include <hlip/train/zero_shot_ct.hpp>
