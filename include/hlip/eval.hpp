// Metrics of scores, intervals, retrieval and zero-shot evaluation. Needs no library beyond fmt.
// Beside them: dice.hpp and surface_distance.hpp (masks), f1.hpp, rouge.hpp and bleu.hpp (labels
// and facts; reports), what computes on tensors (logistic_regression.hpp,
// patch_correspondence.hpp), and what reads files or makes tables of probes (feature_file.hpp,
// picture_table.hpp, probe_table.hpp and others that eval/README.md lists).
#pragma once

#include <hlip/eval/auc.hpp>
#include <hlip/eval/average_precision.hpp>
#include <hlip/eval/binary_metrics.hpp>
#include <hlip/eval/bootstrap.hpp>
#include <hlip/eval/pca.hpp>
#include <hlip/eval/retrieval.hpp>
#include <hlip/eval/roc_curve.hpp>
#include <hlip/eval/zero_shot.hpp>
#include <hlip/eval/zero_shot_table.hpp>
