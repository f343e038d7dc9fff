#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kerncast::cache {

/// The whole of a regular file; nothing when it cannot be read.
[[nodiscard]] std::optional<std::string> read_file(const std::string& path);

/// Writes `bytes` to a temporary name in `path`'s folder, fsyncs, renames over `path` and fsyncs the folder,
/// so that a reader sees the old file or the whole new one. Returns an empty string, or what failed; the
/// temporary is removed.
[[nodiscard]] std::string publish_file(const std::string& path, std::string_view bytes);

/// Creates `path` and its parents for this user alone. Returns an empty string, or what failed.
[[nodiscard]] std::string make_folders(const std::string& path);

/// Names of temporaries begin with this, so that left ones can be told from entries.
constexpr std::string_view temporary_prefix = ".tmp-";

}  // namespace kerncast::cache
