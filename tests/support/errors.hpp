// The message of an error, to be compared as text.
#pragma once

#include <hlip/core/error.hpp>

#include <string>

namespace test {

/// The message of the hlip::error that fn throws; "no error" if it throws none.
template <class Fn> std::string error_of(Fn fn) {
  try {
    fn();
  } catch (const hlip::error& e) {
    return e.what();
  }
  return "no error";
}

}  // namespace test
