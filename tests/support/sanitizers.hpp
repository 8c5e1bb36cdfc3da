// Whether this is a build in which every access to memory is watched and all takes ten times as
// long: what is counted over many draws is counted in the other builds.
#pragma once

namespace test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool under_sanitizers = true;
#else
inline constexpr bool under_sanitizers = false;
#endif

}  // namespace test
