#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kerncast::cache {

/// Where a tuned record's time comes from.
enum class TunedSource : std::uint8_t {
  estimate,  ///< of a model of the device
  measured,  ///< on the device itself
};
[[nodiscard]] std::string_view name_of(TunedSource source);

/// The tunables found best for one op, specialisation, architecture and range of row counts.
struct TunedRecord {
  std::string op;
  std::string spec;  ///< as users write it, "x_dtype=bf16 hidden=7168"
  std::string arch;  ///< "sm_90a"
  std::int64_t rows_low = 1;
  std::int64_t rows_high = 1;  ///< inclusive
  TunedSource source = TunedSource::estimate;
  std::string device;  ///< the device measured on, or the description estimated with
  std::vector<std::pair<std::string, std::int32_t>> tunables;
  double time_us = 0;
  std::string templates;         ///< digest of the template text that was tuned
  std::int64_t recorded_us = 0;  ///< when, in microseconds of Unix time

  [[nodiscard]] bool operator==(const TunedRecord&) const = default;
};

/// Why `record` cannot be kept; empty where it can.
[[nodiscard]] std::string defect_of(const TunedRecord& record);

/// "threads=256 rows_per_block=1".
[[nodiscard]] std::string format_tunables(const TunedRecord& record);
/// Nothing where `text` is not what format_tunables writes.
[[nodiscard]] std::optional<std::vector<std::pair<std::string, std::int32_t>>> parse_tunables(
    std::string_view text);

/// Op, specialisation, architecture, rows, source and device: of two records that share them all, the newer
/// is kept.
[[nodiscard]] bool same_place(const TunedRecord& a, const TunedRecord& b);
/// The order of lists: by op, specialisation, architecture, rows, measured before estimates, device.
[[nodiscard]] bool in_order(const TunedRecord& a, const TunedRecord& b);

/// XXH3-64 of every field.
[[nodiscard]] std::uint64_t checksum_of(const TunedRecord& record);

/// Records as bytes, little endian:
///
///     records = u32 count, { text op, text spec, text arch, i64 rows_low, i64 rows_high, text source,
///                            text device, text tunables, u64 time (the bits of a double), text templates,
///                            i64 recorded }          in order, none in another's place
///     text    = u64 length, bytes
[[nodiscard]] std::string serialise_records(const std::vector<TunedRecord>& records);
/// Nothing where `bytes` are anything else.
[[nodiscard]] std::optional<std::vector<TunedRecord>> parse_records(std::string_view bytes);

}  // namespace kerncast::cache
