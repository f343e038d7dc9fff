#include "tools/io/own_path.hpp"

#include <filesystem>
#include <system_error>

namespace kerncast::tools {

std::string own_path() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).string();
}

}  // namespace kerncast::tools
