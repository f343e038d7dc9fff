#pragma once

#include <cstddef>
#include <string>

#include "kerncast/runtime.hpp"

namespace kerncast::tools {

/// Says whether the kernels of a warm-up outlive it, since a deployment relies on the exit code for that.
class WarmStore {
 public:
  /// `layers` is the number of read-only layers that later processes have too; a pack that only this process
  /// reads comes after them.
  WarmStore(Runtime& runtime, std::size_t layers) : runtime_(runtime), layers_(layers) {}

  /// The reason why no further kernel can be kept; empty if one can, in the directory or on the server.
  [[nodiscard]] std::string defect() const;

  /// The reason why the next process cannot load this kernel; empty if it can. Thread-safe.
  [[nodiscard]] std::string loss(const KernelReport& report) const;

  /// True if entries were removed since the runtime was made, to keep the budget of the directory.
  [[nodiscard]] bool evicted() const;

 private:
  Runtime& runtime_;
  std::size_t layers_;
};

}  // namespace kerncast::tools
