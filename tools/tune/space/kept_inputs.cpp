#include "tools/tune/space/kept_inputs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace kerncast::tools {

const std::vector<HostTensor>& KeptInputs::of(const Workload& workload, std::int64_t rows) {
  // A sweep alternates between the two row counts from which it extrapolates.
  constexpr std::size_t most = 2;
  const std::string name = fmt::format("{} {} {} {}", workload.op->name, fmt::join(workload.params, " "),
                                       fmt::join(workload.scalars, " "), rows);
  const auto found =
      std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) { return kept.name == name; });
  if (found != kept_.end()) {
    kept_.splice(kept_.begin(), kept_, found);
    return kept_.front().inputs;
  }
  kept_.resize(std::min(kept_.size(), most - 1));
  kept_.push_front({name, synthetic_inputs(*workload.op, workload.params, workload.scalars, rows)});
  return kept_.front().inputs;
}

}  // namespace kerncast::tools
