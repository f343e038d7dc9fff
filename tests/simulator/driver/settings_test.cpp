// The variables of the device clock, of faults and of dependent launches. A process initialises the virtual
// GPU once, so all but the last are wrong.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>

#include "tests/simulator/driver/fixture.hpp"

using namespace kerncast::tests;

TEST_CASE(
    "wrong settings of clock, faults and dependent launches are errors that say what is possible, and "
    "without any there is "
    "none") {
  struct Case {
    const char* clock;
    const char* arch;
    const char* noise;
    const char* faults;
    const char* pdl;
    const char* message;
  };
  const Case cases[] = {
      {"h1000", nullptr, nullptr, nullptr, nullptr, "KERNCAST_SIM_CLOCK is h1000"},
      {"h1000", nullptr, nullptr, nullptr, nullptr, "a100, rtx4090, h100, h200, b200"},
      {"h100", "sm_80", nullptr, nullptr, nullptr,
       "KERNCAST_SIM_ARCH is sm_80, and KERNCAST_SIM_CLOCK is h100"},
      {"h100", "sm_77", nullptr, nullptr, nullptr, "KERNCAST_SIM_ARCH is sm_77"},
      {nullptr, nullptr, "jitter=0.1", nullptr, nullptr,
       "KERNCAST_SIM_NOISE is set without KERNCAST_SIM_CLOCK"},
      {"h100", nullptr, "jitter=9", nullptr, nullptr,
       "KERNCAST_SIM_NOISE: jitter is '9'; give a number from 0 to 0.5"},
      {"h100", "sm_90a", "wobble=1", nullptr, nullptr, "KERNCAST_SIM_NOISE: 'wobble' is none of seed"},
      {nullptr, nullptr, nullptr, "fault=0", nullptr,
       "KERNCAST_SIM_FAULTS: fault is '0'; give the number of a launch"},
      {nullptr, nullptr, nullptr, "hang=x", nullptr, "KERNCAST_SIM_FAULTS: hang is 'x'"},
      {nullptr, nullptr, nullptr, "lose=1", nullptr,
       "KERNCAST_SIM_FAULTS: 'lose' is none of fault, hang and lost"},
      {nullptr, nullptr, nullptr, nullptr, "soon", "KERNCAST_SIM_PDL is soon; give any, early or late"},
      {"h100", nullptr, nullptr, nullptr, "early",
       "KERNCAST_SIM_PDL is early, and KERNCAST_SIM_CLOCK is set"},
  };
  const auto set = [](const char* name, const char* value) {
    value != nullptr ? setenv(name, value, 1) : unsetenv(name);
  };
  for (const Case& wrong : cases) {
    INFO(wrong.message);
    set("KERNCAST_SIM_CLOCK", wrong.clock);
    set("KERNCAST_SIM_ARCH", wrong.arch);
    set("KERNCAST_SIM_NOISE", wrong.noise);
    set("KERNCAST_SIM_FAULTS", wrong.faults);
    set("KERNCAST_SIM_PDL", wrong.pdl);
    CHECK(CU(cuInit)(0) == CUDA_ERROR_INVALID_VALUE);
    const auto last_fault = reinterpret_cast<const char* (*)()>(find_symbol("kerncastSimLastFault"));
    CHECK_THAT(std::string(last_fault()), Catch::Contains(wrong.message));
  }
  for (const char* name : {"KERNCAST_SIM_CLOCK", "KERNCAST_SIM_ARCH", "KERNCAST_SIM_NOISE",
                           "KERNCAST_SIM_FAULTS", "KERNCAST_SIM_PDL"}) {
    unsetenv(name);
  }
  REQUIRE_CU(CU(cuInit)(0));
  char text[64] = {};
  REQUIRE_CU(CU(cuDeviceGetName)(text, sizeof text, 0));
  CHECK(std::string(text) == "Kerncast virtual GPU (sm_90)");
}
