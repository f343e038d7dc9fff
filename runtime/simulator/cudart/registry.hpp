#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/simulator/cudart/driver.hpp"
#include "runtime/simulator/cudart/error.hpp"

/// The kernels and variables that the compiler's start-up code registers, and what they are in the driver.
/// Registration keeps addresses only: programs register tens of thousands of kernels and use a few. A fat
/// binary is loaded when a kernel or variable of it is first used.
namespace kerncast::cudart {

/// A fat binary as a program registered it. Its library is loaded once; a refusal is remembered.
struct FatBinary {
  const void* image = nullptr;         ///< the container, as cuLibraryLoadData takes it; owned by the program
  std::vector<const void*> kernels;    ///< host addresses, to take them back with the fat binary
  std::vector<const void*> variables;  ///< likewise

  std::mutex mutex;
  bool loaded = false;  ///< `library` or `refusal` is set
  CUlibrary library = nullptr;
  cudaError_t refusal = cudaSuccess;
  std::string why;
};

/// A kernel: a host function that stands for it, and its name in the fat binary.
struct RegisteredKernel {
  FatBinary* binary = nullptr;
  const char* name = nullptr;  ///< owned by the program
  const void* host = nullptr;
};

struct RegisteredVariable {
  FatBinary* binary = nullptr;
  const char* name = nullptr;  ///< owned by the program
  std::size_t size = 0;
};

/// The driver's object for the name of a kernel that a program passed: the address of a host function, a
/// handle from __cudaGetKernel, or a CUkernel. Throws Failure: cudaErrorInvalidDeviceFunction if it is none,
/// and what the driver said, with the kernel's name, if the kernel cannot be loaded.
CUkernel find_kernel(const void* function);

/// The kernel of find_kernel() as a CUfunction of the current context.
CUfunction find_function(const void* function);

/// The host function that stands for a kernel of the driver, which gives a CUkernel or, if that is null, a
/// CUfunction. If no host function does, it is the driver's handle.
void* host_function(CUkernel kernel, CUfunction function);

/// Makes a kernel of a library known, so that a program may pass it where a host function goes.
void remember_kernel(CUkernel kernel);

/// Address and size of a device variable, by the address of the host variable that stands for it. Throws
/// Failure(cudaErrorInvalidSymbol).
struct DeviceVariable {
  CUdeviceptr address = 0;
  std::size_t size = 0;
};
DeviceVariable find_variable(const void* symbol);

}  // namespace kerncast::cudart
