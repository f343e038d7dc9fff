#pragma once

#include <string>

namespace kerncast::tools {

/// Path of this command, which it starts again as a worker. Empty if the system does not tell.
[[nodiscard]] std::string own_path();

}  // namespace kerncast::tools
