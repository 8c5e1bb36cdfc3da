// Reverse-mode differentiation: Var, the graph, and one file per operation with its pull-back.
#pragma once

#include <hlip/autograd/checkpoint.hpp>
#include <hlip/autograd/functions/attention.hpp>
#include <hlip/autograd/functions/channel_norm.hpp>
#include <hlip/autograd/functions/conv.hpp>
#include <hlip/autograd/functions/drop_path.hpp>
#include <hlip/autograd/functions/dropout.hpp>
#include <hlip/autograd/functions/index.hpp>
#include <hlip/autograd/functions/interpolate.hpp>
#include <hlip/autograd/functions/linear.hpp>
#include <hlip/autograd/functions/matmul.hpp>
#include <hlip/autograd/functions/norm.hpp>
#include <hlip/autograd/functions/patches.hpp>
#include <hlip/autograd/functions/pool.hpp>
#include <hlip/autograd/functions/reduce.hpp>
#include <hlip/autograd/functions/shape.hpp>
#include <hlip/autograd/functions/softmax.hpp>
#include <hlip/autograd/functions/weight_norm.hpp>
#include <hlip/autograd/fused.hpp>
#include <hlip/autograd/gradcheck.hpp>
#include <hlip/autograd/node.hpp>
#include <hlip/autograd/var.hpp>
