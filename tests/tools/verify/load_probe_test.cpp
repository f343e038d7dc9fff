#include "tools/verify/load_probe.hpp"

#include <catch2/catch.hpp>

using kerncast::tools::takes_ptx;

TEST_CASE("plain PTX runs on later devices, that of one architecture or family there alone") {
  CHECK(takes_ptx("sm_80", 80));
  CHECK(takes_ptx("sm_80", 90));
  CHECK_FALSE(takes_ptx("sm_90", 80));
  CHECK(takes_ptx("sm_90a", 90));
  CHECK_FALSE(takes_ptx("sm_90a", 100));
  CHECK(takes_ptx("sm_100f", 103));
  CHECK_FALSE(takes_ptx("sm_100f", 120));
  CHECK_FALSE(takes_ptx("sm_103f", 100));
  for (const char* none : {"", "90", "sm_", "sm_x", "sm_90b"}) {
    CHECK_FALSE(takes_ptx(none, 90));
  }
}
