#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/devices/cost_model.hpp"
#include "tools/io/output.hpp"
#include "tools/profile/op_profile.hpp"

namespace kerncast::tools {

/// A profile and its estimates by the cost model.
struct ProfileReport {
  OpProfile profile;
  std::string label;  ///< places of the op in the model; empty without a model
  const devices::DeviceDescription* device = nullptr;  ///< the device the kernel was compiled for
  std::vector<devices::Estimate> estimates;            ///< one for each described device
};

/// Makes a report with an estimate for every described device. `device` must outlive the report.
[[nodiscard]] ProfileReport make_report(OpProfile profile, std::string label,
                                        const devices::DeviceDescription& device);

/// The estimate for the report's own device.
[[nodiscard]] const devices::Estimate& own_estimate(const ProfileReport& report);

/// The report as the tables that the command prints.
[[nodiscard]] std::string report_text(const ProfileReport& report);
/// The whole report as JSON. The command's help documents the names.
[[nodiscard]] Json report_json(const ProfileReport& report);

/// Formats a number with thousands separators, such as "1,234,567".
[[nodiscard]] std::string grouped(std::uint64_t value);
/// Formats microseconds with three significant digits, such as "0.123", "12.3" or "1,234".
[[nodiscard]] std::string microseconds(double us);
/// Formats a grid or block size, such as "132x1x1".
[[nodiscard]] std::string extent(const std::array<std::uint32_t, 3>& size);

}  // namespace kerncast::tools
