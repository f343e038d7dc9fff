#include "tests/simulator/fat_binary.hpp"

#include <fmt/format.h>

#include <fstream>

#include "tests/simulator/driver/fixture.hpp"
#include "tests/temporary_directory.hpp"

namespace {

using namespace kerncast::tests;

std::string module_with(std::string_view variable, std::string_view target) {
  return fmt::format(".version 8.0\n.target {}\n.address_size 64\n.visible .global .b32 {};\n", target,
                     variable);
}

bool has_variable(CUmodule module, const char* name) {
  CUdeviceptr address = 0;
  return CU(cuModuleGetGlobal_v2)(&address, nullptr, module, name) == CUDA_SUCCESS;
}

/// The message with which a damaged or unfit fat binary is refused.
CUresult refusal(const std::string& image) {
  CUmodule module = nullptr;
  return CU(cuModuleLoadData)(&module, image.data());
}

}  // namespace

TEST_CASE("the PTX of a fat binary is loaded, plain and compressed") {
  OwnContext context;
  const FatEntry entry = GENERATE(FatEntry{1, 75, kernels}, zstd_entry(kernels), lz4_entry(kernels));
  const std::string image = fat_binary({{2, 90,
                                         "\x7f"
                                         "ELF"},
                                        entry});
  REQUIRE_CU(CU(cuModuleLoadData)(&context.module, image.data()));
  CUdeviceptr words = OwnContext::words(8, 5);
  REQUIRE_CU(context.launch("add_one", nullptr, words, 8));
  CHECK(OwnContext::read(words, 8) == std::vector<unsigned int>(8, 6));
}

TEST_CASE("of a fat binary's PTX the newest that the device runs is taken") {
  const OwnContext context;
  const std::string image = fat_binary({{1, 75, module_with("oldest", "sm_75")},
                                        {1, 90, module_with("own", "sm_90")},
                                        {1, 80, module_with("middle", "sm_80")},
                                        {1, 100, module_with("newer", "sm_100")}});
  CUmodule module = nullptr;
  REQUIRE_CU(CU(cuModuleLoadFatBinary)(&module, image.data()));
  CHECK(has_variable(module, "own"));
  CHECK_FALSE(has_variable(module, "middle"));

  // Code for one architecture alone is passed over on another one.
  const std::string specific =
      fat_binary({{1, 89, module_with("specific", "sm_89a")}, {1, 75, module_with("oldest", "sm_75")}});
  REQUIRE_CU(CU(cuModuleLoadData)(&module, specific.data()));
  CHECK(has_variable(module, "oldest"));
}

TEST_CASE("a fat binary is found in the structure that the compiler puts around it, and as a library") {
  const OwnContext context;
  const std::string image = fat_binary({{1, 75, kernels}});
  const struct {
    unsigned int magic;
    int version;
    const void* data;
    const void* name;
  } wrapper{0x466243b1, 1, image.data(), nullptr};
  CUlibrary library = nullptr;
  REQUIRE_CU(CU(cuLibraryLoadData)(&library, &wrapper, nullptr, nullptr, 0, nullptr, nullptr, 0));
  CUkernel kernel = nullptr;
  CHECK(CU(cuLibraryGetKernel)(&kernel, library, "add") == CUDA_SUCCESS);
}

TEST_CASE("a fat binary without PTX for the device says what it has") {
  const OwnContext context;
  CHECK(refusal(fat_binary({{2, 80,
                             "\x7f"
                             "ELF"},
                            {1, 120, module_with("newer", "sm_120")}})) == CUDA_ERROR_NO_BINARY_FOR_GPU);
  CHECK_THAT(CU(kerncastSimLastFault)(), Catch::Contains("sm_80") && Catch::Contains("compute_120") &&
                                             Catch::Contains("-gencode arch=compute_90"));
  CHECK(refusal(fat_binary({})) == CUDA_ERROR_NO_BINARY_FOR_GPU);
  CHECK(refusal(fat_binary({{1, 75, ".version 99.0\n.target sm_75\n"}})) ==
        CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
}

TEST_CASE("a damaged fat binary is refused") {
  const OwnContext context;
  FatEntry wrong_size = zstd_entry(kernels);
  wrong_size.unpacked_size += 1;
  CHECK(refusal(fat_binary({wrong_size})) == CUDA_ERROR_INVALID_IMAGE);
  FatEntry wrong_block = lz4_entry(kernels);
  wrong_block.payload[wrong_block.payload.size() - 12] = 0;  // a match that begins nowhere
  CHECK(refusal(fat_binary({wrong_block})) == CUDA_ERROR_INVALID_IMAGE);
  FatEntry huge = zstd_entry(kernels);
  huge.unpacked_size = std::uint64_t{1} << 50;
  CHECK(refusal(fat_binary({huge})) == CUDA_ERROR_INVALID_IMAGE);
  std::string long_entry = fat_binary({{1, 75, kernels}});
  long_entry[16 + 8 + 5] = 1;  // the payload is longer than the container
  CHECK(refusal(long_entry) == CUDA_ERROR_INVALID_IMAGE);
  std::string version = fat_binary({{1, 75, kernels}});
  version[4] = 9;
  CHECK(refusal(version) == CUDA_ERROR_INVALID_IMAGE);
}

TEST_CASE("a file may hold a fat binary, but no part of one") {
  const OwnContext context;
  const TemporaryDirectory folder;
  const std::string path = folder.file("kernels.fatbin");
  const std::string image = fat_binary({zstd_entry(kernels)});
  std::ofstream(path, std::ios::binary) << image;
  CUmodule module = nullptr;
  CHECK(CU(cuModuleLoad)(&module, path.c_str()) == CUDA_SUCCESS);
  const std::size_t kept = GENERATE(5U, 16U, 200U);
  std::ofstream(path, std::ios::binary | std::ios::trunc) << image.substr(0, kept);
  CHECK(CU(cuModuleLoad)(&module, path.c_str()) == CUDA_ERROR_INVALID_IMAGE);
}
