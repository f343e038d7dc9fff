#include <string>
#include <vector>

#include "tests/simulator/driver/fixture.hpp"

// Clusters by the driver: launch attributes, what kernels require, and occupancy.
// tests/simulator/exec/cluster_test.cpp has what blocks of a cluster do.
namespace kerncast::tests {
namespace {

/// `sum` adds up the block numbers of each cluster in the memory of its first block; `pairs` is compiled for
/// clusters of two, and `told` must be told a size.
const std::string text = [] {
  const std::string body = "(.param .u64 out)";
  const std::string code =
      "{ .shared .align 4 .b32 s; .reg .u64 o; .reg .u32 a, v, r, c; .reg .pred p;\n"
      "ld.param.u64 o, [out]; mov.u32 r, %cluster_ctarank; mov.u32 a, s; st.shared.u32 [a], 0;\n"
      "barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned; mapa.shared::cluster.u32 v, a, 0;\n"
      "mov.u32 c, %ctaid.x; add.u32 c, c, 1; red.shared::cluster.add.u32 [v], c;\n"
      "barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned; ld.shared.u32 v, [a];\n"
      "mov.u32 c, %clusterid.x; mad.wide.u32 o, c, 4, o; setp.eq.u32 p, r, 0; @p st.global.u32 [o], v;\n"
      "griddepcontrol.launch_dependents; ret; }\n";
  return ".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry sum" + body + "\n" + code +
         ".visible .entry pairs" + body + "\n.explicitcluster\n.reqnctapercluster 2, 1, 1\n" + code +
         ".visible .entry told" + body + "\n.explicitcluster\n" + code;
}();

struct Clusters : PrimaryFixture {
  CUmodule module = load(text.c_str());
  CUdeviceptr out = 0;
  CUlaunchAttribute attribute{};

  Clusters() { REQUIRE_CU(api.cuMemAlloc(&out, 64 * 4)); }

  CUfunction kernel(const char* name) {
    CUfunction found = nullptr;
    REQUIRE_CU(api.cuModuleGetFunction(&found, module, name));
    return found;
  }
  /// 0: no attribute.
  CUlaunchConfig config(unsigned grid, unsigned cluster) {
    attribute = {};
    attribute.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
    attribute.value.clusterDim = {cluster, 1, 1};
    return {grid, 1, 1, 1, 1, 1, 0, nullptr, &attribute, cluster == 0 ? 0U : 1U};
  }
  CUresult launch(const char* name, unsigned grid, unsigned cluster) {
    void* parameters[] = {&out};
    const CUlaunchConfig given = config(grid, cluster);
    return api.cuLaunchKernelEx(&given, kernel(name), parameters, nullptr);
  }
  std::vector<unsigned> sums(std::size_t count) {
    REQUIRE_CU(api.cuStreamSynchronize(nullptr));
    std::vector<unsigned> found(count);
    REQUIRE_CU(CU(cuMemcpyDtoH_v2)(found.data(), out, count * 4));
    return found;
  }
};

}  // namespace

TEST_CASE_METHOD(Clusters,
                 "a launch has clusters of the size of its attribute, or that its kernel requires") {
  REQUIRE_CU(launch("sum", 8, 4));
  CHECK(sums(2) == std::vector<unsigned>{10, 26});
  REQUIRE_CU(launch("sum", 4, 0));
  CHECK(sums(4) == std::vector<unsigned>{1, 2, 3, 4});
  REQUIRE_CU(launch("pairs", 4, 0));
  CHECK(sums(2) == std::vector<unsigned>{3, 7});
  REQUIRE_CU(launch("pairs", 4, 2));
  CHECK(launch("pairs", 4, 4) == CUDA_ERROR_INVALID_CLUSTER_SIZE);
  CHECK(launch("pairs", 3, 0) == CUDA_ERROR_INVALID_CLUSTER_SIZE);
  CHECK(launch("told", 4, 0) == CUDA_ERROR_INVALID_CLUSTER_SIZE);
  REQUIRE_CU(launch("told", 4, 4));
  CHECK(sums(1) == std::vector<unsigned>{10});
  CHECK(launch("sum", 9, 4) == CUDA_ERROR_INVALID_CLUSTER_SIZE);
}

TEST_CASE_METHOD(Clusters, "clusters of more than 8 blocks have to be allowed") {
  CHECK(launch("sum", 16, 16) == CUDA_ERROR_INVALID_CLUSTER_SIZE);
  const CUfunction sum = kernel("sum");
  int size = 0;
  CUlaunchConfig given = config(16, 4);
  REQUIRE_CU(CU(cuOccupancyMaxPotentialClusterSize)(&size, sum, &given));
  CHECK(size == 8);
  CHECK(api.cuFuncSetAttribute(sum, CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 2) ==
        CUDA_ERROR_INVALID_VALUE);
  REQUIRE_CU(api.cuFuncSetAttribute(sum, CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1));
  REQUIRE_CU(CU(cuOccupancyMaxPotentialClusterSize)(&size, sum, &given));
  CHECK(size == 16);
  REQUIRE_CU(launch("sum", 16, 16));
  CHECK(sums(1) == std::vector<unsigned>{136});
  CHECK(launch("sum", 32, 32) == CUDA_ERROR_INVALID_CLUSTER_SIZE);
}

TEST_CASE_METHOD(Clusters, "functions and occupancy tell of clusters") {
  const auto attribute_of = [&](const char* name, CUfunction_attribute which) {
    int value = -1;
    REQUIRE_CU(api.cuFuncGetAttribute(&value, which, kernel(name)));
    return value;
  };
  CHECK(attribute_of("sum", CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET) == 0);
  CHECK(attribute_of("told", CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET) == 1);
  CHECK(attribute_of("pairs", CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH) == 2);
  CHECK(attribute_of("pairs", CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH) == 1);
  int blocks = 0;
  int multiprocessors = 0;
  int clusters = 0;
  REQUIRE_CU(CU(cuOccupancyMaxActiveBlocksPerMultiprocessor)(&blocks, kernel("sum"), 1, 0));
  REQUIRE_CU(api.cuDeviceGetAttribute(&multiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0));
  CUlaunchConfig given = config(64, 4);
  REQUIRE_CU(CU(cuOccupancyMaxActiveClusters)(&clusters, kernel("sum"), &given));
  CHECK(clusters == blocks * multiprocessors / 4);
  CHECK(CU(cuOccupancyMaxActiveClusters)(&clusters, kernel("pairs"), &given) ==
        CUDA_ERROR_INVALID_CLUSTER_SIZE);
  given = config(64, 0);
  CHECK(CU(cuOccupancyMaxActiveClusters)(&clusters, kernel("sum"), &given) ==
        CUDA_ERROR_INVALID_CLUSTER_SIZE);
  REQUIRE_CU(CU(cuOccupancyMaxActiveClusters)(&clusters, kernel("pairs"), &given));
  CHECK(clusters == blocks * multiprocessors / 2);
}

TEST_CASE_METHOD(Clusters, "launches of clusters keep their order with programmatic ones") {
  void* parameters[] = {&out};
  CUlaunchAttribute attributes[2] = {};
  attributes[0].id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
  attributes[0].value.clusterDim = {4, 1, 1};
  attributes[1].id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
  attributes[1].value.programmaticStreamSerializationAllowed = 1;
  const CUlaunchConfig four{8, 1, 1, 1, 1, 1, 0, nullptr, attributes, 2};
  for (int i = 0; i < 20; ++i) {
    REQUIRE_CU(api.cuLaunchKernelEx(&four, kernel("sum"), parameters, nullptr));
    attributes[0].value.clusterDim = {i % 2 == 0 ? 2U : 1U, 1, 1};
    REQUIRE_CU(api.cuLaunchKernelEx(&four, kernel("sum"), parameters, nullptr));
    attributes[0].value.clusterDim = {4, 1, 1};
  }
  REQUIRE_CU(api.cuLaunchKernelEx(&four, kernel("sum"), parameters, nullptr));
  CHECK(sums(2) == std::vector<unsigned>{10, 26});
}

}  // namespace kerncast::tests
