#pragma once

#include <string>
#include <vector>

#include "tools/io/safetensors.hpp"

namespace kerncast::tools {

/// The first tensor of `own`, the outputs of the default, that differs from that of the same place in
/// `other`, in words; empty if all bytes are the same.
[[nodiscard]] std::string outputs_difference(const std::vector<StoredTensor>& own,
                                             const std::vector<StoredTensor>& other);

}  // namespace kerncast::tools
