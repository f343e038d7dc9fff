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
  std::string arch;     ///< architecture to compile for
  DeviceTraits traits;  ///< the device whose tunables and launch geometry are used
  bool check = true;    ///< compare with the reference
};

/// One launch of an op, counted by the virtual GPU. The tensor bytes and the verdict belong to the whole
/// call, which may have several launches.
struct OpProfile {
  KernelReport report;
  std::int64_t rows = 0;
  bool checked = false;
  ReferenceResult verdict;
  LaunchProfile launch;
  std::uint64_t read_bytes = 0;     ///< size of the tensors read
  std::uint64_t written_bytes = 0;  ///< size of the tensors written
  /// The generated translation unit and the templates, by the file names in the line info.
  std::vector<std::pair<std::string, std::string>> sources;
};

/// Throws Error(unsupported) if the driver in use is not the virtual GPU.
void require_profiling(const Runtime& runtime);

/// Runs the op once on synthetic tensors while the virtual GPU records. Returns one profile for each launch,
/// in the order of the op's stages. The kernels are compiled with line info and without using the cache. If
/// there is no compiler, cached kernels without line info are used. Throws Error.
[[nodiscard]] std::vector<OpProfile> profile_op(Runtime& runtime, RunDevice& device,
                                                const OpProfileRequest& request);

}  // namespace kerncast::tools
