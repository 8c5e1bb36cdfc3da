// Everything that needs only Eigen, OpenMP and fmt. Files and programs need more: hlip/io.hpp,
// hlip/data.hpp, hlip/text.hpp, hlip/eval.hpp and hlip/train.hpp, each header naming the library it
// uses.
#pragma once

#include <hlip/backend/cpu.hpp>

#include <hlip/autograd.hpp>
#include <hlip/core.hpp>
#include <hlip/distributed.hpp>
#include <hlip/losses.hpp>
#include <hlip/models.hpp>
#include <hlip/nn.hpp>
#include <hlip/ops.hpp>
#include <hlip/optim.hpp>
#include <hlip/tensor.hpp>
#include <hlip/version.hpp>
