#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

namespace kerncast::test {

/// Where a test keeps its kernels: the directory that KERNCAST_TEST_CACHE names, which may hold what the
/// tests of another build compiled, whose keys are the same; else one that goes with this object.
class KernelCache {
 public:
  KernelCache() {
    if (const char* shared = std::getenv("KERNCAST_TEST_CACHE"); shared != nullptr && *shared != '\0') {
      path_ = shared;
      return;
    }
    path_ = (std::filesystem::temp_directory_path() / "kerncast-op-tests-XXXXXX").string();
    if (::mkdtemp(path_.data()) == nullptr) {
      throw std::runtime_error("cannot make a temporary directory for the kernel cache");
    }
    own_ = true;
  }
  ~KernelCache() {
    std::error_code ignored;
    if (own_) {
      std::filesystem::remove_all(path_, ignored);
    }
  }
  KernelCache(const KernelCache&) = delete;
  KernelCache& operator=(const KernelCache&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
  bool own_ = false;
};

}  // namespace kerncast::test
