#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tools/io/output.hpp"
#include "tools/profile/cost_model.hpp"
#include "tools/profile/op_profile.hpp"

namespace kerncast::tools {

/// A profile and what the cost model makes of it.
struct ProfileReport {
  OpProfile profile;
  std::string label;                          ///< where a model has this op; empty without one
  const DeviceDescription* device = nullptr;  ///< the device the kernel was compiled for
  std::vector<Estimate> estimates;            ///< one for each device described
};

/// Adds an estimate for every device described. `device` must outlive the report.
[[nodiscard]] ProfileReport make_report(OpProfile profile, std::string label,
                                        const DeviceDescription& device);

/// The estimate for the report's own device.
[[nodiscard]] const Estimate& own_estimate(const ProfileReport& report);

/// The tables that the command prints.
[[nodiscard]] std::string report_text(const ProfileReport& report);
/// Everything, under the names that the command's help documents.
[[nodiscard]] Json report_json(const ProfileReport& report);

/// "1,234,567".
[[nodiscard]] std::string grouped(std::uint64_t value);
/// Microseconds with three digits that matter: "0.123", "12.3", "1,234".
[[nodiscard]] std::string microseconds(double us);
/// "132x1x1".
[[nodiscard]] std::string extent(const std::array<std::uint32_t, 3>& size);

}  // namespace kerncast::tools
