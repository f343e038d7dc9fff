#include "runtime/simulator/cudart/registry.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <shared_mutex>
#include <unordered_map>
#include <unordered_set>

#include "runtime/simulator/cudart/context.hpp"
#include "runtime/simulator/cudart/symbols.hpp"

namespace kerncast::cudart {
namespace {

/// The struct that the compiler puts around a fat binary. fatbinary_section.h of the toolkit declares it.
struct Wrapper {
  int magic;
  int version;
  const void* data;
  const void* filename_or_fatbins;
};
constexpr int wrapper_magic = 0x466243b1;

struct Registry {
  std::shared_mutex mutex;
  std::unordered_map<const void*, RegisteredKernel> kernels;  ///< by host function
  std::unordered_map<const void*, RegisteredVariable> variables;
  std::unordered_map<const RegisteredKernel*, CUkernel> resolved;
  std::unordered_map<CUkernel, const void*> hosts;  ///< host functions of resolved kernels
  std::unordered_set<const void*> handles;          ///< kernels of libraries
};

// It outlives all static objects, since programs unregister while theirs are destroyed.
Registry& registry() {
  static auto& all = *new Registry;
  return all;
}

FatBinary& binary_of(void** handle) {
  return *reinterpret_cast<FatBinary*>(handle);
}

/// True for a refusal that another attempt would meet again. A capture or a fault passes.
bool lies_in_the_image(CUresult result) {
  return result == CUDA_ERROR_INVALID_IMAGE || result == CUDA_ERROR_NO_BINARY_FOR_GPU ||
         result == CUDA_ERROR_INVALID_PTX || result == CUDA_ERROR_UNSUPPORTED_PTX_VERSION ||
         result == CUDA_ERROR_NOT_SUPPORTED;
}

/// Loads the fat binary unless that was tried before. `what` names the kernel or variable that needs it.
CUlibrary load(FatBinary& binary, const std::string& what) {
  const std::lock_guard lock(binary.mutex);
  if (!binary.loaded) {
    use_context();
    const CUresult result = KERNCAST_CU(cuLibraryLoadData)(&binary.library, binary.image, nullptr, nullptr, 0,
                                                           nullptr, nullptr, 0);
    binary.refusal = static_cast<cudaError_t>(result);
    if (result != CUDA_SUCCESS && driver().last_fault != nullptr && driver().last_fault() != nullptr) {
      binary.why = driver().last_fault();
    }
    binary.loaded = result == CUDA_SUCCESS || lies_in_the_image(result);
  }
  if (binary.refusal != cudaSuccess) {
    throw Failure(binary.refusal, what + (binary.why.empty() ? "" : ": " + binary.why));
  }
  return binary.library;
}

/// The registered kernel that `function` names, a host function or the entry itself; null if there is none.
const RegisteredKernel* find_entry(const Registry& all, const void* function) {
  if (const auto found = all.kernels.find(function); found != all.kernels.end()) {
    return &found->second;
  }
  return nullptr;
}

CUkernel resolve(const RegisteredKernel& kernel) {
  const std::string what = fmt::format("kernel {}", kernel.name);
  CUlibrary library = load(*kernel.binary, what);
  CUkernel found = nullptr;
  if (const CUresult result = KERNCAST_CU(cuLibraryGetKernel)(&found, library, kernel.name);
      result != CUDA_SUCCESS) {
    const char* why = driver().last_fault != nullptr ? driver().last_fault() : nullptr;
    const bool missing = result == CUDA_ERROR_NOT_FOUND;
    throw Failure(missing ? cudaErrorInvalidDeviceFunction : static_cast<cudaError_t>(result),
                  fmt::format("{}: {}", what, why != nullptr ? why : "the driver does not find it"));
  }
  return found;
}

/// Says what a program will not learn by an error code, since its start-up code ignores it.
void complain(std::string_view text) {
  const std::string line = fmt::format("kerncast-cudart: {}\n", text);
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace

CUkernel find_kernel(const void* function) {
  Registry& all = registry();
  const RegisteredKernel* entry = nullptr;
  {
    const std::shared_lock lock(all.mutex);
    entry = find_entry(all, function);
    if (entry == nullptr) {
      if (all.handles.count(function) == 0) {
        throw Failure(cudaErrorInvalidDeviceFunction,
                      fmt::format("{} is no registered kernel", fmt::ptr(function)));
      }
      return static_cast<CUkernel>(const_cast<void*>(function));
    }
    if (const auto known = all.resolved.find(entry); known != all.resolved.end()) {
      return known->second;
    }
  }
  // Loading takes long and needs no lock of the registry; two threads that get here load once.
  CUkernel kernel = resolve(*entry);
  const std::unique_lock lock(all.mutex);
  all.resolved[entry] = kernel;
  all.hosts[kernel] = entry->host;
  return kernel;
}

CUfunction find_function(const void* function) {
  CUfunction found = nullptr;
  check(KERNCAST_CU(cuKernelGetFunction)(&found, find_kernel(function)));
  return found;
}

void* host_function(CUkernel kernel, CUfunction function) {
  Registry& all = registry();
  const std::shared_lock lock(all.mutex);
  if (kernel != nullptr) {
    const auto found = all.hosts.find(kernel);
    return found != all.hosts.end() ? const_cast<void*>(found->second) : reinterpret_cast<void*>(kernel);
  }
  for (const auto& [known, host] : all.hosts) {
    CUfunction its = nullptr;
    if (KERNCAST_CU(cuKernelGetFunction)(&its, known) == CUDA_SUCCESS && its == function) {
      return const_cast<void*>(host);
    }
  }
  return reinterpret_cast<void*>(function);
}

void remember_kernel(CUkernel kernel) {
  Registry& all = registry();
  const std::unique_lock lock(all.mutex);
  all.handles.insert(kernel);
}

DeviceVariable find_variable(const void* symbol) {
  Registry& all = registry();
  RegisteredVariable variable;
  {
    const std::shared_lock lock(all.mutex);
    const auto found = all.variables.find(symbol);
    if (found == all.variables.end()) {
      throw Failure(cudaErrorInvalidSymbol, fmt::format("{} is no registered variable", fmt::ptr(symbol)));
    }
    variable = found->second;
  }
  CUlibrary library = load(*variable.binary, fmt::format("variable {}", variable.name));
  DeviceVariable place;
  if (KERNCAST_CU(cuLibraryGetGlobal)(&place.address, &place.size, library, variable.name) != CUDA_SUCCESS) {
    throw Failure(cudaErrorInvalidSymbol, fmt::format("the device code has no variable {}", variable.name));
  }
  return place;
}

extern "C" {

void** __cudaRegisterFatBinary(void* wrapper) {
  auto binary = std::make_unique<FatBinary>();
  const auto* given = static_cast<const Wrapper*>(wrapper);
  if (given != nullptr && given->magic == wrapper_magic) {
    binary->image = given->data;
  }
  // Programs keep a pointer that only this library looks into.
  return reinterpret_cast<void**>(binary.release());
}

void __cudaRegisterFatBinaryEnd(void**) {}

void __cudaUnregisterFatBinary(void** handle) {
  if (handle == nullptr) {
    return;
  }
  const std::unique_ptr<FatBinary> binary(&binary_of(handle));
  Registry& all = registry();
  {
    const std::unique_lock lock(all.mutex);
    for (const void* host : binary->kernels) {
      const auto found = all.kernels.find(host);
      if (found == all.kernels.end() || found->second.binary != binary.get()) {
        continue;
      }
      if (const auto known = all.resolved.find(&found->second); known != all.resolved.end()) {
        all.hosts.erase(known->second);
        all.resolved.erase(known);
      }
      all.kernels.erase(found);
    }
    for (const void* host : binary->variables) {
      const auto found = all.variables.find(host);
      if (found != all.variables.end() && found->second.binary == binary.get()) {
        all.variables.erase(found);
      }
    }
  }
  if (binary->library != nullptr) {
    KERNCAST_CU(cuLibraryUnload)(binary->library);
  }
}

void __cudaRegisterFunction(void** handle, const char* host, char*, const char* name, int, void*, void*,
                            void*, void*, int*) {
  FatBinary& binary = binary_of(handle);
  Registry& all = registry();
  const std::unique_lock lock(all.mutex);
  // A template's host function is one for all files that use it, and each of them brings its kernel.
  if (all.kernels.try_emplace(host, RegisteredKernel{&binary, name, host}).second) {
    binary.kernels.push_back(host);
  }
}

void __cudaRegisterVar(void** handle, char* host, char*, const char* name, int, std::size_t size, int, int) {
  FatBinary& binary = binary_of(handle);
  Registry& all = registry();
  const std::unique_lock lock(all.mutex);
  if (all.variables.try_emplace(host, RegisteredVariable{&binary, name, size}).second) {
    binary.variables.push_back(host);
  }
}

void __cudaRegisterManagedVar(void** handle, void** host, char*, const char* name, int, std::size_t size, int,
                              int) {
  __cudaRegisterVar(handle, reinterpret_cast<char*>(host), nullptr, name, 0, size, 0, 0);
  complain(fmt::format("the managed variable {} has no memory that the host can use", name));
}

void __cudaRegisterHostVar(void**, const char*, char*, std::size_t) {}

void __cudaRegisterUnifiedTable(void**, void*) {}

char __cudaInitModule(void**) {
  return 1;
}

cudaError_t __cudaGetKernel(CUkernel* kernel, const void* function) {
  // The program keeps the handle for good, also that of a kernel which cannot be loaded. Therefore it is the
  // host function, by which every later call finds the kernel and its name.
  if (kernel == nullptr) {
    return finish(Failure(cudaErrorInvalidValue, "kernel is null"));
  }
  *kernel = static_cast<CUkernel>(const_cast<void*>(function));
  return cudaSuccess;
}

cudaError_t cudaGetKernel(CUkernel* kernel, const void* function) {
  return device_call([&] {
    require(kernel, "kernel");
    *kernel = find_kernel(function);
    remember_kernel(*kernel);
    return cudaSuccess;
  });
}

cudaError_t cudaGetFuncBySymbol(CUfunction* function, const void* symbol) {
  return device_call([&] {
    require(function, "function");
    *function = find_function(symbol);
    return cudaSuccess;
  });
}

cudaError_t cudaGetSymbolAddress(void** pointer, const void* symbol) {
  return device_call([&] {
    require(static_cast<const void*>(pointer), "pointer");
    *pointer = reinterpret_cast<void*>(find_variable(symbol).address);
    return cudaSuccess;
  });
}

cudaError_t cudaGetSymbolSize(std::size_t* size, const void* symbol) {
  return device_call([&] {
    require(size, "size");
    *size = find_variable(symbol).size;
    return cudaSuccess;
  });
}

}  // extern "C"

}  // namespace kerncast::cudart
