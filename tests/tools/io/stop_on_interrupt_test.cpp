// Signals that stop a command in an orderly way.
#include "tools/io/stop_on_interrupt.hpp"

#include <catch2/catch.hpp>
#include <csignal>

namespace kerncast::tools {
namespace {

TEST_CASE("Ctrl-C, SIGTERM and the end of the terminal set the flag once, and then act as usual") {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    INFO(signal);
    void (*const before)(int) = std::signal(signal, SIG_DFL);
    {
      const StopOnInterrupt guard;
      CHECK_FALSE(StopOnInterrupt::requested().load());
      REQUIRE(std::raise(signal) == 0);
      CHECK(StopOnInterrupt::requested().load());
      struct sigaction now{};
      REQUIRE(::sigaction(signal, nullptr, &now) == 0);
      CHECK(now.sa_handler == SIG_DFL);
    }
    std::signal(signal, before);
  }
}

TEST_CASE("a SIGHUP that nohup has ignored stops nothing") {
  void (*const before)(int) = std::signal(SIGHUP, SIG_IGN);
  {
    const StopOnInterrupt guard;
    REQUIRE(std::raise(SIGHUP) == 0);
    CHECK_FALSE(StopOnInterrupt::requested().load());
  }
  struct sigaction now{};
  REQUIRE(::sigaction(SIGHUP, nullptr, &now) == 0);
  CHECK(now.sa_handler == SIG_IGN);
  std::signal(SIGHUP, before);
}

}  // namespace
}  // namespace kerncast::tools
