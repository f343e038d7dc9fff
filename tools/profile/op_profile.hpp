#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kerncast/reference.hpp"
#include "kerncast/runtime.hpp"
#include "tools/profile/launch_profile.hpp"
#include "tools/run/op_run.hpp"

namespace kerncast::tools {

struct OpProfileRequest {
  const OpDefinition* op = nullptr;
  std::vector<std::pair<std::string, std::string>> params;
  std::vector<std::pair<std::string, double>> scalars;
  std::int64_t rows = 0;
  std::string arch;     ///< what to compile for
  DeviceTraits traits;  ///< of the device whose tunables and launch geometry are used
  bool check = true;    ///< compare with the reference
};

/// One launch of an op, counted by the virtual GPU. The tensors' bytes and the verdict are of the whole call.
struct OpProfile {
  KernelReport report;
  std::int64_t rows = 0;
  bool checked = false;
  ReferenceResult verdict;
  LaunchProfile launch;
  std::uint64_t read_bytes = 0;     ///< of the tensors read
  std::uint64_t written_bytes = 0;  ///< of the tensors written
  /// Texts by the names that line info refers to: the generated unit and the templates.
  std::vector<std::pair<std::string, std::string>> sources;
};

/// Throws Error(unsupported) where the driver in use is not the virtual GPU.
void require_profiling(const Runtime& runtime);

/// Runs the op once on synthetic tensors with recording on; one profile for each launch of its stages, in
/// order. The kernels are compiled beside the cache, with line info; where there is no compiler, the cached
/// ones serve, without. Throws Error.
[[nodiscard]] std::vector<OpProfile> profile_op(Runtime& runtime, RunDevice& device,
                                                const OpProfileRequest& request);

}  // namespace kerncast::tools
