// Talking to other processes.
#pragma once

#include <hlip/distributed/agreement.hpp>
#include <hlip/distributed/communicator.hpp>
#include <hlip/distributed/tensors.hpp>
#include <hlip/distributed/thread_group.hpp>
