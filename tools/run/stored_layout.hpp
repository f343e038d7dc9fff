#pragma once

#include <string>
#include <utility>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "kerncast/reference.hpp"

namespace kerncast::tools {

/// Gives inputs that a file holds as contiguous storage the shape and strides that `op` takes them in, as the
/// op plans its inputs at these settings: column-major scales of [T, G], which a file holds as [G, T], padded
/// if they are aligned for TMA. Such storage for each expert, [E, G, M], as an op with a mask writes it, is
/// joined to that of all rows. Other inputs stay as they are, and so does an input whose shape is not that
/// of the storage; the op then says what is wrong with it.
void apply_planned_layout(const OpDefinition& op,
                          const std::vector<std::pair<std::string, std::string>>& params,
                          std::vector<HostTensor>& inputs);

}  // namespace kerncast::tools
