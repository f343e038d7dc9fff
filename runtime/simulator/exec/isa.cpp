#include "runtime/simulator/exec/isa.hpp"

#include <string>

#include "runtime/simulator/machine/machine.hpp"
#include "runtime/util/environment.hpp"

namespace kerncast::simulator {

namespace {

[[maybe_unused]] bool runs_v3() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("bmi2");
}

[[maybe_unused]] bool runs_v4() {
  return runs_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}

// A build without v2 may be run on a machine that has fewer vector instructions than it was built for.
[[maybe_unused]] Handler refuse(const Op&) {
  throw DecodeError(
      "this build of the virtual GPU is for a newer processor; set KERNCAST_SIM_LEVELS to \"v2;v3;v4\"", 0);
}

[[maybe_unused]] constexpr Isa none{"none", refuse};

const Isa& pick() {
  [[maybe_unused]] const std::string wanted = environment("KERNCAST_SIM_ISA");
  // A level that the machine lacks would end in SIGILL, so the best that it has is taken instead.
#ifdef KERNCAST_SIM_HAS_v4
  if (runs_v4() && wanted != "v2" && wanted != "v3") {
    return isa_v4::handlers;
  }
#endif
#ifdef KERNCAST_SIM_HAS_v3
  if (runs_v3() && wanted != "v2") {
    return isa_v3::handlers;
  }
#endif
#ifdef KERNCAST_SIM_HAS_v2
  return isa_v2::handlers;
#else
  return none;
#endif
}

}  // namespace

const Isa& isa() {
  return pick();
}

std::string_view executor_name() {
  return isa().name;
}

}  // namespace kerncast::simulator
