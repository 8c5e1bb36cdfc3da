// Pure functions on tensors, no gradients.
//   elementwise.hpp  + - * / exp gelu where …    reduce.hpp  sum mean max min argmax var logsumexp
//   matmul.hpp       batched matrix products       shape.hpp   concat stack split pad
//   index.hpp        index_select scatter_add      interpolate.hpp  nearest linear cubic in 1-3 D
#pragma once

#include <hlip/ops/channels.hpp>
#include <hlip/ops/elementwise.hpp>
#include <hlip/ops/index.hpp>
#include <hlip/ops/interpolate.hpp>
#include <hlip/ops/matmul.hpp>
#include <hlip/ops/reduce.hpp>
#include <hlip/ops/shape.hpp>
