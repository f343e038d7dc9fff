// The patterns of file names that have a process id.
#include "runtime/util/pid_pattern.hpp"

#include <catch2/catch.hpp>

using kerncast::expand_pid;

TEST_CASE("%p is the process, %% a percent sign, and all else stays") {
  CHECK(expand_pid("/x/host-%p.prom", 42).path == "/x/host-42.prom");
  CHECK(expand_pid("/x/host-%p.prom", 42).has_pid);
  CHECK(expand_pid("/x/50%%/a%p%p", 7).path == "/x/50%/a77");
  CHECK(expand_pid("%%p", 7).path == "%p");
  CHECK_FALSE(expand_pid("%%p", 7).has_pid);
  CHECK(expand_pid("/x/%d%", 7).path == "/x/%d%");
}
