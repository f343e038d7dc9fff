#pragma once

#include <string>

#include "kerncast/runtime.hpp"

/// A trivial kernel on its way through compiler, cache and driver, which shows whether they work together.
namespace kerncast::tools {

/// The steps that the kernel came through. Each reason is empty if the step was done or could not be tried.
struct LaunchProbe {
  std::string compile_defect;  ///< why it was not compiled
  std::string store_defect;   ///< why the directory did not keep it, or another runtime did not find it there
  std::string launch_defect;  ///< why it did not run, or what it did wrong
  bool compiled = false;
  bool stored = false;
  bool launched = false;
};

/// Compiles the kernel in a worker process (a crash of the compiler ends only that), stores it in the cache
/// directory, reads it back with a second runtime, launches it on device 0, checks what it wrote, and removes
/// it from the directory. If it was not compiled, a kernel in PTX is launched instead. `options` name driver,
/// compiler and cache. Nothing is uploaded.
[[nodiscard]] LaunchProbe probe_launch(const RuntimeOptions& options);

/// Launches a kernel given as PTX on device 0 and checks what it wrote. Returns the reason if that fails.
[[nodiscard]] std::string probe_driver(Runtime& runtime);

}  // namespace kerncast::tools
