#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "runtime/simulator/driver/context/context.hpp"
#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/state.hpp"
#include "runtime/simulator/driver/module/fat_binary.hpp"
#include "runtime/simulator/driver/module/module.hpp"

namespace kerncast::simulator::api {
namespace {

void place_of_parameter(const KernelInfo& info, std::size_t index, std::size_t* offset, std::size_t* size) {
  require(offset, "offset");
  if (index >= info.parameters.size()) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("{} has {} parameters; there is no number {}",
                                                        info.name, info.parameters.size(), index));
  }
  *offset = info.parameters[index].offset;
  if (size != nullptr) {
    *size = info.parameters[index].size;
  }
}

const KernelInfo& info_of(Kernel& kernel, std::shared_ptr<Module>& kept) {
  const std::shared_ptr<Library> library = kernel.library.lock();
  if (library == nullptr) {
    throw Failure(CUDA_ERROR_INVALID_HANDLE, "the kernel's library is unloaded");
  }
  const std::lock_guard lock(library->mutex);
  kept = any_module(*library);
  return kept->kernels()[static_cast<std::size_t>(kept->find_kernel(kernel.name))];
}

/// A handle of the library's module in `context`, made on first use.
CUmodule handle_of(Library& library, const Context& context) {
  std::shared_ptr<Module> module = module_in(library, context);
  const std::lock_guard lock(library.mutex);
  CUmodule& handle = library.handles[context.handle];
  if (handle == nullptr) {
    auto made = std::make_shared<LoadedModule>();
    made->context = context.handle;
    made->device = context.device;
    made->ptx_version = library.ptx_version;
    made->module = std::move(module);
    handle = state().modules.insert(made);
  }
  return handle;
}

}  // namespace

std::string read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw Failure(CUDA_ERROR_FILE_NOT_FOUND, fmt::format("{} cannot be read", path));
  }
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (text.empty()) {
    throw Failure(CUDA_ERROR_INVALID_IMAGE, fmt::format("{} is empty", path));
  }
  require_whole_fat_binary(text);
  return text;
}

extern "C" {

CUresult cuModuleLoad(CUmodule* handle, const char* path) {
  std::string text;
  const CUresult read = driver_call([&] {
    require(path, "path");
    text = read_file(path);
    return CUDA_SUCCESS;
  });
  return read == CUDA_SUCCESS ? cuModuleLoadData(handle, text.c_str()) : read;
}

CUresult cuModuleLoadFatBinary(CUmodule* handle, const void* image) {
  return cuModuleLoadData(handle, image);
}

CUresult cuModuleGetLoadingMode(CUmoduleLoadingMode* mode) {
  return driver_call([&] {
    require(mode, "mode");
    *mode = CU_MODULE_EAGER_LOADING;
    return CUDA_SUCCESS;
  });
}

CUresult cuModuleGetFunctionCount(unsigned int* count, CUmodule handle) {
  return driver_call([&] {
    require(count, "count");
    *count = static_cast<unsigned int>(find_module(handle)->module->kernels().size());
    return CUDA_SUCCESS;
  });
}

CUresult cuModuleEnumerateFunctions(CUfunction* functions, unsigned int count, CUmodule handle) {
  return driver_call([&] {
    require(static_cast<const void*>(functions), "functions");
    const std::shared_ptr<LoadedModule> found = find_module(handle);
    const std::size_t most = std::min<std::size_t>(count, found->module->kernels().size());
    for (std::size_t i = 0; i < most; ++i) {
      const CUresult result =
          cuModuleGetFunction(&functions[i], handle, found->module->kernels()[i].name.c_str());
      if (result != CUDA_SUCCESS) {
        return result;
      }
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuLibraryLoadFromFile(CUlibrary* library, const char* path, CUjit_option* jit_options,
                               void** jit_values, unsigned int jit_count, CUlibraryOption* options,
                               void** values, unsigned int count) {
  std::string text;
  const CUresult read = driver_call([&] {
    require(path, "path");
    text = read_file(path);
    return CUDA_SUCCESS;
  });
  return read == CUDA_SUCCESS ? cuLibraryLoadData(library, text.c_str(), jit_options, jit_values, jit_count,
                                                  options, values, count)
                              : read;
}

CUresult cuLibraryGetKernelCount(unsigned int* count, CUlibrary library) {
  return driver_call([&] {
    require(count, "count");
    const std::shared_ptr<Library> found = find_library(library);
    const std::lock_guard lock(found->mutex);
    *count = static_cast<unsigned int>(any_module(*found)->kernels().size());
    return CUDA_SUCCESS;
  });
}

CUresult cuLibraryEnumerateKernels(CUkernel* kernels, unsigned int count, CUlibrary library) {
  return driver_call([&] {
    require(static_cast<const void*>(kernels), "kernels");
    const std::shared_ptr<Library> found = find_library(library);
    std::shared_ptr<Module> module;
    {
      const std::lock_guard lock(found->mutex);
      module = any_module(*found);
    }
    const std::size_t most = std::min<std::size_t>(count, module->kernels().size());
    for (std::size_t i = 0; i < most; ++i) {
      const CUresult result = cuLibraryGetKernel(&kernels[i], library, module->kernels()[i].name.c_str());
      if (result != CUDA_SUCCESS) {
        return result;
      }
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuLibraryGetModule(CUmodule* handle, CUlibrary library) {
  return driver_call([&] {
    require(handle, "module");
    const std::shared_ptr<Context> context = current_context();
    *handle = handle_of(*find_library(library), *context);
    return CUDA_SUCCESS;
  });
}

CUresult cuLibraryGetManaged(CUdeviceptr*, std::size_t*, CUlibrary library, const char* name) {
  return driver_call([&]() -> CUresult {
    require(name, "name");
    find_library(library);
    throw Failure(CUDA_ERROR_NOT_FOUND, fmt::format("the library has no managed variable {}", name));
  });
}

CUresult cuLibraryGetUnifiedFunction(void** function, CUlibrary library, const char* name) {
  return driver_call([&]() -> CUresult {
    require(static_cast<const void*>(function), "function");
    require(name, "name");
    find_library(library);
    throw Failure(CUDA_ERROR_NOT_FOUND, fmt::format("the library has no unified function {}", name));
  });
}

CUresult cuKernelGetLibrary(CUlibrary* library, CUkernel kernel) {
  return driver_call([&] {
    require(library, "library");
    require(kernel, "kernel");
    const std::shared_ptr<Library> found = find_kernel(kernel)->library.lock();
    if (found == nullptr) {
      throw Failure(CUDA_ERROR_INVALID_HANDLE, "the kernel's library is unloaded");
    }
    *library = found->handle;
    return CUDA_SUCCESS;
  });
}

CUresult cuKernelGetName(const char** name, CUkernel kernel) {
  return driver_call([&] {
    require(static_cast<const void*>(name), "name");
    require(kernel, "kernel");
    *name = find_kernel(kernel)->name.c_str();
    return CUDA_SUCCESS;
  });
}

CUresult cuKernelGetParamInfo(CUkernel kernel, std::size_t index, std::size_t* offset, std::size_t* size) {
  return driver_call([&] {
    require(kernel, "kernel");
    current_context();
    std::shared_ptr<Module> kept;
    place_of_parameter(info_of(*find_kernel(kernel), kept), index, offset, size);
    return CUDA_SUCCESS;
  });
}

CUresult cuFuncGetName(const char** name, CUfunction function) {
  return driver_call([&] {
    require(static_cast<const void*>(name), "name");
    require(function, "function");
    *name = find_function(function)->info().name.c_str();
    return CUDA_SUCCESS;
  });
}

CUresult cuFuncGetParamInfo(CUfunction function, std::size_t index, std::size_t* offset, std::size_t* size) {
  return driver_call([&] {
    require(function, "function");
    place_of_parameter(find_function(function)->info(), index, offset, size);
    return CUDA_SUCCESS;
  });
}

CUresult cuFuncGetModule(CUmodule* handle, CUfunction function) {
  return driver_call([&] {
    require(handle, "module");
    require(function, "function");
    const std::shared_ptr<Function> found = find_function(function);
    for (const std::shared_ptr<LoadedModule>& loaded : state().modules.all()) {
      if (loaded->module == found->module) {
        *handle = loaded->handle;
        return CUDA_SUCCESS;
      }
    }
    const std::shared_ptr<Context> context = find_context(found->context);
    for (const std::shared_ptr<Library>& library : state().libraries.all()) {
      bool owner = false;
      {
        const std::lock_guard lock(library->mutex);
        const auto own = library->modules.find(found->context);
        owner = own != library->modules.end() && own->second == found->module;
      }
      if (owner) {
        *handle = handle_of(*library, *context);
        return CUDA_SUCCESS;
      }
    }
    throw Failure(CUDA_ERROR_INVALID_HANDLE, "the function's module is unloaded");
  });
}

CUresult cuFuncIsLoaded(CUfunctionLoadingState* loaded, CUfunction function) {
  return driver_call([&] {
    require(loaded, "state");
    require(function, "function");
    find_function(function);
    *loaded = CU_FUNCTION_LOADING_STATE_LOADED;
    return CUDA_SUCCESS;
  });
}

CUresult cuFuncLoad(CUfunction function) {
  return driver_call([&] {
    require(function, "function");
    find_function(function);
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
