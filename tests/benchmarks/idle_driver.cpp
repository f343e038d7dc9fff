// A driver whose launches return at once: linked to the virtual GPU, which has every other function. Modules
// of the old API are taken as they are, binaries too, since no kernel of theirs runs. No other function
// differs.
#include <dlfcn.h>

#include <cstdint>
#include <cstring>
#include <string_view>

#define IDLE_DRIVER_FUNCTION extern "C" __attribute__((visibility("default"))) int

namespace {

int some_module = 0;
int some_function = 0;

}  // namespace

IDLE_DRIVER_FUNCTION cuLaunchKernelEx(const void* /*config*/, void* /*function*/, void** /*arguments*/,
                                      void** /*extra*/) {
  return 0;
}

IDLE_DRIVER_FUNCTION cuLaunchKernel(void* /*function*/, unsigned int /*grid_x*/, unsigned int /*grid_y*/,
                                    unsigned int /*grid_z*/, unsigned int /*block_x*/,
                                    unsigned int /*block_y*/, unsigned int /*block_z*/,
                                    unsigned int /*shared*/, void* /*stream*/, void** /*arguments*/,
                                    void** /*extra*/) {
  return 0;
}

IDLE_DRIVER_FUNCTION cuModuleLoadData(void** handle, const void* /*image*/) {
  *handle = &some_module;
  return 0;
}

IDLE_DRIVER_FUNCTION cuModuleGetFunction(void** function, void* /*handle*/, const char* /*name*/) {
  *function = &some_function;
  return 0;
}

IDLE_DRIVER_FUNCTION cuFuncGetAttribute(int* value, int attribute, void* /*function*/) {
  constexpr int max_threads_per_block = 0;
  *value = attribute == max_threads_per_block ? 1024 : 0;
  return 0;
}

IDLE_DRIVER_FUNCTION cuFuncSetAttribute(void* /*function*/, int /*attribute*/, int /*value*/) {
  return 0;
}

/// Triton asks this of every pointer in every launch; NVIDIA's driver answers at once, the virtual GPU takes
/// locks.
IDLE_DRIVER_FUNCTION cuPointerGetAttribute(void* value, int attribute, std::uint64_t pointer) {
  constexpr int device_pointer = 3;
  if (attribute == device_pointer) {
    std::memcpy(value, &pointer, sizeof pointer);
    return 0;
  }
  using Ask = int (*)(void*, int, std::uint64_t);
  static const auto ask = reinterpret_cast<Ask>(dlsym(RTLD_NEXT, "cuPointerGetAttribute"));
  return ask(value, attribute, pointer);
}

/// Programs that ask for addresses get the launches from here, and all else from the virtual GPU.
IDLE_DRIVER_FUNCTION cuGetProcAddress_v2(const char* symbol, void** function, int version,
                                         std::uint64_t flags, int* status) {
  using Ask = int (*)(const char*, void**, int, std::uint64_t, int*);
  static const auto ask = reinterpret_cast<Ask>(dlsym(RTLD_NEXT, "cuGetProcAddress_v2"));
  const int result = ask(symbol, function, version, flags, status);
  if (std::string_view(symbol) == "cuLaunchKernelEx") {
    *function = reinterpret_cast<void*>(&cuLaunchKernelEx);
  } else if (std::string_view(symbol) == "cuLaunchKernel") {
    *function = reinterpret_cast<void*>(&cuLaunchKernel);
  } else if (std::string_view(symbol) == "cuGetProcAddress") {
    *function = reinterpret_cast<void*>(&cuGetProcAddress_v2);
  }
  return result;
}
