#pragma once

#include <unistd.h>

#include <catch2/catch.hpp>

namespace kerncast::tests {

/// Sends values from one process to another one that it has forked.
struct Pipe {
  Pipe() { REQUIRE(pipe(ends) == 0); }
  template <class Value>
  void send(const Value& value) const {
    REQUIRE(write(ends[1], &value, sizeof value) == static_cast<ssize_t>(sizeof value));
  }
  template <class Value>
  [[nodiscard]] Value receive() const {
    Value value{};
    REQUIRE(::read(ends[0], &value, sizeof value) == static_cast<ssize_t>(sizeof value));
    return value;
  }
  int ends[2] = {-1, -1};
};

}  // namespace kerncast::tests
