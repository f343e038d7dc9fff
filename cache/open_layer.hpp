#pragma once

#include <memory>
#include <string>

#include "cache/posix/trust.hpp"
#include "cache/read_only_layer.hpp"

namespace kerncast::cache {

/// The read-only layer at `path`: a cache directory if `path` is a directory, else a pack. If nothing exists
/// at `path` yet, each look-up checks again. `trust` decides which owners and permissions are accepted.
[[nodiscard]] std::unique_ptr<ReadOnlyLayer> open_read_only_layer(std::string path, Trust trust);

}  // namespace kerncast::cache
