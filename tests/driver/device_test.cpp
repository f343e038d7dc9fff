#include "runtime/driver/device.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "kerncast/error.hpp"
#include "runtime/driver/context.hpp"

using namespace kerncast;
using namespace kerncast::driver;

namespace {

// The first cuInit reads these variables.
std::shared_ptr<const Driver> two_devices() {
  static const std::shared_ptr<const Driver> driver = [] {
    setenv("KERNCAST_SIM_DEVICES", "2", 1);
    setenv("KERNCAST_SIM_ARCH", "sm_120a", 1);
    return load_driver(KERNCAST_SIM_LIBRARY);
  }();
  return driver;
}

}  // namespace

TEST_CASE("architectures with instructions of their own carry the suffix") {
  CHECK(arch_of(75) == "sm_75");
  CHECK(arch_of(89) == "sm_89");
  CHECK(arch_of(90) == "sm_90a");
  CHECK(arch_of(100) == "sm_100a");
  CHECK(arch_of(121) == "sm_121a");
}

TEST_CASE("devices describe themselves") {
  const DriverApi& api = two_devices()->api;
  CHECK(two_devices()->device_count == 2);
  const DeviceInfo first = query_device(api, 0);
  const DeviceInfo second = query_device(api, 1);
  CHECK(first.name == "Kerncast virtual GPU (sm_120)");
  CHECK(first.sm == 120);
  CHECK(first.arch == "sm_120a");
  CHECK(first.sm_count == 170);
  CHECK(first.max_threads_per_block == 1024);
  CHECK(first.max_threads_per_sm == 1536);
  CHECK(first.max_shared_per_block_optin == 99 * 1024);
  CHECK(first.registers_per_sm == 65536);
  CHECK(first.clock_khz > 1000000);
  CHECK(first.memory_bus_bits == 512);
  CHECK(first.total_memory > (std::size_t{1} << 28));
  CHECK(second.ordinal == 1);
  CHECK(first.uuid.size() == 40);
  CHECK(first.uuid != second.uuid);
  for (const int ordinal : {-1, 2}) {
    try {
      static_cast<void>(query_device(api, ordinal));
      FAIL("there is no device " << ordinal);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::invalid_argument);
    }
  }
}

TEST_CASE("two devices have contexts and memory of their own, and copy between them") {
  const PrimaryContext first(two_devices(), 0);
  const DriverApi& api = first.api();
  std::vector<int> values(1000);
  std::iota(values.begin(), values.end(), 1);
  const DeviceBuffer here(api, 4000);
  here.upload(values.data(), 4000);
  std::vector<int> seen(1000);
  {
    const PrimaryContext second(two_devices(), 1);
    CHECK(second.handle() != first.handle());
    CUdevice device = -1;
    CHECK(api.cuCtxGetDevice(&device) == CUDA_SUCCESS);
    CHECK(device == 1);
    const DeviceBuffer there(api, 4000);
    int ordinal = -1;
    CHECK(api.cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, there.address()) ==
          CUDA_SUCCESS);
    CHECK(ordinal == 1);
    CHECK(api.cuMemcpyDtoD(there.address(), here.address(), 4000) == CUDA_SUCCESS);
    there.download(seen.data(), 4000);
  }
  CHECK(seen == values);
  CUdevice device = -1;
  CHECK(api.cuCtxGetDevice(&device) == CUDA_SUCCESS);
  CHECK(device == 0);
  CHECK_THROWS_AS(PrimaryContext(two_devices(), 5), Error);
}
