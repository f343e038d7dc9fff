#include "runtime/simulator/driver/module/module.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/report.hpp"
#include "runtime/simulator/driver/context/state.hpp"
#include "runtime/simulator/driver/graph/capture.hpp"

namespace kerncast::simulator::api {
namespace {

/// Runs `load` with its failure also written to the caller's logs.
template <class Load>
void with_log(JitLog& log, Load&& load) {
  try {
    load();
    log.write({});
  } catch (const Failure& failure) {
    log.write(failure.what());
    throw;
  }
}

/// A kernel that exists, or Failure(CUDA_ERROR_NOT_FOUND) with those that do. Throws
/// Failure(CUDA_ERROR_NOT_SUPPORTED) if it needs what is not modelled.
int require_kernel(const Module& module, const char* name) {
  const int index = module.find_kernel(name);
  if (index < 0) {
    std::string known;
    for (const KernelInfo& info : module.kernels()) {
      known += (known.empty() ? "" : ", ") + info.name;
    }
    throw Failure(CUDA_ERROR_NOT_FOUND, fmt::format("the module has no kernel {}; it has {}", name, known));
  }
  if (const std::string& refusal = module.kernels()[static_cast<std::size_t>(index)].refusal;
      !refusal.empty()) {
    const std::string why = fmt::format("kernel {} cannot run: {}", name, refusal);
    report(why);
    throw Failure(CUDA_ERROR_NOT_SUPPORTED, why);
  }
  return index;
}

void get_global(const Module& module, const char* name, CUdeviceptr* pointer, std::size_t* bytes) {
  const GlobalVariable* variable = module.find_variable(name);
  if (variable == nullptr) {
    throw Failure(CUDA_ERROR_NOT_FOUND, fmt::format("the module has no variable {}", name));
  }
  if (pointer != nullptr) {
    *pointer = reinterpret_cast<CUdeviceptr>(variable->address);
  }
  if (bytes != nullptr) {
    *bytes = variable->size;
  }
}

void load_module(CUmodule* handle, const void* image, JitLog& log) {
  require(handle, "module");
  const std::shared_ptr<Context> context = current_context();
  refuse_unsafe_call("cuModuleLoadData");
  with_log(log, [&] {
    const Image examined = examine_image(image);
    auto made = std::make_shared<LoadedModule>();
    made->context = context->handle;
    made->device = context->device;
    made->ptx_version = examined.version;
    made->module = decode_image(examined.text, context->device);
    *handle = state().modules.insert(made);
  });
}

}  // namespace

std::shared_ptr<LoadedModule> find_module(CUmodule handle) {
  std::shared_ptr<LoadedModule> found = state().modules.find(handle);
  if (found == nullptr) {
    throw Failure(CUDA_ERROR_INVALID_HANDLE, "there is no such module, or it is unloaded");
  }
  return found;
}

std::shared_ptr<Library> find_library(CUlibrary handle) {
  std::shared_ptr<Library> found = state().libraries.find(handle);
  if (found == nullptr) {
    throw Failure(CUDA_ERROR_INVALID_HANDLE, "there is no such library, or it is unloaded");
  }
  return found;
}

std::shared_ptr<Kernel> find_kernel(CUkernel handle) {
  std::shared_ptr<Kernel> found = state().kernels.find(handle);
  if (found == nullptr) {
    throw Failure(CUDA_ERROR_INVALID_HANDLE, "there is no such kernel, or its library is unloaded");
  }
  return found;
}

std::shared_ptr<Module> module_in(Library& library, const Context& context) {
  const std::lock_guard lock(library.mutex);
  if (const auto known = library.modules.find(context.handle); known != library.modules.end()) {
    return known->second;
  }
  std::shared_ptr<Module> made;
  if (library.spare != nullptr && library.spare_device == context.device) {
    made = std::move(library.spare);
    library.spare = nullptr;
  } else {
    refuse_unsafe_call("loading a module into a context");
    made = decode_image(library.text, context.device);
  }
  library.modules[context.handle] = made;
  return made;
}

std::shared_ptr<Module> any_module(Library& library) {
  if (library.spare != nullptr) {
    return library.spare;
  }
  if (!library.modules.empty()) {
    return library.modules.begin()->second;
  }
  library.spare = decode_image(library.text, 0);
  library.spare_device = 0;
  return library.spare;
}

std::shared_ptr<FunctionSettings> default_settings(const KernelInfo& info) {
  auto settings = std::make_shared<FunctionSettings>();
  settings->max_dynamic_shared =
      std::max(0, default_shared_bytes - static_cast<int>(info.static_shared_bytes));
  return settings;
}

std::shared_ptr<Function> function_of(const std::shared_ptr<Kernel>& kernel,
                                      const std::shared_ptr<Context>& context) {
  const std::shared_ptr<Library> library = kernel->library.lock();
  if (library == nullptr) {
    throw Failure(CUDA_ERROR_INVALID_HANDLE, "the kernel's library is unloaded");
  }
  const std::lock_guard lock(kernel->mutex);
  if (const auto known = kernel->functions.find(context->handle); known != kernel->functions.end()) {
    if (std::shared_ptr<Function> function = state().functions.find(known->second); function != nullptr) {
      return function;
    }
  }
  auto made = std::make_shared<Function>();
  made->context = context->handle;
  made->device = context->device;
  made->module = module_in(*library, *context);
  made->index = require_kernel(*made->module, kernel->name.c_str());
  made->ptx_version = library->ptx_version;
  std::shared_ptr<FunctionSettings>& settings = kernel->settings[context->device];
  if (settings == nullptr) {
    settings = default_settings(made->info());
  }
  made->settings = settings;
  kernel->functions[context->handle] = state().functions.insert(made);
  return made;
}

std::shared_ptr<Function> find_function(CUfunction handle) {
  if (std::shared_ptr<Function> function = state().functions.find(handle); function != nullptr) {
    return function;
  }
  const std::shared_ptr<Kernel> kernel = state().kernels.find(reinterpret_cast<CUkernel>(handle));
  if (kernel == nullptr) {
    throw Failure(CUDA_ERROR_INVALID_HANDLE, "there is no such function, or its module is unloaded");
  }
  return function_of(kernel, current_context());
}

void forget_context(CUcontext context) {
  DriverState& all = state();
  all.functions.take_if([context](const Function& function) { return function.context == context; });
  all.modules.take_if([context](const LoadedModule& loaded) { return loaded.context == context; });
  for (const std::shared_ptr<Library>& library : all.libraries.all()) {
    std::shared_ptr<Module> dropped;
    const std::lock_guard lock(library->mutex);
    library->handles.erase(context);
    if (const auto found = library->modules.find(context); found != library->modules.end()) {
      dropped = std::move(found->second);
      library->modules.erase(found);
    }
  }
}

extern "C" {

CUresult cuModuleLoadDataEx(CUmodule* handle, const void* image, unsigned int count, CUjit_option* options,
                            void** values) {
  return driver_call([&] {
    JitLog log(count, options, values);
    load_module(handle, image, log);
    return CUDA_SUCCESS;
  });
}

CUresult cuModuleLoadData(CUmodule* handle, const void* image) {
  return cuModuleLoadDataEx(handle, image, 0, nullptr, nullptr);
}

CUresult cuModuleUnload(CUmodule handle) {
  return driver_call([&] {
    current_context();
    find_module(handle);
    refuse_unsafe_call("cuModuleUnload");
    const std::shared_ptr<LoadedModule> gone = state().modules.take(handle);
    state().functions.take_if([&](const Function& function) { return function.module == gone->module; });
    return CUDA_SUCCESS;
  });
}

CUresult cuModuleGetFunction(CUfunction* function, CUmodule handle, const char* name) {
  return driver_call([&] {
    require(function, "function");
    require(name, "name");
    current_context();
    const std::shared_ptr<LoadedModule> loaded = find_module(handle);
    const int index = require_kernel(*loaded->module, name);
    const std::lock_guard lock(loaded->mutex);
    CUfunction& slot = loaded->functions[index];
    if (slot == nullptr) {
      auto made = std::make_shared<Function>();
      made->context = loaded->context;
      made->device = loaded->device;
      made->module = loaded->module;
      made->index = index;
      made->ptx_version = loaded->ptx_version;
      made->settings = default_settings(made->info());
      slot = state().functions.insert(made);
    }
    *function = slot;
    return CUDA_SUCCESS;
  });
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr* pointer, std::size_t* bytes, CUmodule handle, const char* name) {
  return driver_call([&] {
    require(name, "name");
    current_context();
    get_global(*find_module(handle)->module, name, pointer, bytes);
    return CUDA_SUCCESS;
  });
}

CUresult cuLibraryLoadData(CUlibrary* library, const void* code, CUjit_option* jit_options, void** jit_values,
                           unsigned int jit_count, CUlibraryOption*, void**, unsigned int) {
  return driver_call([&] {
    require(library, "library");
    JitLog log(jit_count, jit_options, jit_values);
    const std::shared_ptr<Context> context = current_context_if_any();
    if (context != nullptr) {
      context->require_no_fault();
    }
    refuse_unsafe_call("cuLibraryLoadData");
    with_log(log, [&] {
      const Image examined = examine_image(code);
      auto made = std::make_shared<Library>();
      made->text = examined.text;
      made->ptx_version = examined.version;
      std::shared_ptr<Module> decoded = decode_image(made->text, context != nullptr ? context->device : 0);
      if (context != nullptr) {
        made->modules[context->handle] = std::move(decoded);
      } else {
        made->spare = std::move(decoded);
      }
      *library = state().libraries.insert(made);
    });
    return CUDA_SUCCESS;
  });
}

CUresult cuLibraryUnload(CUlibrary library) {
  return driver_call([&] {
    find_library(library);
    refuse_unsafe_call("cuLibraryUnload");
    const std::shared_ptr<Library> gone = state().libraries.take(library);
    state().kernels.take_if([&](const Kernel& kernel) { return kernel.library.lock() == gone; });
    const std::lock_guard lock(gone->mutex);
    for (const auto& [context, handle] : gone->handles) {
      state().modules.take(handle);
    }
    state().functions.take_if([&](const Function& function) {
      const auto found = gone->modules.find(function.context);
      return found != gone->modules.end() && found->second == function.module;
    });
    return CUDA_SUCCESS;
  });
}

CUresult cuLibraryGetKernel(CUkernel* kernel, CUlibrary library, const char* name) {
  return driver_call([&] {
    require(kernel, "kernel");
    require(name, "name");
    const std::shared_ptr<Library> found = find_library(library);
    const std::lock_guard lock(found->mutex);
    require_kernel(*any_module(*found), name);
    CUkernel& slot = found->kernels[name];
    if (slot == nullptr) {
      auto made = std::make_shared<Kernel>();
      made->library = found;
      made->name = name;
      slot = state().kernels.insert(made);
    }
    *kernel = slot;
    return CUDA_SUCCESS;
  });
}

CUresult cuLibraryGetGlobal(CUdeviceptr* pointer, std::size_t* bytes, CUlibrary library, const char* name) {
  return driver_call([&] {
    require(name, "name");
    const std::shared_ptr<Context> context = current_context();
    get_global(*module_in(*find_library(library), *context), name, pointer, bytes);
    return CUDA_SUCCESS;
  });
}

CUresult cuKernelGetFunction(CUfunction* function, CUkernel kernel) {
  return driver_call([&] {
    require(function, "function");
    const std::shared_ptr<Context> context = current_context();
    *function = function_of(find_kernel(kernel), context)->handle;
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
