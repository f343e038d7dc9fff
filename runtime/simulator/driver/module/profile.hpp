#pragma once

#include <string>

#include "runtime/simulator/machine/machine.hpp"
#include "runtime/simulator/watch/profile.hpp"

namespace kerncast::simulator::api {

/// True if launches are to be counted and recorded.
bool profiling();
/// Keeps the counts of `launch`, for kerncastSimProfileLaunch.
void record_launch(const Launch& launch, const LaunchProfile& counts);

}  // namespace kerncast::simulator::api
