// Talking to other processes.
#pragma once

#include <hlip/distributed/communicator.hpp>
