// Metrics, intervals, retrieval and zero-shot evaluation. Needs no library beyond fmt. Beside them:
// what computes on tensors, logistic_regression.hpp and patch_correspondence.hpp, and what reads
// files, feature_file.hpp and picture_table.hpp.
#pragma once

#include <hlip/eval/auc.hpp>
#include <hlip/eval/average_precision.hpp>
#include <hlip/eval/binary_metrics.hpp>
#include <hlip/eval/bootstrap.hpp>
#include <hlip/eval/dice.hpp>
#include <hlip/eval/f1.hpp>
#include <hlip/eval/pca.hpp>
#include <hlip/eval/probe_table.hpp>
#include <hlip/eval/retrieval.hpp>
#include <hlip/eval/roc_curve.hpp>
#include <hlip/eval/zero_shot.hpp>
#include <hlip/eval/zero_shot_table.hpp>
