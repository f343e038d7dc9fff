#include "cache/remote/server/remote_server.hpp"

namespace kerncast::cache {

std::unique_ptr<RemoteServer> remote_server(const RemoteOptions&, std::string& defect) {
  defect = "this build of Kerncast has no support for remote servers (KERNCAST_BUILD_REMOTE=OFF)";
  return nullptr;
}

}  // namespace kerncast::cache
