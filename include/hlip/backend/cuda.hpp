// Everything the Cuda backend provides (backend/backend.hpp lists it). In no umbrella: it needs
// Thrust, and the CMake target hlip::cuda (nvcc) or hlip::thrust_host, which say what it runs on.
#pragma once

#include <hlip/backend/cuda/adamw.hpp>
#include <hlip/backend/cuda/attention.hpp>
#include <hlip/backend/cuda/conv.hpp>
#include <hlip/backend/cuda/device_info.hpp>
#include <hlip/backend/cuda/gemm.hpp>
#include <hlip/backend/cuda/index.hpp>
#include <hlip/backend/cuda/layer_norm.hpp>
#include <hlip/backend/cuda/loop.hpp>
#include <hlip/backend/cuda/memory.hpp>
#include <hlip/backend/cuda/patches.hpp>
#include <hlip/backend/cuda/reduce.hpp>
#include <hlip/backend/cuda/resample.hpp>
#include <hlip/backend/cuda/rows.hpp>
