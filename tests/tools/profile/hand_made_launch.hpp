#pragma once

#include <vector>

#include "tools/profile/profile_report.hpp"

/// A launch as the virtual GPU would hand it over, made by hand: 20 blocks of 64 threads, so 40 warps.
struct HandMadeLaunch {
  HandMadeLaunch();

  std::vector<KerncastSimInstruction> instructions;
  KerncastSimLaunch launch{};
};

/// A report on that launch, as of a quant.toy op compiled for `device`.
[[nodiscard]] kerncast::tools::ProfileReport hand_made_report(const char* device = "h100");
