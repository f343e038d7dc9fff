#include "runtime/compiler/nvrtc_api.hpp"

#include <catch2/catch.hpp>

using namespace kerncast::compiler;

TEST_CASE("NVRTC switched off is absent, with a remedy") {
  const NvrtcSearch search = load_nvrtc("none");
  CHECK(search.nvrtc == nullptr);
  CHECK(search.candidates.empty());
  CHECK(search.remedy.find("KERNCAST_NVRTC") != std::string::npos);
}

TEST_CASE("a named path that is no NVRTC is never replaced by another") {
  const NvrtcSearch missing = load_nvrtc("/nonexistent/libnvrtc.so.13");
  CHECK(missing.nvrtc == nullptr);
  REQUIRE(missing.candidates.size() == 1);
  CHECK(!missing.candidates[0].refused.empty());
  CHECK(missing.remedy.find("/nonexistent/libnvrtc.so.13") != std::string::npos);

  const NvrtcSearch other = load_nvrtc("libm.so.6");
  CHECK(other.nvrtc == nullptr);
  REQUIRE(other.candidates.size() == 1);
  CHECK(other.candidates[0].refused.find("nvrtcVersion") != std::string::npos);
}

TEST_CASE("a folder without the library says so") {
  const NvrtcSearch search = load_nvrtc("/tmp");
  CHECK(search.nvrtc == nullptr);
  CHECK(search.remedy.find("holds no libnvrtc") != std::string::npos);
}

TEST_CASE("a loaded NVRTC reports its version and path") {
  const NvrtcSearch search = load_nvrtc();
  if (search.nvrtc == nullptr) {
    WARN("no NVRTC on this machine: " << search.remedy);
    CHECK(!search.remedy.empty());
    return;
  }
  CHECK(search.nvrtc->major >= 12);
  CHECK(!search.nvrtc->path.empty());
  CHECK(search.candidates.back().refused.empty());
  CHECK(search.remedy.empty());
}
