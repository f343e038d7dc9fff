#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "tests/simulator/driver/fixture.hpp"

using namespace kerncast::tests;

using Words = std::vector<unsigned int>;

TEST_CASE_METHOD(PrimaryFixture, "parameters come by pointers or as one buffer") {
  const DeviceBuffer buffer(api, 64);
  buffer.fill(0);
  REQUIRE(add(buffer.address(), 16, 2, nullptr) == CUDA_SUCCESS);
  struct {
    CUdeviceptr out;
    unsigned int n;
    unsigned int value;
  } packed{buffer.address(), 8, 5};
  std::size_t size = sizeof packed;
  void* extra[] = {launch_param_buffer_pointer, &packed, launch_param_buffer_size, &size, launch_param_end};
  CUlaunchConfig config{1, 1, 1, 32, 1, 1, 0, nullptr, nullptr, 0};
  CHECK(api.cuLaunchKernelEx(&config, function("add"), nullptr, extra) == CUDA_SUCCESS);
  Words expected(16, 2);
  std::fill_n(expected.begin(), 8, 7);
  CHECK(read_words(buffer) == expected);

  size = 12;
  CHECK(api.cuLaunchKernelEx(&config, function("add"), nullptr, extra) == CUDA_ERROR_INVALID_VALUE);
  CHECK(api.cuLaunchKernelEx(&config, function("add"), nullptr, nullptr) == CUDA_ERROR_INVALID_VALUE);
  void* holes[] = {&packed.out, nullptr, &packed.value};
  CHECK(api.cuLaunchKernelEx(&config, function("add"), holes, nullptr) == CUDA_ERROR_INVALID_VALUE);
  CHECK(api.cuLaunchKernelEx(&config, function("add"), holes, extra) == CUDA_ERROR_INVALID_VALUE);
  CHECK(api.cuLaunchKernelEx(nullptr, function("add"), holes, nullptr) == CUDA_ERROR_INVALID_VALUE);
}

TEST_CASE_METHOD(PrimaryFixture, "a launch beyond the device's limits is refused") {
  const CUfunction kernel = function("bounded");
  const auto launch = [&](std::array<unsigned int, 6> shape) {
    return api.cuLaunchKernel(kernel, shape[0], shape[1], shape[2], shape[3], shape[4], shape[5], 0, nullptr,
                              nullptr, nullptr);
  };
  CHECK(launch({1, 1, 1, 64, 1, 1}) == CUDA_SUCCESS);
  CHECK(launch({2, 3, 4, 4, 4, 4}) == CUDA_SUCCESS);
  CHECK(launch({0, 1, 1, 1, 1, 1}) == CUDA_ERROR_INVALID_VALUE);
  CHECK(launch({1, 1, 1, 1, 0, 1}) == CUDA_ERROR_INVALID_VALUE);
  CHECK(launch({0x80000000U, 1, 1, 1, 1, 1}) == CUDA_ERROR_INVALID_VALUE);
  CHECK(launch({1, 65536, 1, 1, 1, 1}) == CUDA_ERROR_INVALID_VALUE);
  CHECK(launch({1, 1, 65536, 1, 1, 1}) == CUDA_ERROR_INVALID_VALUE);
  CHECK(launch({1, 1, 1, 1025, 1, 1}) == CUDA_ERROR_INVALID_VALUE);
  CHECK(launch({1, 1, 1, 1, 1, 65}) == CUDA_ERROR_INVALID_VALUE);
  CHECK(launch({1, 1, 1, 64, 32, 1}) == CUDA_ERROR_INVALID_VALUE);
  CHECK(launch({1, 1, 1, 128, 1, 1}) == CUDA_ERROR_INVALID_VALUE);
  CHECK(std::string(api.last_fault()).find("bounded") != std::string::npos);
  context.synchronize();
}

TEST_CASE_METHOD(PrimaryFixture, "a block that differs from the one a kernel requires is refused") {
  const CUmodule loaded =
      load(".version 8.0\n.target sm_75\n.address_size 64\n.visible .entry k() .reqntid 32, 2 { ret; }\n");
  CUfunction kernel = nullptr;
  REQUIRE(api.cuModuleGetFunction(&kernel, loaded, "k") == CUDA_SUCCESS);
  const auto launch = [&](unsigned int x, unsigned int y, unsigned int z) {
    return api.cuLaunchKernel(kernel, 1, 1, 1, x, y, z, 0, nullptr, nullptr, nullptr);
  };
  CHECK(launch(32, 2, 1) == CUDA_SUCCESS);
  CHECK(launch(32, 1, 1) == CUDA_ERROR_INVALID_VALUE);
  CHECK(launch(64, 1, 1) == CUDA_ERROR_INVALID_VALUE);
  context.synchronize();
}

TEST_CASE_METHOD(PrimaryFixture, "dynamic shared memory above 48 KiB has to be asked for") {
  const DeviceBuffer buffer(api, 4);
  buffer.fill(0);
  const CUfunction kernel = function("dynamic");
  CUdeviceptr out = buffer.address();
  void* parameters[] = {&out};
  const auto launch = [&](unsigned int bytes) {
    return api.cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, bytes, nullptr, parameters, nullptr);
  };
  const auto allow = [&](int bytes) {
    return api.cuFuncSetAttribute(kernel, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes);
  };
  CHECK(launch(48 * 1024) == CUDA_SUCCESS);
  CHECK(launch(48 * 1024 + 4) == CUDA_ERROR_INVALID_VALUE);
  CHECK(allow(100 * 1024) == CUDA_SUCCESS);
  int value = 0;
  CHECK(api.cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, kernel) ==
        CUDA_SUCCESS);
  CHECK(value == 100 * 1024);
  CHECK(launch(100 * 1024) == CUDA_SUCCESS);
  CHECK(launch(100 * 1024 + 4) == CUDA_ERROR_INVALID_VALUE);
  CHECK(allow(227 * 1024) == CUDA_SUCCESS);
  CHECK(allow(227 * 1024 + 1) == CUDA_ERROR_INVALID_VALUE);
  CHECK(allow(-1) == CUDA_ERROR_INVALID_VALUE);
  CHECK(launch(227 * 1024) == CUDA_SUCCESS);
  CHECK(read_words(buffer) == Words{41});
}

TEST_CASE_METHOD(PrimaryFixture, "launch attributes are hints or refused") {
  CUlaunchAttribute attribute{};
  CUlaunchConfig config{1, 1, 1, 1, 1, 1, 0, nullptr, &attribute, 1};
  const auto launch = [&] { return api.cuLaunchKernelEx(&config, function("bounded"), nullptr, nullptr); };
  attribute.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
  attribute.value.programmaticStreamSerializationAllowed = 1;
  CHECK(launch() == CUDA_SUCCESS);
  attribute = {};
  attribute.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
  attribute.value.clusterDim = {1, 1, 1};
  CHECK(launch() == CUDA_SUCCESS);
  attribute.value.clusterDim = {2, 1, 1};
  CHECK(launch() == CUDA_ERROR_INVALID_CLUSTER_SIZE);  // It does not divide the grid.
  attribute = {};
  attribute.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE;
  attribute.value.cooperative = 1;
  CHECK(launch() == CUDA_SUCCESS);
  attribute.id = static_cast<CUlaunchAttributeID>(99);
  CHECK(launch() == CUDA_ERROR_NOT_SUPPORTED);
  config.attrs = nullptr;
  CHECK(launch() == CUDA_ERROR_INVALID_VALUE);
}

TEST_CASE_METHOD(PrimaryFixture, "functions tell what they need") {
  const auto get = [&](const char* name, CUfunction_attribute attribute) {
    int value = -1;
    CHECK(api.cuFuncGetAttribute(&value, attribute, function(name)) == CUDA_SUCCESS);
    return value;
  };
  CHECK(get("add", CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK) == 1024);
  CHECK(get("bounded", CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK) == 64);
  CHECK(get("add", CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES) == 0);
  CHECK(get("add", CU_FUNC_ATTRIBUTE_PTX_VERSION) == 80);
  CHECK(get("add", CU_FUNC_ATTRIBUTE_BINARY_VERSION) == 90);
  CHECK(get("add", CU_FUNC_ATTRIBUTE_NUM_REGS) > 0);
  int value = 0;
  CHECK(api.cuFuncGetAttribute(&value, static_cast<CUfunction_attribute>(77), function("add")) ==
        CUDA_ERROR_INVALID_VALUE);
  CHECK(api.cuFuncSetAttribute(function("add"), CU_FUNC_ATTRIBUTE_NUM_REGS, 3) == CUDA_ERROR_INVALID_VALUE);

  int blocks = 0;
  const CUfunction add_kernel = function("add");
  CHECK(api.cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, add_kernel, 1024, 0) == CUDA_SUCCESS);
  CHECK(blocks == 2);
  CHECK(api.cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, add_kernel, 32, 0) == CUDA_SUCCESS);
  CHECK(blocks == 32);
  CHECK(api.cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, add_kernel, 128, 100 * 1024) ==
        CUDA_SUCCESS);
  CHECK(blocks == 2);
  CHECK(api.cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, add_kernel, 0, 0) ==
        CUDA_ERROR_INVALID_VALUE);
}

TEST_CASE_METHOD(PrimaryFixture, "libraries give kernels, functions and settings per device") {
  CUlibrary library = nullptr;
  CUkernel kernel = nullptr;
  CUfunction made = nullptr;
  REQUIRE(api.cuLibraryLoadData(&library, kernels, nullptr, nullptr, 0, nullptr, nullptr, 0) == CUDA_SUCCESS);
  CHECK(api.cuLibraryGetKernel(&kernel, library, "no_such") == CUDA_ERROR_NOT_FOUND);
  CHECK(std::string(api.last_fault()).find("bounded") != std::string::npos);
  REQUIRE(api.cuLibraryGetKernel(&kernel, library, "store") == CUDA_SUCCESS);
  REQUIRE(api.cuKernelGetFunction(&made, kernel) == CUDA_SUCCESS);
  CUfunction again = nullptr;
  REQUIRE(api.cuKernelGetFunction(&again, kernel) == CUDA_SUCCESS);
  CHECK(made == again);
  CHECK(api.cuKernelSetAttribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 70000, kernel, 0) ==
        CUDA_SUCCESS);
  int value = 0;
  CHECK(api.cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, made) ==
        CUDA_SUCCESS);
  CHECK(value == 70000);
  CHECK(api.cuKernelGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, kernel, 0) ==
        CUDA_SUCCESS);
  CHECK(value == 70000);

  const DeviceBuffer buffer(api, 8);
  CUdeviceptr to = buffer.address();
  unsigned int word = 12;
  void* parameters[] = {&to, &word};
  CHECK(api.cuLaunchKernel(made, 1, 1, 1, 1, 1, 1, 0, nullptr, parameters, nullptr) == CUDA_SUCCESS);
  // A kernel stands for its function in the current context.
  to += 4;
  word = 13;
  CHECK(api.cuLaunchKernel(reinterpret_cast<CUfunction>(kernel), 1, 1, 1, 1, 1, 1, 0, nullptr, parameters,
                           nullptr) == CUDA_SUCCESS);
  CHECK(read_words(buffer) == Words{12, 13});
  CHECK(api.cuLibraryUnload(library) == CUDA_SUCCESS);
  CHECK(api.cuLibraryUnload(library) == CUDA_ERROR_INVALID_HANDLE);
  CHECK(api.cuKernelGetFunction(&made, kernel) == CUDA_ERROR_INVALID_HANDLE);
  CHECK(api.cuLaunchKernel(made, 1, 1, 1, 1, 1, 1, 0, nullptr, parameters, nullptr) ==
        CUDA_ERROR_INVALID_HANDLE);
}

TEST_CASE_METHOD(PrimaryFixture, "modules give functions and variables") {
  const CUmodule loaded = load();
  CUfunction found = nullptr;
  CUdeviceptr pointer = 0;
  std::size_t bytes = 0;
  CHECK(api.cuModuleGetFunction(&found, loaded, "no_such") == CUDA_ERROR_NOT_FOUND);
  CHECK(api.cuModuleGetGlobal(&pointer, &bytes, loaded, "no_such") == CUDA_ERROR_NOT_FOUND);
  REQUIRE(api.cuModuleGetGlobal(&pointer, &bytes, loaded, "counter") == CUDA_SUCCESS);
  CHECK(bytes == 16);
  Words words(4);
  REQUIRE(api.cuMemcpyDtoH(words.data(), pointer, 16) == CUDA_SUCCESS);
  CHECK(words == Words{7, 8, 9, 10});
  REQUIRE(add(pointer, 4, 1, nullptr) == CUDA_SUCCESS);
  REQUIRE(api.cuMemcpyDtoH(words.data(), pointer, 16) == CUDA_SUCCESS);
  CHECK(words == Words{8, 9, 10, 11});
  REQUIRE(api.cuModuleGetFunction(&found, loaded, "bounded") == CUDA_SUCCESS);
  // Unloading while a launch is queued is safe; the handles are gone.
  const StreamHandle stream(api);
  Gate gate;
  REQUIRE(gate.close(api, stream.get()) == CUDA_SUCCESS);
  REQUIRE(api.cuLaunchKernel(found, 1, 1, 1, 1, 1, 1, 0, stream.get(), nullptr, nullptr) == CUDA_SUCCESS);
  CHECK(api.cuModuleUnload(loaded) == CUDA_SUCCESS);
  gate.open();
  stream.synchronize();
  CHECK(api.cuModuleUnload(loaded) == CUDA_ERROR_INVALID_HANDLE);
  CHECK(api.cuLaunchKernel(found, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr) ==
        CUDA_ERROR_INVALID_HANDLE);
}

TEST_CASE_METHOD(PrimaryFixture, "code that is not for the device is refused with the driver's codes") {
  CUmodule loaded = nullptr;
  const auto load_code = [&](const std::string& code) {
    return api.cuModuleLoadDataEx(&loaded, code.c_str(), 0, nullptr, nullptr);
  };
  const auto targeting = [](const std::string& target) {
    return ".version 8.6\n// .target sm_10\n.target " + target +
           "\n.address_size 64\n.visible .entry k()\n{\n  ret;\n}\n";
  };
  CHECK(load_code("\x7f"
                  "ELF\x02\x01") == CUDA_ERROR_NO_BINARY_FOR_GPU);
  CHECK(load_code("") == CUDA_ERROR_INVALID_IMAGE);
  CHECK(load_code("hello") == CUDA_ERROR_INVALID_IMAGE);
  CHECK(api.cuModuleLoadDataEx(&loaded, nullptr, 0, nullptr, nullptr) == CUDA_ERROR_INVALID_VALUE);
  CHECK(load_code(targeting("sm_90")) == CUDA_SUCCESS);
  CHECK(load_code(targeting("sm_90a")) == CUDA_SUCCESS);
  CHECK(load_code(targeting("sm_80")) == CUDA_SUCCESS);
  CHECK(load_code(targeting("sm_100")) == CUDA_ERROR_NO_BINARY_FOR_GPU);
  CHECK(load_code(targeting("sm_100a")) == CUDA_ERROR_NO_BINARY_FOR_GPU);
  CHECK(load_code(targeting("sm_120f")) == CUDA_ERROR_NO_BINARY_FOR_GPU);
}

TEST_CASE_METHOD(PrimaryFixture, "PTX that is newer than the driver is refused") {
  CUmodule loaded = nullptr;
  const auto load_version = [&](const std::string& version) {
    const std::string code = ".version " + version + "\n.target sm_90\n.address_size 64\n";
    return api.cuModuleLoadDataEx(&loaded, code.c_str(), 0, nullptr, nullptr);
  };
  CHECK(load_version("9.2") == CUDA_SUCCESS);
  CHECK(load_version("9.3") == CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
  CHECK(load_version("10.0") == CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
  CHECK(std::string(api.last_fault()).find("takes up to 9.2") != std::string::npos);
}

TEST_CASE_METHOD(PrimaryFixture, "functions tell the constant memory of their module") {
  const CUmodule loaded = load(
      ".version 8.0\n.target sm_75\n.address_size 64\n.const .b8 tab[256]; .const .align 8 .b8 one; "
      ".const .f64 two; .global .b32 other;\n.visible .entry k() { ret; }\n");
  CUfunction kernel = nullptr;
  REQUIRE(api.cuModuleGetFunction(&kernel, loaded, "k") == CUDA_SUCCESS);
  int bytes = 0;
  CHECK(api.cuFuncGetAttribute(&bytes, CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES, kernel) == CUDA_SUCCESS);
  CHECK(bytes == 256 + 8 + 8);
  CHECK(api.cuFuncGetAttribute(&bytes, CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES, function("add")) == CUDA_SUCCESS);
  CHECK(bytes == 0);
}

TEST_CASE_METHOD(PrimaryFixture,
                 "null functions and kernels are invalid values to those that describe them") {
  const char* name = nullptr;
  std::size_t offset = 0;
  CUmodule module = nullptr;
  CUlibrary library = nullptr;
  CHECK(CU(cuFuncGetName)(&name, nullptr) == CUDA_ERROR_INVALID_VALUE);
  CHECK(CU(cuKernelGetName)(&name, nullptr) == CUDA_ERROR_INVALID_VALUE);
  CHECK(CU(cuFuncGetParamInfo)(nullptr, 0, &offset, nullptr) == CUDA_ERROR_INVALID_VALUE);
  CHECK(CU(cuKernelGetParamInfo)(nullptr, 0, &offset, nullptr) == CUDA_ERROR_INVALID_VALUE);
  CHECK(CU(cuFuncGetModule)(&module, nullptr) == CUDA_ERROR_INVALID_VALUE);
  CHECK(CU(cuKernelGetLibrary)(&library, nullptr) == CUDA_ERROR_INVALID_VALUE);
  CHECK(CU(cuFuncLoad)(nullptr) == CUDA_ERROR_INVALID_VALUE);
}

TEST_CASE_METHOD(PrimaryFixture, "a kernel's parameters are told in a context only") {
  CUlibrary library = nullptr;
  CUkernel kernel = nullptr;
  REQUIRE(api.cuLibraryLoadData(&library, kernels, nullptr, nullptr, 0, nullptr, nullptr, 0) == CUDA_SUCCESS);
  REQUIRE(api.cuLibraryGetKernel(&kernel, library, "add") == CUDA_SUCCESS);
  std::size_t offset = 0;
  std::size_t size = 0;
  CHECK(CU(cuKernelGetParamInfo)(kernel, 1, &offset, &size) == CUDA_SUCCESS);
  CHECK(offset == 8);
  CUcontext held = nullptr;
  REQUIRE_CU(CU(cuCtxPopCurrent_v2)(&held));
  CHECK(CU(cuKernelGetParamInfo)(kernel, 1, &offset, &size) == CUDA_ERROR_INVALID_CONTEXT);
  REQUIRE_CU(CU(cuCtxPushCurrent_v2)(held));
}

TEST_CASE_METHOD(PrimaryFixture, "events count the time that kernels sleep") {
  const CUmodule loaded = load(
      ".version 8.0\n.target sm_75\n.address_size 64\n.visible .entry k() { nanosleep.u32 900000; ret; }\n");
  CUfunction kernel = nullptr;
  REQUIRE(api.cuModuleGetFunction(&kernel, loaded, "k") == CUDA_SUCCESS);
  CUevent start = nullptr;
  CUevent end = nullptr;
  REQUIRE_CU(CU(cuEventCreate)(&start, CU_EVENT_DEFAULT));
  REQUIRE_CU(CU(cuEventCreate)(&end, CU_EVENT_DEFAULT));
  REQUIRE_CU(CU(cuEventRecord)(start, nullptr));
  REQUIRE(api.cuLaunchKernel(kernel, 1, 1, 1, 32, 1, 1, 0, nullptr, nullptr, nullptr) == CUDA_SUCCESS);
  REQUIRE_CU(CU(cuEventRecord)(end, nullptr));
  REQUIRE_CU(CU(cuEventSynchronize)(end));
  float milliseconds = 0;
  REQUIRE_CU(CU(cuEventElapsedTime)(&milliseconds, start, end));
  CHECK(milliseconds >= 0.9F);
}

TEST_CASE_METHOD(PrimaryFixture, "a kernel that needs what is not modelled is refused, not its module") {
  const std::string text =
      ".version 8.6\n.target sm_90a\n.address_size 64\n.visible .entry bad() { "
      "tcgen05.wait::ld.sync.aligned; "
      "ret; }\n"
      ".visible .entry good() { ret; }\n";
  const CUmodule loaded = load(text.c_str());
  CUfunction kernel = nullptr;
  CHECK(api.cuModuleGetFunction(&kernel, loaded, "bad") == CUDA_ERROR_NOT_SUPPORTED);
  CHECK(std::string(api.last_fault())
            .find("kernel bad cannot run: PTX line 4: 'tcgen05.wait::ld.sync.aligned': tcgen05 is "
                  "not modelled") != std::string::npos);
  REQUIRE(api.cuModuleGetFunction(&kernel, loaded, "good") == CUDA_SUCCESS);
  CHECK(api.cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr) == CUDA_SUCCESS);
  context.synchronize();
  CUlibrary library = nullptr;
  CUkernel found = nullptr;
  REQUIRE(api.cuLibraryLoadData(&library, text.c_str(), nullptr, nullptr, 0, nullptr, nullptr, 0) ==
          CUDA_SUCCESS);
  CHECK(api.cuLibraryGetKernel(&found, library, "bad") == CUDA_ERROR_NOT_SUPPORTED);
  CHECK(api.cuLibraryGetKernel(&found, library, "good") == CUDA_SUCCESS);
}

TEST_CASE_METHOD(PrimaryFixture, "PTX is linked to PTX") {
  const std::string head = ".version 8.0\n.target sm_80\n.address_size 64\n";
  const std::string user =
      head +
      ".extern .func (.param .b32 r) answer ();\n.visible .entry k(.param .u64 po) {\n"
      ".reg .b64 o; .reg .b32 v; ld.param.u64 o, [po]; { .param .b32 b; call.uni (b), answer, "
      "(); ld.param.b32 v, [b]; } st.global.u32 [o], v; ret; }\n";
  const std::string library =
      head + ".visible .func (.param .b32 r) answer () { st.param.b32 [r], 42; ret; }\n";
  std::array<char, 512> log{};
  CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void* values[] = {log.data(), reinterpret_cast<void*>(log.size())};
  CUlinkState link = nullptr;
  REQUIRE_CU(CU(cuLinkCreate_v2)(2, options, values, &link));
  const auto add_text = [&](const std::string& text, CUjitInputType type = CU_JIT_INPUT_PTX) {
    return CU(cuLinkAddData_v2)(link, type, const_cast<char*>(text.data()), text.size(), "piece", 0, nullptr,
                                nullptr);
  };
  void* linked = nullptr;
  std::size_t size = 0;
  CHECK(CU(cuLinkComplete)(link, &linked, &size) == CUDA_ERROR_INVALID_VALUE);
  REQUIRE_CU(add_text(user));
  CHECK(CU(cuLinkComplete)(link, &linked, &size) == CUDA_ERROR_INVALID_PTX);
  CHECK(std::string(log.data()).find("'answer', which has no body here") != std::string::npos);
  CHECK(add_text(library, CU_JIT_INPUT_CUBIN) == CUDA_ERROR_NOT_SUPPORTED);
  CHECK(add_text("nonsense") == CUDA_ERROR_INVALID_IMAGE);
  REQUIRE_CU(add_text(library));
  REQUIRE_CU(CU(cuLinkComplete)(link, &linked, &size));
  CHECK(std::strlen(static_cast<const char*>(linked)) + 1 == size);
  CHECK(add_text(library) == CUDA_ERROR_INVALID_VALUE);

  const CUmodule loaded = load(static_cast<const char*>(linked));
  CHECK(CU(cuLinkDestroy)(link) == CUDA_SUCCESS);
  CHECK(CU(cuLinkDestroy)(link) == CUDA_ERROR_INVALID_HANDLE);
  CUfunction kernel = nullptr;
  REQUIRE(api.cuModuleGetFunction(&kernel, loaded, "k") == CUDA_SUCCESS);
  const DeviceBuffer buffer(api, 4);
  CUdeviceptr out = buffer.address();
  void* parameters[] = {&out};
  REQUIRE(api.cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, nullptr, parameters, nullptr) == CUDA_SUCCESS);
  CHECK(read_words(buffer) == Words{42});
}

TEST_CASE_METHOD(PrimaryFixture, "malformed PTX fills the caller's error log") {
  const std::string broken =
      ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k()\n{\n  frobnicate;\n}\n";
  std::array<char, 512> log{};
  CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void* values[] = {log.data(), reinterpret_cast<void*>(log.size())};
  CUmodule loaded = nullptr;
  CHECK(api.cuModuleLoadDataEx(&loaded, broken.c_str(), 2, options, values) == CUDA_ERROR_INVALID_PTX);
  const std::string text = log.data();
  CHECK(text.find("line 6") != std::string::npos);
  CHECK(text.find("frobnicate") != std::string::npos);
  CHECK(reinterpret_cast<std::uintptr_t>(values[1]) == text.size());
  // A short buffer is filled as far as it goes.
  values[1] = reinterpret_cast<void*>(std::uintptr_t{5});
  CHECK(api.cuModuleLoadDataEx(&loaded, broken.c_str(), 2, options, values) == CUDA_ERROR_INVALID_PTX);
  CHECK(std::strlen(log.data()) == 4);
}

TEST_CASE_METHOD(PrimaryFixture, "functions are found by name and version") {
  void* found = nullptr;
  CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
  CHECK(api.cuGetProcAddress("cuMemAlloc", &found, 12000, 0, &status) == CUDA_SUCCESS);
  CHECK(found == reinterpret_cast<void*>(api.cuMemAlloc));
  CHECK(found == virtual_gpu()->symbol("cuMemAlloc_v2"));
  for (const char* linking : {"cuLinkCreate", "cuLinkAddData", "cuLinkAddFile"}) {
    CHECK(api.cuGetProcAddress(linking, &found, 12000, 0, &status) == CUDA_SUCCESS);
    CHECK(found == virtual_gpu()->symbol((std::string(linking) + "_v2").c_str()));
  }
  CHECK(status == CU_GET_PROC_ADDRESS_SUCCESS);
  // With a place for the status, the status says so; without one it is an error.
  CHECK(api.cuGetProcAddress("cuNoSuchThing", &found, 12000, 0, &status) == CUDA_SUCCESS);
  CHECK(found == nullptr);
  CHECK(status == CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
  CHECK(api.cuGetProcAddress("cuNoSuchThing", &found, 12000, 0, nullptr) == CUDA_ERROR_NOT_FOUND);
  CHECK(virtual_gpu()->symbol("cuNoSuchThing") == nullptr);
  const char* name = nullptr;
  CHECK(api.cuGetErrorName(CUDA_ERROR_ILLEGAL_ADDRESS, &name) == CUDA_SUCCESS);
  CHECK(std::string(name) == "CUDA_ERROR_ILLEGAL_ADDRESS");
  CHECK(api.cuGetErrorName(static_cast<CUresult>(12345), &name) == CUDA_ERROR_INVALID_VALUE);
  CHECK(name == nullptr);
}

TEST_CASE_METHOD(PrimaryFixture, "created contexts keep their streams, functions and faults to themselves") {
  auto* create = symbol<CUresult(CUcontext*, unsigned int, CUdevice)>("cuCtxCreate_v2");
  auto* destroy = symbol<CUresult(CUcontext)>("cuCtxDestroy_v2");
  const CUfunction outer = function("bounded");
  CUcontext inner = nullptr;
  REQUIRE(create(&inner, 0, 0) == CUDA_SUCCESS);
  CUcontext current = nullptr;
  CHECK(api.cuCtxGetCurrent(&current) == CUDA_SUCCESS);
  CHECK(current == inner);
  CHECK(api.cuLaunchKernel(outer, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr) ==
        CUDA_ERROR_INVALID_HANDLE);
  const CUmodule loaded = load();
  CUfunction trap = nullptr;
  REQUIRE(api.cuModuleGetFunction(&trap, loaded, "trap") == CUDA_SUCCESS);
  CHECK(api.cuLaunchKernel(trap, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr) == CUDA_SUCCESS);
  CHECK(api.cuCtxSynchronize() == CUDA_ERROR_LAUNCH_FAILED);
  CHECK(api.cuCtxPopCurrent(&current) == CUDA_SUCCESS);
  CHECK(current == inner);
  CHECK(api.cuLaunchKernel(outer, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr) == CUDA_SUCCESS);
  CHECK(api.cuCtxSynchronize() == CUDA_SUCCESS);
  REQUIRE(api.cuCtxPushCurrent(inner) == CUDA_SUCCESS);
  CHECK(destroy(inner) == CUDA_SUCCESS);
  CHECK(destroy(inner) == CUDA_ERROR_INVALID_CONTEXT);
  CHECK(api.cuCtxGetCurrent(&current) == CUDA_SUCCESS);
  CHECK(current == context.handle());
}
