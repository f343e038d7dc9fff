#include "tools/tune/space/even_steps.hpp"

#include <cstddef>
#include <vector>

#include "tools/tune/space/stage_geometry.hpp"

namespace kerncast::tools {
namespace {

/// Fewer rows are no measure of the longest warp.
constexpr std::int64_t least_rows = 32;
/// A call of more rows is not examined row by row.
constexpr std::int64_t most_rows = 1 << 16;

/// True if the blocks of a stage, by number of rows, grow equally with every step, or are always none.
bool grows_evenly(const std::vector<std::uint64_t>& blocks, std::int64_t step) {
  const auto distance = static_cast<std::size_t>(step);
  const std::uint64_t growth = blocks[distance];
  bool any = false;
  for (std::size_t rows = 1; rows + distance < blocks.size(); ++rows) {
    if (blocks[rows + distance] != blocks[rows] + growth) {
      return false;
    }
    any = any || blocks[rows] != 0;
  }
  return growth != 0 || !any;
}

}  // namespace

std::optional<EvenSteps> even_steps(const OpDefinition& op, const Specialisation& spec,
                                    const Tunables& tunables, const DeviceTraits& traits, std::int64_t rows,
                                    std::int64_t rows_of_row, std::int64_t period) {
  if (rows > most_rows || 6 * least_rows > rows) {
    return std::nullopt;
  }
  std::vector<std::vector<std::uint64_t>> blocks(op.later_stages.size() + 1);
  for (std::size_t stage = 0; stage < blocks.size(); ++stage) {
    const LaunchGeometry whole = stage_geometry(op, stage)(spec, tunables, traits, rows * rows_of_row);
    blocks[stage].resize(static_cast<std::size_t>(rows) + 1);
    for (std::int64_t count = 1; count <= rows; ++count) {
      const LaunchGeometry made = stage_geometry(op, stage)(spec, tunables, traits, count * rows_of_row);
      if (made.block != whole.block || made.dynamic_shared != whole.dynamic_shared) {
        return std::nullopt;
      }
      blocks[stage][static_cast<std::size_t>(count)] = block_count(made);
    }
  }
  for (std::int64_t step = (least_rows + period - 1) / period * period; 6 * step <= rows; step += period) {
    bool even = true;
    for (std::size_t stage = 0; even && stage < blocks.size(); ++stage) {
      even = grows_evenly(blocks[stage], step);
    }
    if (even) {
      std::int64_t first = rows % step;
      first += first < least_rows ? step : 0;
      return EvenSteps{first, step, (rows - first) / step};
    }
  }
  return std::nullopt;
}

}  // namespace kerncast::tools
