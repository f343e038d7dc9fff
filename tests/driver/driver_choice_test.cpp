#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

#include "kerncast/error.hpp"
#include "runtime/driver/driver_api.hpp"
#include "runtime/driver/driver_error.hpp"

using namespace kerncast;
using namespace kerncast::driver;

// There is one test case, since a process initialises a driver once. The refusals come first.
TEST_CASE("the virtual GPU is chosen by path, by name and by environment") {
  setenv("KERNCAST_SIM_ARCH", "sm_77", 1);
  DriverSearch search = search_driver(KERNCAST_SIM_LIBRARY);
  CHECK(search.driver == nullptr);
  REQUIRE(search.candidates.size() == 1);
  CHECK(search.candidates[0].path == KERNCAST_SIM_LIBRARY);
  CHECK(search.candidates[0].refused.find("KERNCAST_SIM_ARCH is sm_77") != std::string::npos);
  unsetenv("KERNCAST_SIM_ARCH");
  setenv("KERNCAST_SIM_DEVICES", "0", 1);
  search = search_driver(KERNCAST_SIM_LIBRARY);
  CHECK(search.driver == nullptr);
  CHECK(search.candidates.at(0).refused.find("CUDA_ERROR_NO_DEVICE") != std::string::npos);
  setenv("KERNCAST_SIM_DEVICES", "3", 1);

  const std::shared_ptr<const Driver> driver = load_driver(KERNCAST_SIM_LIBRARY);
  CHECK(driver->kind == DriverKind::sim);
  CHECK(driver->is_virtual);
  CHECK(kind_name(driver->kind) == "sim");
  CHECK(driver->version == 13020);
  CHECK(driver->device_count == 3);
  CHECK(std::filesystem::equivalent(driver->path, KERNCAST_SIM_LIBRARY));
  CHECK(driver->symbol("cuCtxCreate_v2") != nullptr);
  CHECK(driver->symbol("cuNoSuchThing") == nullptr);
  // A bare name is the function that cuda.h maps it to.
  for (const auto& [bare, exported] :
       {std::pair("cuMemAlloc", "cuMemAlloc_v2"),
        std::pair("cuStreamBeginCapture", "cuStreamBeginCapture_v2"),
        std::pair("cuGraphInstantiate", "cuGraphInstantiateWithFlags"),
        std::pair("cuMemcpyHtoD", "cuMemcpyHtoD_v2"), std::pair("cuCtxCreate", "cuCtxCreate_v2"),
        std::pair("cuGetProcAddress", "cuGetProcAddress_v2")}) {
    INFO(bare);
    CHECK(driver->symbol(bare) != nullptr);
    CHECK(driver->symbol(bare) == driver->symbol(exported));
  }

  // The environment decides if the caller does not.
  setenv("KERNCAST_DRIVER", KERNCAST_SIM_LIBRARY, 1);
  CHECK(load_driver()->api.cuInit == driver->api.cuInit);
  setenv("KERNCAST_DRIVER", "/nonexistent/driver.so", 1);
  CHECK_THROWS_AS(load_driver(), Error);
  CHECK(load_driver(KERNCAST_SIM_LIBRARY)->api.cuInit == driver->api.cuInit);

  try {
    check(driver->api, driver->api.cuCtxSynchronize(), "waiting for nothing");
    FAIL("no error");
  } catch (const Error& error) {
    const std::string message = error.what();
    CHECK(error.code() == ErrorCode::driver_error);
    CHECK(message.find("waiting for nothing") != std::string::npos);
    CHECK(message.find("CUDA_ERROR_INVALID_CONTEXT (201)") != std::string::npos);
    CHECK(message.find("no context is current") != std::string::npos);
    CHECK(message.find("Runtime::make_current") != std::string::npos);
  }
}
