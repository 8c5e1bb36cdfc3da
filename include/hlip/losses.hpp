// Losses.
#pragma once

#include <hlip/losses/contrastive.hpp>
#include <hlip/losses/koleo.hpp>
#include <hlip/losses/self_distillation.hpp>
