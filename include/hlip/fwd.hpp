// Names only: for headers that pass hlip types on without looking inside.
#pragma once

#include <hlip/core/abi.hpp>

HLIP_BEGIN

struct Cpu;        // OpenMP and Eigen
struct Reference;  // plain loops, double accumulation: the oracle of the conformance tests

template <class T, class B = Cpu> class Tensor;
template <class T, class B = Cpu> class Var;

HLIP_END
