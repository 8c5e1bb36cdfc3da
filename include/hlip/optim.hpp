// Optimisers, schedules, averages.
#pragma once

#include <hlip/optim/adamw.hpp>
#include <hlip/optim/ema.hpp>
#include <hlip/optim/parameters.hpp>
#include <hlip/optim/schedule.hpp>
#include <hlip/optim/sgd.hpp>
