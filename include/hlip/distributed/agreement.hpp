// What processes decide together: one that goes its own way leaves the others waiting for ever.
#pragma once

#include <hlip/core/error.hpp>
#include <hlip/distributed/communicator.hpp>

#include <exception>
#include <optional>
#include <span>

HLIP_BEGIN

/// Whether it is so on any rank: all of them go the same way. A collective call.
template <Communicator C> bool on_any_rank(const C& communicator, bool here) {
  if (communicator.size() == 1) return here;
  double votes[] = {here ? 1.0 : 0.0};
  communicator.all_reduce_sum(std::span<double>(votes));
  return votes[0] > 0;
}

/// Calls fn(), which makes no collective call itself; where it throws on one rank, all throw. A
/// collective call.
/// @throws hlip::error, on the ranks where fn threw with its message
template <Communicator C, class Fn> void agree_on_faults(const C& communicator, Fn&& fn) {
  if (communicator.size() == 1) return fn();
  std::optional<error> fault;
  try {
    fn();
  } catch (const error& e) {
    fault = e;
  } catch (const std::exception& e) {
    fault = error(e.what());
  }
  const bool failed = on_any_rank(communicator, fault.has_value());
  if (fault) throw *fault;
  if (failed) fail("distributed", "another process has failed, and says why");
}

HLIP_END
