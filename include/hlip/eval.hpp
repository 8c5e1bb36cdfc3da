// Everything in eval/: metrics, intervals, retrieval, zero-shot evaluation, logistic regression,
// correspondence of patches. Needs no library beyond fmt.
#pragma once

#include <hlip/eval/auc.hpp>
#include <hlip/eval/average_precision.hpp>
#include <hlip/eval/binary_metrics.hpp>
#include <hlip/eval/bootstrap.hpp>
#include <hlip/eval/dice.hpp>
#include <hlip/eval/f1.hpp>
#include <hlip/eval/lbfgs.hpp>
#include <hlip/eval/logistic_regression.hpp>
#include <hlip/eval/patch_correspondence.hpp>
#include <hlip/eval/pca.hpp>
#include <hlip/eval/probe_table.hpp>
#include <hlip/eval/retrieval.hpp>
#include <hlip/eval/roc_curve.hpp>
#include <hlip/eval/zero_shot.hpp>
#include <hlip/eval/zero_shot_table.hpp>
