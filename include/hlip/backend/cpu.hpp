// Everything the Cpu backend provides (backend/backend.hpp lists it).
#pragma once

#include <hlip/backend/cpu/adamw.hpp>
#include <hlip/backend/cpu/attention.hpp>
#include <hlip/backend/cpu/conv.hpp>
#include <hlip/backend/cpu/gemm.hpp>
#include <hlip/backend/cpu/index.hpp>
#include <hlip/backend/cpu/loop.hpp>
#include <hlip/backend/cpu/memory.hpp>
#include <hlip/backend/cpu/patches.hpp>
#include <hlip/backend/cpu/reduce.hpp>
#include <hlip/backend/cpu/resample.hpp>
#include <hlip/backend/cpu/rows.hpp>
