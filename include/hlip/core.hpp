// Errors, checks, random numbers and build tags. No tensors here.
#pragma once

#include <hlip/core/check.hpp>
#include <hlip/core/config.hpp>
#include <hlip/core/error.hpp>
#include <hlip/core/random.hpp>
#include <hlip/core/scope.hpp>
