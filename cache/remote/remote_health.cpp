#include "cache/remote/remote_server.hpp"

namespace kerncast::cache {

std::string remote_defect(const RemoteOptions& options) {
  std::string defect;
  const std::unique_ptr<RemoteServer> server = remote_server(options, defect);
  if (server == nullptr) {
    return defect;
  }
  const RemoteAnswer answer = server->get("kerncast-health", Deadline::after(options.request_time()));
  return answer.state == RemoteState::failed ? answer.failure : std::string();
}

}  // namespace kerncast::cache
