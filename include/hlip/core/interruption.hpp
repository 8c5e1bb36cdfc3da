// Work that takes minutes can be given up half-way: long pieces of it ask, again and again, whether
// they should.
#pragma once

#include <hlip/core/abi.hpp>

#include <exception>
#include <utility>

HLIP_BEGIN

/// Thrown out of work that is given up because its caller was asked to stop. No hlip::error:
/// nothing has gone wrong.
class interrupted : public std::exception {
 public:
  const char* what() const noexcept override { return "interrupted"; }
};

namespace detail {
inline thread_local bool (*should_stop)() = nullptr;
}

/// While alive, work of this thread is given up, with `interrupted`, as soon as `should_stop()`
/// holds at an interruption point: where a layer begins, between two operations on the way back,
/// while a batch is waited for. Outside of such a scope nothing is interrupted, and neither is one
/// operation: how soon work ends is the time that its longest operation takes.
class Interruptible {
 public:
  explicit Interruptible(bool (*should_stop)())
      : before_(std::exchange(detail::should_stop, should_stop)) {}
  ~Interruptible() { detail::should_stop = before_; }
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

 private:
  bool (*before_)();
};

/// Whether work of this thread is to be given up now.
inline bool interruption_wanted() { return detail::should_stop && detail::should_stop(); }

/// Gives up here if that is wanted. @throws interrupted
inline void interruption_point() {
  if (interruption_wanted()) throw interrupted();
}

HLIP_END
