#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <vector>

#include "tools/model/workload.hpp"
#include "tools/run/op_run.hpp"

namespace kerncast::tools {

/// Keeps the synthetic inputs of the last calls, since drawing them takes longer than a candidate does. Not
/// thread-safe.
class KeptInputs {
 public:
  /// The inputs of a call of `rows` rows of `workload`. Valid until the next call of of().
  [[nodiscard]] const std::vector<HostTensor>& of(const Workload& workload, std::int64_t rows);

 private:
  struct Kept {
    std::string name;
    std::vector<HostTensor> inputs;
  };
  std::list<Kept> kept_;  ///< the latest first
};

}  // namespace kerncast::tools
