#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "kerncast/runtime.hpp"
#include "tools/run/op_run.hpp"
#include "tools/tune/space/kept_inputs.hpp"
#include "tools/tune/space/point.hpp"
#include "tools/tune/space/space.hpp"

namespace kerncast::tools {

/// Compares what candidates compute with what the default computes, bit for bit. A tunable changes speed and
/// nothing else; a candidate that breaks this is a defect of its op. Results are remembered, so rows of
/// several buckets share a comparison. Not thread-safe.
class ResultCheck {
 public:
  /// `runtime` and `device` must outlive the object.
  ResultCheck(Runtime& runtime, RunDevice& device) : runtime_(runtime), device_(device) {}

  /// The tensor that differs, in words, if `rows` rows of `candidate` and of `own` differ; empty if they are
  /// equal, and if the default's own result changes from call to call, as that of an op with atomic sums.
  /// Throws Error if a launch fails.
  [[nodiscard]] std::string difference(const Point& point, std::int64_t rows, const Candidate& candidate,
                                       const Candidate& own);

 private:
  [[nodiscard]] std::vector<StoredTensor> outputs(const Point& point, std::int64_t rows,
                                                  const Tunables& tunables);

  Runtime& runtime_;
  RunDevice& device_;
  KeptInputs inputs_;
  std::string own_name_;
  std::vector<StoredTensor> own_;
  std::map<std::string, std::string> known_;
};

}  // namespace kerncast::tools
