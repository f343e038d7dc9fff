#include <dlfcn.h>
#include <fmt/format.h>

#include <filesystem>
#include <string_view>
#include <system_error>

#include "cache/remote/server/remote_servers.hpp"
#include "runtime/util/elf_file.hpp"
#include "runtime/util/own_folder.hpp"
#include "runtime/util/printable.hpp"

namespace kerncast::cache {
namespace {

namespace fs = std::filesystem;

constexpr const char* module_name = "libkerncast-remote.so";
constexpr std::size_t longest_version = 64;

/// A version as a message shows it: the module may be any file.
std::string shown_version(const char* version) {
  const std::string_view text = version != nullptr ? version : "unknown";
  return printable_line(text.substr(0, longest_version));
}

/// Loads the module at `path`. It is never closed, since libcurl and a slow resolver keep threads of their
/// own.
const RemoteServers* load(const std::string& path, std::string& defect) {
  defect = library_defect(path);
  if (!defect.empty()) {
    return nullptr;
  }
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char* text = ::dlerror();
    defect = text != nullptr ? text : "unknown loader error";
    return nullptr;
  }
  const auto table = reinterpret_cast<const void* (*)()>(::dlsym(library, "kerncast_remote_servers"));
  if (table == nullptr) {
    defect = "it has no symbol kerncast_remote_servers";
    return nullptr;
  }
  const auto* servers = static_cast<const RemoteServers*>(table());
  if (servers == nullptr || servers->version == nullptr ||
      std::string_view(servers->version) != remote_servers_version) {
    defect =
        fmt::format("it belongs to Kerncast {}, and this library is {}",
                    shown_version(servers != nullptr ? servers->version : nullptr), remote_servers_version);
    return nullptr;
  }
  return servers;
}

}  // namespace

const RemoteServers* remote_servers(std::string& defect) {
  // The module is code that runs in the host, so it is taken from the folder of this library alone: not from
  // the loader's path, which LD_LIBRARY_PATH changes, and not from the current folder.
  const fs::path folder = own_folder();
  if (!folder.is_absolute()) {
    defect = fmt::format("{} cannot be found, since the system does not tell where this library lies",
                         module_name);
    return nullptr;
  }
  const std::string path = (folder / module_name).string();
  std::error_code error;
  if (!fs::exists(path, error)) {
    defect = fmt::format(
        "{} is missing; install it beside the library, from the same build, or unset "
        "KERNCAST_CACHE_REMOTE",
        path);
    return nullptr;
  }
  const RemoteServers* servers = load(path, defect);
  if (servers == nullptr) {
    defect =
        fmt::format("{} cannot be used: {}; install the one of this library's build beside it", path, defect);
  }
  return servers;
}

}  // namespace kerncast::cache
