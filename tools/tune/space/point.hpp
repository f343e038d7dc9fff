#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/util/row_range_text.hpp"
#include "tools/model/workload.hpp"

namespace kerncast::tools {

/// One op at one specialisation, on one kind of device, for the row counts of one bucket: what one choice of
/// tunables serves.
struct Point {
  Workload workload;
  Specialisation spec;
  std::string spec_text;  ///< as format_specialisation writes it
  std::string arch;       ///< "sm_90a"
  DeviceTraits traits;
  std::int64_t rows = 1;      ///< the row count that is searched
  std::int64_t rows_low = 1;  ///< the row counts of the bucket, inclusive
  std::int64_t rows_high = 1;

  [[nodiscard]] const OpDefinition& op() const { return *workload.op; }
};

/// The point of a call of `rows` rows of `workload`. Throws Error if the op does not take so many rows.
[[nodiscard]] Point point_of(const Workload& workload, const std::string& arch, const DeviceTraits& traits,
                             std::int64_t rows);

/// The traits of a device as trials name them, "sm=90 sm_count=132 shared=232448", and back; empty if `text`
/// is none.
[[nodiscard]] std::string format_traits(const DeviceTraits& traits);
[[nodiscard]] std::optional<DeviceTraits> parse_traits(const std::string& text);

/// Name of a point in messages: "norm.rms_norm [x_dtype=bf16 hidden=7168] for sm_90a, 33 to 64 rows".
[[nodiscard]] std::string describe(const Point& point);

/// The row counts at which a choice for `point` is validated: both edges of the bucket, and one in between
/// that `seed` decides. The row count of the search and those that the op does not take are left out. A
/// bucket without end has twice its lowest row count as the upper edge.
[[nodiscard]] std::vector<std::int64_t> validation_rows(const Point& point, std::uint64_t seed);

}  // namespace kerncast::tools
