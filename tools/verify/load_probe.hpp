#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cache/entry.hpp"
#include "runtime/dispatch/device_state.hpp"

namespace kerncast::tools {

/// The outcome of loading an entry.
struct LoadOutcome {
  bool tried = false;   ///< false if no device takes the entry's code
  std::string defect;   ///< why it cannot be loaded; empty if it can
  bool lasting = true;  ///< false if something else than the code is to blame, such as memory
};

/// Loads entries on the devices of this machine as a launch does, and unloads them again. It is used by one
/// thread.
class LoadProbe {
 public:
  /// Throws Error(not_found) if there is no driver with a device, and Error(driver_error) if one cannot be
  /// opened.
  LoadProbe();

  /// Loads `entry` on the first device of its architecture, or else on one that takes its PTX.
  [[nodiscard]] LoadOutcome load(const cache::Entry& entry);

 private:
  std::vector<std::unique_ptr<DeviceState>> devices_;
};

/// True if a device of compute capability `sm` takes PTX for `arch`. PTX for sm_80 runs on every later
/// device, that for sm_90a on such devices alone, and that for sm_100f on devices of the same family.
[[nodiscard]] bool takes_ptx(std::string_view arch, int sm);

}  // namespace kerncast::tools
