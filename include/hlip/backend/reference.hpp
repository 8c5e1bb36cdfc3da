// Everything the Reference backend provides (backend/backend.hpp lists it).
#pragma once

#include <hlip/backend/reference/adamw.hpp>
#include <hlip/backend/reference/attention.hpp>
#include <hlip/backend/reference/conv.hpp>
#include <hlip/backend/reference/gemm.hpp>
#include <hlip/backend/reference/index.hpp>
#include <hlip/backend/reference/loop.hpp>
#include <hlip/backend/reference/memory.hpp>
#include <hlip/backend/reference/patches.hpp>
#include <hlip/backend/reference/reduce.hpp>
#include <hlip/backend/reference/resample.hpp>
#include <hlip/backend/reference/rows.hpp>
