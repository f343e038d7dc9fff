#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "templates/norm/shared/rms_reference.hpp"

namespace kerncast::reference {

/// Checks q, s and y of a norm that quantises. row(i) is a row before it is normalised; x gives its shape.
void check_quantised_norm(Verdict& verdict, const ReferenceInput& input, const HostRows& x,
                          const std::function<std::vector<double>(std::int64_t)>& row);

}  // namespace kerncast::reference
