#pragma once

#define HLIP_VERSION_MAJOR 0
#define HLIP_VERSION_MINOR 1
#define HLIP_VERSION_PATCH 0
#define HLIP_VERSION "0.1.0"
