#include "runtime/compiler/nvrtc_state.hpp"

#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>
#include <sys/stat.h>

#include <cstddef>
#include <optional>
#include <vector>

#include "runtime/compiler/nvrtc_places.hpp"
#include "runtime/util/environment.hpp"

namespace kerncast::compiler {
namespace {

constexpr const char* loader_cache = "/etc/ld.so.cache";
// The loader prefers libraries for newer processors in these folders.
constexpr const char* loader_subfolders[] = {"", "glibc-hwcaps/x86-64-v4/", "glibc-hwcaps/x86-64-v3/",
                                             "glibc-hwcaps/x86-64-v2/"};

/// True if dlopen(`name`) would give a library that this process has already.
bool in_process(const std::string& name) {
  void* library = dlopen(name.c_str(), RTLD_LAZY | RTLD_NOLOAD);
  if (library != nullptr) {
    dlclose(library);
  }
  return library != nullptr;
}

/// The folders in which the loader looks for a library that the module with this code asks for, apart from
/// those that its cache names. Empty if it does not tell.
std::optional<std::vector<std::string>> loader_folders() {
  Dl_info info{};
  void* module = nullptr;
  if (dladdr1(reinterpret_cast<const void*>(&file_identity), &info, &module, RTLD_DL_LINKMAP) == 0 ||
      module == nullptr) {
    return std::nullopt;
  }
  Dl_serinfo size{};
  if (dlinfo(module, RTLD_DI_SERINFOSIZE, &size) != 0) {
    return std::nullopt;
  }
  std::vector<std::max_align_t> memory(size.dls_size / sizeof(std::max_align_t) + 1);
  auto* const all = reinterpret_cast<Dl_serinfo*>(memory.data());
  if (dlinfo(module, RTLD_DI_SERINFOSIZE, all) != 0 || dlinfo(module, RTLD_DI_SERINFO, all) != 0) {
    return std::nullopt;
  }
  std::vector<std::string> folders;
  folders.reserve(all->dls_cnt);
  for (unsigned i = 0; i < all->dls_cnt; ++i) {
    folders.emplace_back(all->dls_serpath[i].dls_name);
  }
  return folders;
}

}  // namespace

std::string file_identity(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    return "absent";
  }
  return fmt::format("{} {} {} {}.{:09} {}.{:09}", info.st_dev, info.st_ino, info.st_size,
                     info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_ctim.tv_sec, info.st_ctim.tv_nsec);
}

std::string nvrtc_state(const std::string& choice) {
  const std::string wanted = nvrtc_choice(choice);
  const std::optional<std::vector<std::string>> folders = loader_folders();
  if (wanted == "none" || !folders || !environment("LD_AUDIT").empty()) {
    return {};
  }
  std::string state = fmt::format("{}: {}\n", loader_cache, file_identity(loader_cache));
  for (const std::string& library : nvrtc_places(wanted).libraries) {
    if (library.find('/') != std::string::npos) {
      state += fmt::format("{}: {}\n", library, file_identity(library));
      continue;
    }
    if (in_process(library)) {
      return {};
    }
    state += library + '\n';
    for (const std::string& folder : *folders) {
      for (const char* subfolder : loader_subfolders) {
        const std::string path = fmt::format("{}/{}{}", folder, subfolder, library);
        state += fmt::format("{}: {}\n", path, file_identity(path));
      }
    }
  }
  return state;
}

}  // namespace kerncast::compiler
