#pragma once

#include <optional>
#include <string>

namespace kerncast::cache {

/// The whole of a regular file; nothing when there is none, when it cannot be read, or when it is larger than
/// any entry.
[[nodiscard]] std::optional<std::string> read_file(const std::string& path);

}  // namespace kerncast::cache
