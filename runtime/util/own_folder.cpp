#include "runtime/util/own_folder.hpp"

#include <dlfcn.h>
#include <link.h>

#include <system_error>

#include "runtime/util/environment.hpp"

namespace kerncast {

std::filesystem::path own_folder() {
  std::error_code error;
  Dl_info info{};
  void* extra = nullptr;
  const bool found = dladdr1(reinterpret_cast<const void*>(&own_folder), &info, &extra, RTLD_DL_LINKMAP) != 0;
  // The loader knows the program by no name. The name that dladdr gives it instead is the first argument,
  // which whoever started the program chose.
  if (const char* name = found && extra != nullptr ? static_cast<const link_map*>(extra)->l_name : "";
      *name != '\0') {
    return std::filesystem::canonical(name, error).parent_path();
  }
  return has_raised_privileges() ? std::filesystem::path()
                                 : std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
}

}  // namespace kerncast
