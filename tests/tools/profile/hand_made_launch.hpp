#pragma once

#include <vector>

#include "tools/profile/profile_report.hpp"

/// A hand-made launch in the form that the virtual GPU would give: 20 blocks of 64 threads, so 40 warps.
struct HandMadeLaunch {
  HandMadeLaunch();

  std::vector<KerncastSimInstruction> instructions;
  KerncastSimLaunch launch{};
};

/// A report on that launch, as if an op quant.toy had been compiled for `device`.
[[nodiscard]] kerncast::tools::ProfileReport hand_made_report(const char* device = "h100");
