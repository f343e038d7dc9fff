#include "runtime/driver/driver_api.hpp"

#include <catch2/catch.hpp>

#include "kerncast/error.hpp"
#include "runtime/driver/device.hpp"

using namespace kerncast;
using namespace kerncast::driver;

TEST_CASE("a named driver that is not there is refused with its reason") {
  const DriverSearch search = search_driver("/nonexistent/libcuda.so");
  CHECK(search.driver == nullptr);
  REQUIRE(search.candidates.size() == 1);
  CHECK(!search.candidates[0].refused.empty());
  try {
    static_cast<void>(load_driver("/nonexistent/libcuda.so"));
    FAIL("loaded");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::not_found);
    CHECK(std::string(error.what()).find("/nonexistent/libcuda.so") != std::string::npos);
    CHECK(std::string(error.what()).find("KERNCAST_DRIVER") != std::string::npos);
  }
}

TEST_CASE("a library that is no driver is refused by the symbols it lacks") {
  const DriverSearch search = search_driver("libm.so.6");
  CHECK(search.driver == nullptr);
  REQUIRE(search.candidates.size() == 1);
  CHECK(search.candidates[0].refused.find("cuInit") != std::string::npos);
}

TEST_CASE("architectures carry their specific suffix from sm_90 on") {
  CHECK(arch_of(75) == "sm_75");
  CHECK(arch_of(89) == "sm_89");
  CHECK(arch_of(90) == "sm_90a");
  CHECK(arch_of(121) == "sm_121a");
}
