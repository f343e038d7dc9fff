#pragma once

#include <cstdlib>
#include <optional>
#include <string>

#include "tests/temporary_directory.hpp"

namespace kerncast::test {

/// The directory in which a test keeps its kernels: the one that KERNCAST_TEST_CACHE names, which several
/// builds may share since their keys are the same; else a temporary one that this object removes.
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
