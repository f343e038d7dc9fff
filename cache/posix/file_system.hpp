#pragma once

#include <string>

namespace kerncast::cache {

/// True if `path` is on NFS, SMB, 9P, Ceph or Lustre, where file locks may not work.
[[nodiscard]] bool is_on_network(const std::string& path);

}  // namespace kerncast::cache
