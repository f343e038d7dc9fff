#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kerncast {

/// The candidate with the fewest edits to `name`; empty when none is near enough to be a likely slip.
[[nodiscard]] std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace kerncast
