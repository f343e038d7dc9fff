#pragma once

#include <string>
#include <string_view>

namespace kerncast::tools {

/// The cause in an error message about a kernel: the message without the op, specialisation and architecture
/// that it begins with. Kernels that fail for one reason have the same cause.
[[nodiscard]] std::string cause_of(std::string_view message, std::string_view op, std::string_view spec,
                                   std::string_view arch);

}  // namespace kerncast::tools
