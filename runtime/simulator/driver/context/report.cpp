#include "runtime/simulator/driver/context/report.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <atomic>
#include <cstdio>
#include <string>

#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/util/environment.hpp"

namespace kerncast::simulator::api {
namespace {

/// True if the process loaded this library by the driver's name.
bool poses_as_driver() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&poses_as_driver), &info) == 0 || info.dli_fname == nullptr) {
    return false;
  }
  std::string_view name = info.dli_fname;
  name.remove_prefix(name.rfind('/') + 1);
  return name.starts_with("libcuda.so");
}

std::atomic<bool>& wanted() {
  static std::atomic<bool> wanted{poses_as_driver()};
  return wanted;
}

}  // namespace

void configure_report() {
  const std::string value = environment("KERNCAST_SIM_REPORT");
  if (!value.empty() && value != "stderr" && value != "off") {
    throw Failure(CUDA_ERROR_INVALID_VALUE,
                  fmt::format("KERNCAST_SIM_REPORT is {}; give stderr or off", value));
  }
  wanted() = value.empty() ? poses_as_driver() : value == "stderr";
}

void report(std::string_view text) noexcept {
  if (wanted()) {
    std::fprintf(stderr, "virtual GPU: %.*s\n", static_cast<int>(text.size()), text.data());
  }
}

}  // namespace kerncast::simulator::api
