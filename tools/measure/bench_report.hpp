#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/io/output.hpp"
#include "tools/measure/op_bench.hpp"

namespace kerncast::tools {

/// One call in the report of `kerncast bench`.
struct BenchRow {
  std::string spec;
  std::string label;  ///< places in a model; may be empty
  std::int64_t rows = 0;
  BenchResult result;
  std::string error;  ///< why the call was not measured; empty if it was

  /// True if the call and every contender was measured.
  [[nodiscard]] bool ok() const;
};

/// The facts that all calls of a report share.
struct BenchSetting {
  std::string op;
  std::string device;
  std::string arch;
  std::string estimate;  ///< why the times are no measurements of a device; empty if they are
  std::string policy;    ///< TimingPolicy::text()
  std::string data;      ///< SteeringData::text(); empty if the op has no such data
  std::uint64_t seed = 0;
  double width = 0;          ///< that RoundPolicy asks for
  double peak_gb_per_s = 0;  ///< of the device's memory; 0 if it is not known
};

/// GB/s (1e9 bytes) at which a call of `bytes` bytes that takes `us` microseconds moves them.
[[nodiscard]] double gb_per_s(double bytes, double us);

/// The report for people: a table with a line for each contender, and notes below it.
[[nodiscard]] Table bench_table(const BenchSetting& setting, const std::vector<BenchRow>& rows);
[[nodiscard]] std::string bench_notes(const BenchSetting& setting, const std::vector<BenchRow>& rows);

/// The report for programs. Samples are in microseconds, in the order of the rounds.
[[nodiscard]] Json bench_json(const BenchSetting& setting, const std::vector<BenchRow>& rows);

}  // namespace kerncast::tools
