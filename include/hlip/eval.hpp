// Everything in eval/: metrics, intervals, retrieval and zero-shot evaluation. Needs no library
// beyond fmt.
#pragma once

#include <hlip/eval/auc.hpp>
#include <hlip/eval/binary_metrics.hpp>
#include <hlip/eval/bootstrap.hpp>
#include <hlip/eval/pca.hpp>
#include <hlip/eval/retrieval.hpp>
#include <hlip/eval/roc_curve.hpp>
#include <hlip/eval/zero_shot.hpp>
#include <hlip/eval/zero_shot_table.hpp>
