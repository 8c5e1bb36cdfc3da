// Training: objectives, the trainer, runs with their checkpoints and logs. What is learned is in
// hlip/systems.hpp. Needs nlohmann_json and zlib.
#pragma once

#include <hlip/train/accumulation.hpp>
#include <hlip/train/averaged_weights.hpp>
#include <hlip/train/checkpoint_store.hpp>
#include <hlip/train/choose_learning_rate.hpp>
#include <hlip/train/linear_probe.hpp>
#include <hlip/train/memory_report.hpp>
#include <hlip/train/metrics_log.hpp>
#include <hlip/train/objective.hpp>
#include <hlip/train/progress.hpp>
#include <hlip/train/run.hpp>
#include <hlip/train/stop_signal.hpp>
#include <hlip/train/supervised.hpp>
#include <hlip/train/trainer.hpp>
#include <hlip/train/validated.hpp>
