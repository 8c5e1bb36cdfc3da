// Tensors, views and lazy expressions.
#pragma once

#include <hlip/tensor/check.hpp>
#include <hlip/tensor/dtype.hpp>
#include <hlip/tensor/expr.hpp>
#include <hlip/tensor/memory_statistics.hpp>
#include <hlip/tensor/print.hpp>
#include <hlip/tensor/shape.hpp>
#include <hlip/tensor/storage.hpp>
#include <hlip/tensor/tensor.hpp>
