// A program that knows nothing of this project: it opens libcuda.so.1 as the loader finds it, asks for
// functions by name and version, and runs a kernel. It needs no header but the standard library's.

#include <dlfcn.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

constexpr const char* square = R"(
.version 8.0
.target sm_75
.address_size 64
.visible .entry square(.param .u64 x, .param .u32 n)
{
  .reg .pred %p<2>;
  .reg .b32 %r<4>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [x];
  ld.param.u32 %r1, [n];
  mov.u32 %r2, %tid.x;
  setp.ge.u32 %p1, %r2, %r1;
  @%p1 ret;
  mul.wide.u32 %rd2, %r2, 4;
  add.s64 %rd3, %rd1, %rd2;
  ld.global.u32 %r3, [%rd3];
  mul.lo.u32 %r3, %r3, %r3;
  st.global.u32 [%rd3], %r3;
  ret;
}
)";

using GetProcAddress = int (*)(const char*, void**, int, std::uint64_t, int*);
GetProcAddress get_proc_address = nullptr;

template <class... Arguments>
void call(const char* name, Arguments... arguments) {
  void* found = nullptr;
  int status = 0;
  int result = get_proc_address(name, &found, 12000, 0, &status);
  if (result == 0 && found != nullptr) {
    result = reinterpret_cast<int (*)(Arguments...)>(found)(arguments...);
  }
  if (result != 0 || found == nullptr) {
    std::fprintf(stderr, "%s: %s, error %d\n", name, found != nullptr ? "called" : "not found", result);
    std::exit(1);
  }
}

}  // namespace

int main(int count_of_arguments, char**) {
  // With an argument the program does not free its memory.
  const bool leaks = count_of_arguments > 1;
  void* library = dlopen("libcuda.so.1", RTLD_NOW);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  get_proc_address = reinterpret_cast<GetProcAddress>(dlsym(library, "cuGetProcAddress_v2"));
  if (get_proc_address == nullptr) {
    std::fprintf(stderr, "libcuda.so.1 has no cuGetProcAddress_v2\n");
    return 1;
  }
  constexpr unsigned int count = 100;
  std::vector<std::uint32_t> values(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    values[i] = i;
  }
  int device = -1;
  void* context = nullptr;
  void* module = nullptr;
  void* function = nullptr;
  void* stream = nullptr;
  std::uint64_t memory = 0;
  unsigned int n = count;
  void* parameters[] = {&memory, &n};
  call("cuInit", 0U);
  call("cuDeviceGet", &device, 0);
  call("cuDevicePrimaryCtxRetain", &context, device);
  call("cuCtxSetCurrent", context);
  call("cuModuleLoadData", &module, static_cast<const void*>(square));
  call("cuModuleGetFunction", &function, module, "square");
  call("cuStreamCreate", &stream, 1U);
  call("cuMemAlloc", &memory, sizeof(std::uint32_t) * count);
  call("cuMemcpyHtoDAsync", memory, static_cast<const void*>(values.data()), sizeof(std::uint32_t) * count,
       stream);
  call("cuLaunchKernel", function, 1U, 1U, 1U, 128U, 1U, 1U, 0U, stream, static_cast<void**>(parameters),
       static_cast<void**>(nullptr));
  call("cuMemcpyDtoHAsync", static_cast<void*>(values.data()), memory, sizeof(std::uint32_t) * count, stream);
  call("cuStreamSynchronize", stream);
  if (!leaks) {
    call("cuMemFree", memory);
  }
  call("cuStreamDestroy", stream);
  call("cuModuleUnload", module);
  if (!leaks) {
    call("cuDevicePrimaryCtxRelease", device);
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    if (values[i] != i * i) {
      std::fprintf(stderr, "element %u is %u\n", i, values[i]);
      return 1;
    }
  }
  return 0;
}
