#include "tools/tune/space/kept_inputs.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "tools/tune/space/call_shape.hpp"

namespace kerncast::tools {

const std::vector<HostTensor>& KeptInputs::of(const Workload& workload, std::int64_t rows) {
  // A sweep returns to the row counts from which it extrapolates for each batch of candidates.
  constexpr std::size_t most = 48;
  constexpr std::size_t most_bytes = std::size_t{512} << 20;
  const std::string name = fmt::format("{} {}", text_of(workload), rows);
  const auto found =
      std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) { return kept.name == name; });
  if (found != kept_.end()) {
    kept_.splice(kept_.begin(), kept_, found);
    return kept_.front().inputs;
  }
  kept_.push_front({name, synthetic_inputs(*workload.op, workload.params, workload.scalars, rows)});
  std::size_t bytes = 0;
  std::size_t count = 0;
  const auto end = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) {
    for (const HostTensor& tensor : kept.inputs) {
      bytes += tensor.bytes.size();
    }
    ++count;
    return count > 1 && (count > most || bytes > most_bytes);
  });
  kept_.erase(end, kept_.end());
  return kept_.front().inputs;
}

}  // namespace kerncast::tools
