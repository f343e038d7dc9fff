#include "runtime/dispatch/known_devices.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <string>

#include "kerncast/error.hpp"

namespace kerncast {
namespace {

/// Multiprocessors as cuDeviceGetAttribute tells them; `shared` is the most a block may opt in to.
struct Known {
  int sm;
  int count;
  int shared;
};
constexpr Known known[] = {
    {75, 40, 65536},     // T4
    {75, 68, 65536},     // RTX 2080 Ti
    {75, 72, 65536},     // Quadro RTX 6000, 8000
    {80, 108, 166912},   // A100, A800
    {80, 56, 166912},    // A30
    {86, 84, 101376},    // A40, RTX A6000, RTX 3090 Ti
    {86, 72, 101376},    // A10
    {86, 80, 101376},    // A10G
    {86, 82, 101376},    // RTX 3090
    {87, 16, 166912},    // Jetson AGX Orin 64GB
    {87, 14, 166912},    // Jetson AGX Orin 32GB
    {87, 8, 166912},     // Jetson Orin NX
    {89, 142, 101376},   // L40, L40S, RTX 6000 Ada
    {89, 58, 101376},    // L4
    {89, 128, 101376},   // RTX 4090
    {90, 132, 232448},   // H100 SXM, H200, H800, GH200
    {90, 114, 232448},   // H100 PCIe
    {90, 78, 232448},    // H20
    {100, 148, 232448},  // B200
    {100, 152, 232448},  // GB200
    {103, 148, 232448},  // B300
    {103, 152, 232448},  // GB300
    {110, 20, 232448},   // Jetson AGX Thor
    {120, 170, 101376},  // RTX 5090
    {120, 188, 101376},  // RTX PRO 6000 Blackwell
    {120, 84, 101376},   // RTX 5080
    {121, 48, 101376},   // GB10
};

int number_of(std::string_view arch) {
  const std::string digits(arch.starts_with("sm_") ? arch.substr(3) : std::string_view());
  const int sm = std::atoi(digits.c_str());
  if (sm < 50) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("'{}' is not an architecture; write it as sm_90a", arch));
  }
  return sm;
}

}  // namespace

std::vector<DeviceTraits> known_devices(std::string_view arch) {
  const int sm = number_of(arch);
  int nearest = known[0].sm;
  for (const Known& device : known) {
    nearest = device.sm <= sm ? device.sm : nearest;
  }
  std::vector<DeviceTraits> found;
  for (const Known& device : known) {
    if (device.sm == nearest) {
      found.push_back({sm, device.count, device.shared});
    }
  }
  return found;
}

DeviceTraits typical_traits(std::string_view arch, int sm_count) {
  DeviceTraits traits = known_devices(arch).front();
  traits.sm_count = sm_count > 0 ? sm_count : traits.sm_count;
  return traits;
}

}  // namespace kerncast
