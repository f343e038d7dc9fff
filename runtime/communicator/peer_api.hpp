#pragma once

#include "runtime/driver/driver_api.hpp"

namespace kerncast::driver {

/// Peer access and CUDA IPC, which no other part of the library uses.
struct PeerApi {
  /// A CUipcMemHandle.
  struct Handle {
    char bytes[64];
  };
  CUresult (*can_access)(int* can, CUdevice device, CUdevice peer) = nullptr;
  CUresult (*enable)(CUcontext peer, unsigned int flags) = nullptr;
  CUresult (*share)(Handle* handle, CUdeviceptr pointer) = nullptr;
  CUresult (*open)(CUdeviceptr* pointer, Handle handle, unsigned int flags) = nullptr;
  CUresult (*close)(CUdeviceptr pointer) = nullptr;
};

/// The functions of `driver`. Throws Error(unsupported) if it lacks one.
[[nodiscard]] PeerApi load_peer_api(const Driver& driver);

}  // namespace kerncast::driver
