#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace kerncast::cache {

constexpr std::uint64_t default_file_limit = 256ULL << 20;

/// The content of a regular file. Empty if no file exists at `path`, if it cannot be read, or if it has more
/// than `limit` bytes.
[[nodiscard]] std::optional<std::string> read_file(const std::string& path,
                                                   std::uint64_t limit = default_file_limit);

}  // namespace kerncast::cache
