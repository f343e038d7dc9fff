#include "cache/posix/file_system.hpp"

#include <sys/vfs.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace kerncast::cache {

bool is_on_network(const std::string& path) {
  // Magic numbers of statfs(2): NFS, SMB, CIFS, SMB2, 9P, CephFS, Lustre.
  constexpr std::uint32_t network[] = {0x6969,     0x517B,     0xFF534D42, 0xFE534D42,
                                       0x01021997, 0x00C36400, 0x0BD00BD0};
  struct statfs info{};
  return ::statfs(path.c_str(), &info) == 0 &&
         std::find(std::begin(network), std::end(network), static_cast<std::uint32_t>(info.f_type)) !=
             std::end(network);
}

}  // namespace kerncast::cache
