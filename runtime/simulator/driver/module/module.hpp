#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/simulator/driver/abi/symbols.hpp"
#include "runtime/simulator/machine/machine.hpp"

namespace kerncast::simulator::api {

struct Context;

/// The settings of a function, shared by the functions that one kernel has in the contexts of a device.
struct FunctionSettings {
  std::atomic<int> max_dynamic_shared{0};  ///< bytes
  std::atomic<int> carveout{-1};           ///< percent
  std::atomic<int> large_clusters{0};      ///< 1: clusters of more than 8 blocks are allowed
  std::atomic<int> cluster_policy{0};      ///< of scheduling; it changes nothing
};

/// A function: a kernel of a module in a context.
struct Function {
  CUfunction handle = nullptr;
  CUcontext context = nullptr;
  int device = 0;
  std::shared_ptr<Module> module;
  int index = 0;        ///< of the kernel in the module
  int ptx_version = 0;  ///< as 90
  std::shared_ptr<FunctionSettings> settings;

  [[nodiscard]] const KernelInfo& info() const { return module->kernels()[static_cast<std::size_t>(index)]; }
};

/// A module in one context, as cuModuleLoadData makes it.
struct LoadedModule {
  CUmodule handle = nullptr;
  CUcontext context = nullptr;
  int device = 0;
  int ptx_version = 0;
  std::shared_ptr<Module> module;
  std::mutex mutex;
  std::unordered_map<int, CUfunction> functions;  ///< by kernel index
};

/// A library, as cuLibraryLoadData makes it: a text, and its module in every context that has used it.
struct Library {
  CUlibrary handle = nullptr;
  std::string text;
  int ptx_version = 0;
  std::mutex mutex;
  std::unordered_map<CUcontext, std::shared_ptr<Module>> modules;
  std::shared_ptr<Module> spare;  ///< decoded when the library was loaded with no context current
  int spare_device = 0;
  std::unordered_map<std::string, CUkernel> kernels;
  std::unordered_map<CUcontext, CUmodule> handles;  ///< handles of `modules` that were asked for
};

/// A kernel of a library, in no context yet.
struct Kernel {
  CUkernel handle = nullptr;
  std::weak_ptr<Library> library;
  std::string name;
  std::mutex mutex;
  std::unordered_map<int, std::shared_ptr<FunctionSettings>> settings;  ///< by device
  std::unordered_map<CUcontext, CUfunction> functions;
};

/// Live objects by their handles. They throw Failure(CUDA_ERROR_INVALID_HANDLE).
std::shared_ptr<LoadedModule> find_module(CUmodule handle);
std::shared_ptr<Library> find_library(CUlibrary handle);
std::shared_ptr<Kernel> find_kernel(CUkernel handle);
/// The library's module in `context`, decoded on first use.
std::shared_ptr<Module> module_in(Library& library, const Context& context);
/// Any module of the library, for what is the same in all contexts. The library's mutex is held.
std::shared_ptr<Module> any_module(Library& library);

/// A PTX text that the device can run.
struct Image {
  std::string_view text;
  int version = 0;                              ///< of the PTX language, as 90
  std::shared_ptr<const std::string> unpacked;  ///< holds `text` if that comes from a fat binary
};

/// Examines the code that a caller passed: PTX, or a fat binary that holds some. Throws Failure:
/// CUDA_ERROR_NO_BINARY_FOR_GPU for a cubin and where no PTX is for the device, CUDA_ERROR_INVALID_IMAGE if
/// it is no text and for a damaged fat binary.
Image examine_image(const void* code);
/// Decodes for `device`. Throws Failure(CUDA_ERROR_INVALID_PTX) with what the decoder says.
std::shared_ptr<Module> decode_image(std::string_view text, int device);

/// Writes what went wrong to the log buffers that a caller's just-in-time options name, and empties them
/// otherwise.
class JitLog {
 public:
  JitLog(unsigned int count, const CUjit_option* options, void** values);
  /// Sets the error log to `text`, cut to its buffer, and both sizes to the bytes written.
  void write(std::string_view text);

 private:
  char* error_ = nullptr;
  std::size_t error_size_ = 0;
  void** error_written_ = nullptr;
  void** info_written_ = nullptr;
};

/// Modules that are being linked, as cuLinkCreate makes it.
struct LinkState {
  explicit LinkState(JitLog given) : log(given) {}

  CUlinkState handle = nullptr;
  std::mutex mutex;
  JitLog log;
  std::vector<std::string> modules;
  std::string linked;  ///< the result; empty until the link is complete
};

/// The contents of a file that holds code. Throws Failure: CUDA_ERROR_FILE_NOT_FOUND, or
/// CUDA_ERROR_INVALID_IMAGE if it is empty or a fat binary that was cut off.
std::string read_file(const char* path);

/// The function that `handle`, a CUfunction or a CUkernel cast to one, stands for in the current context.
/// Throws Failure(CUDA_ERROR_INVALID_HANDLE).
std::shared_ptr<Function> find_function(CUfunction handle);
/// The settings of a kernel on a device, with what a launch may use by default.
std::shared_ptr<FunctionSettings> default_settings(const KernelInfo& info);
/// The function of `kernel` in `context`, made on first use.
std::shared_ptr<Function> function_of(const std::shared_ptr<Kernel>& kernel,
                                      const std::shared_ptr<Context>& context);
/// Number of blocks of this size, with this many bytes of dynamic shared memory each, that fit on one
/// multiprocessor at once.
int resident_blocks(const Function& function, int block_size, std::size_t dynamic_shared);
/// The most blocks that a cluster of the function may have.
int most_blocks_of_cluster(const Function& function);
/// Drops the modules and functions of a context that was destroyed.
void forget_context(CUcontext context);

}  // namespace kerncast::simulator::api
