#include "runtime/communicator/peer_api.hpp"

#include <fmt/format.h>

#include "kerncast/error.hpp"

namespace kerncast::driver {

PeerApi load_peer_api(const Driver& driver) {
  PeerApi api;
  const auto find = [&]<class Function>(Function*& function, const char* name) {
    function = reinterpret_cast<Function*>(driver.symbol(name));
    if (function == nullptr) {
      throw Error(ErrorCode::unsupported, fmt::format("the driver has no {}", name));
    }
  };
  find(api.can_access, "cuDeviceCanAccessPeer");
  find(api.enable, "cuCtxEnablePeerAccess");
  find(api.share, "cuIpcGetMemHandle");
  find(api.open, "cuIpcOpenMemHandle");
  find(api.close, "cuIpcCloseMemHandle");
  return api;
}

}  // namespace kerncast::driver
