// What is loaded while a model trains, in which order, and what becomes of what cannot be read:
// nothing medical.
#pragma once

#include <hlip/data/dataset.hpp>
#include <hlip/data/image_text.hpp>
#include <hlip/data/loader.hpp>
#include <hlip/data/problems.hpp>
#include <hlip/data/sampler.hpp>
