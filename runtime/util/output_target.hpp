#pragma once

#include <string>

namespace kerncast {

/// The file that writing to a path changes.
struct OutputTarget {
  std::string path;  ///< the path, or what its symbolic links lead to; it need not exist
  /// A link on the way that neither this user nor root made. Whoever made it chooses the file that is
  /// overwritten.
  std::string foreign_link;
};

/// Follows the symbolic links that `path` ends in.
[[nodiscard]] OutputTarget output_target(const std::string& path);

}  // namespace kerncast
