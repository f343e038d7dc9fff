#pragma once

#include <cstdlib>
#include <optional>
#include <string>

#include "tests/temporary_directory.hpp"

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
    path_ = own_.emplace().path();
  }

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::optional<TemporaryDirectory> own_;
  std::string path_;
};

}  // namespace kerncast::test
