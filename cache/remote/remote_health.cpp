#include "cache/remote/address/remote_credentials.hpp"
#include "cache/remote/server/remote_server.hpp"

namespace kerncast::cache {

std::string remote_defect(const RemoteOptions& options) {
  // A server that needs no file, since its URL has a password, leaves it unread.
  std::string defect = options.credentials_file.empty()
                           ? std::string()
                           : credentials_defect(options.credentials_file, options.credentials_trust);
  if (!defect.empty()) {
    return defect;
  }
  const std::unique_ptr<RemoteServer> server = remote_server(options, defect);
  if (server == nullptr) {
    return defect;
  }
  const RemoteAnswer answer = server->get("kerncast-health", Deadline::after(options.request_time()));
  return answer.state == RemoteState::failed ? answer.failure : std::string();
}

}  // namespace kerncast::cache
