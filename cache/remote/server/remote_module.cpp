#include "cache/remote/server/remote_servers.hpp"

/// The one function that libkerncast-remote.so offers: the table of its servers. It takes and returns nothing
/// of C++, so that the library can ask a module of any version for its version.
extern "C" __attribute__((visibility("default"))) const void* kerncast_remote_servers() {
  std::string defect;
  return kerncast::cache::remote_servers(defect);
}
