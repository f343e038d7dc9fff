// One runtime serves all devices: a thread for each, and the device that the tensors name.
#include <cstdio>
#include <exception>
#include <kerncast/kerncast.hpp>
#include <kerncast/ops/norm/rms_norm.hpp>
#include <thread>
#include <vector>

#include "support/driver.hpp"

namespace {

constexpr std::int64_t rows = 4;
constexpr std::int64_t hidden = 1024;

/// Normalises rows of twos on `device`. The result is ones.
bool normalise_on(kerncast::Runtime& runtime, int device) {
  // A context is current on one thread; the primary context of the device is shared with frameworks.
  runtime.make_current(device);
  const example::DeviceFloats x(runtime, std::vector<float>(rows * hidden, 2.0F));
  const example::DeviceFloats y(runtime, rows * hidden);
  kerncast::launch(runtime,
                   kerncast::norm::RmsNorm{
                       .x = x.matrix(rows, hidden, device), .y = y.matrix(rows, hidden, device), .eps = 0},
                   nullptr);
  return y.values() == std::vector<float>(rows * hidden, 1.0F);
}

}  // namespace

int main() try {
  kerncast::Runtime& runtime = kerncast::Runtime::instance();
  int devices = 0;
  example::call_driver(runtime, "cuInit", 0U);
  example::call_driver(runtime, "cuDeviceGetCount", &devices);
  std::vector<const char*> outcomes(static_cast<std::size_t>(devices), "failed");
  std::vector<std::thread> threads;
  for (int device = 0; device < devices; ++device) {
    threads.emplace_back([&, device] {
      try {
        outcomes[static_cast<std::size_t>(device)] = normalise_on(runtime, device) ? "right" : "wrong";
      } catch (const std::exception& error) {
        std::fprintf(stderr, "device %d: %s\n", device, error.what());
      }
    });
  }
  bool right = devices > 0;
  for (int device = 0; device < devices; ++device) {
    threads[static_cast<std::size_t>(device)].join();
    const std::string outcome = outcomes[static_cast<std::size_t>(device)];
    std::printf("device %d, %s: %s\n", device, runtime.arch(device).c_str(), outcome.c_str());
    right = right && outcome == "right";
  }
  return right ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
