#pragma once

#include <string_view>

/// Messages of the virtual GPU on standard error to programs that cannot ask for it: which launch failed and
/// why, and which module was refused. KERNCAST_SIM_REPORT decides; by default programs that found the
/// library as libcuda.so.1 get the reports, and those that know its own name do not.
namespace kerncast::simulator::api {

/// Reads KERNCAST_SIM_REPORT: "stderr" or "off". Throws Failure(CUDA_ERROR_INVALID_VALUE) for another value.
void configure_report();
/// Writes a line if reports are wanted.
void report(std::string_view text) noexcept;

}  // namespace kerncast::simulator::api
