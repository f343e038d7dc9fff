// A program that knows nothing of this project: it opens libcuda.so.1 as the loader finds it, asks for
// functions by name and version, and runs a kernel. It needs no header but the standard library's.

#include <dlfcn.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
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
int try_call(const char* name, Arguments... arguments) {
  void* found = nullptr;
  int status = 0;
  const int result = get_proc_address(name, &found, 12000, 0, &status);
  if (result != 0 || found == nullptr) {
    std::fprintf(stderr, "%s: not found, error %d\n", name, result);
    std::exit(1);
  }
  return reinterpret_cast<int (*)(Arguments...)>(found)(arguments...);
}

template <class... Arguments>
void call(const char* name, Arguments... arguments) {
  if (const int result = try_call(name, arguments...); result != 0) {
    std::fprintf(stderr, "%s: error %d\n", name, result);
    std::exit(1);
  }
}

/// Does what the virtual GPU finds fault with: loads a module that is none, and launches one thread too many.
/// Nothing here prints why.
int be_careless(void* function, std::uint64_t memory, unsigned int count) {
  void* refused = nullptr;
  const char* broken = ".version 8.0\n.target sm_75\n.address_size 64\n.visible .entry k()\n{ frobnicate; }";
  const bool was_refused = try_call("cuModuleLoadData", &refused, static_cast<const void*>(broken)) == 218;
  ++count;
  void* parameters[] = {&memory, &count};
  call("cuLaunchKernel", function, 1U, 1U, 1U, 128U, 1U, 1U, 0U, static_cast<void*>(nullptr),
       static_cast<void**>(parameters), static_cast<void**>(nullptr));
  const bool failed = try_call("cuCtxSynchronize") == 700 && try_call("cuCtxSynchronize") == 700;
  return was_refused && failed ? 0 : 1;
}

}  // namespace

int main(int count_of_arguments, char** arguments) {
  const char* mode = count_of_arguments > 1 ? arguments[1] : "";
  const bool leaks = std::strcmp(mode, "leak") == 0;
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
  if (std::strcmp(mode, "careless") == 0) {
    call("cuMemcpyHtoDAsync", memory, static_cast<const void*>(values.data()), sizeof(std::uint32_t) * count,
         static_cast<void*>(nullptr));
    return be_careless(function, memory, count);
  }
  if (std::strcmp(mode, "unwritten") == 0) {
    for (int launch = 0; launch < 2; ++launch) {
      call("cuLaunchKernel", function, 1U, 1U, 1U, 128U, 1U, 1U, 0U, stream, static_cast<void**>(parameters),
           static_cast<void**>(nullptr));
    }
    return try_call("cuStreamSynchronize", stream);
  }
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
