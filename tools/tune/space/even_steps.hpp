#pragma once

#include <cstdint>
#include <optional>

#include "kerncast/op_definition.hpp"

namespace kerncast::tools {

/// Row counts at even distances, `first`, `first + step`, ..., of which a call of many rows is the one after
/// `steps` steps.
struct EvenSteps {
  std::int64_t first = 0;
  std::int64_t step = 0;
  std::int64_t steps = 0;

  [[nodiscard]] std::int64_t rows(std::int64_t number) const { return first + number * step; }
};

/// Short steps to a call of `rows` rows in which every launch gets equally many blocks more, so that each
/// step repeats the blocks of the one before. A step is a multiple of `period` rows, after which whatever a
/// row reads or writes begins at the same place of a sector of memory (sector_period()). Empty if there are
/// no steps of a sixth of `rows`, as for a launch whose blocks do not grow with the rows. `rows_of_row` is
/// the number of rows of the call, as geometry sees them, for each of `rows`: the experts of an op with a
/// mask.
[[nodiscard]] std::optional<EvenSteps> even_steps(const OpDefinition& op, const Specialisation& spec,
                                                  const Tunables& tunables, const DeviceTraits& traits,
                                                  std::int64_t rows, std::int64_t rows_of_row,
                                                  std::int64_t period);

}  // namespace kerncast::tools
