#include "runtime/simulator/cudart/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <mutex>
#include <set>

#include "runtime/simulator/cudart/driver.hpp"
#include "runtime/simulator/cudart/symbols.hpp"

namespace kerncast::cudart {
namespace {

struct ErrorName {
  int code;
  const char* name;
};

constexpr ErrorName error_names[] = {
#define KERNCAST_CUDART_ERROR(name, value) {value, #name},
#include "runtime/simulator/cudart/error_names.def"
#undef KERNCAST_CUDART_ERROR
};

struct LastError {
  cudaError_t error = cudaSuccess;
  cudaError_t described = cudaSuccess;  ///< the error that `detail` belongs to
  std::string detail;
};

thread_local LastError last;

const ErrorName* find_name(cudaError_t error) {
  const auto* const found = std::find_if(std::begin(error_names), std::end(error_names),
                                         [error](const ErrorName& known) { return known.code == error; });
  return found != std::end(error_names) ? found : nullptr;
}

/// "invalid device pointer" for cudaErrorInvalidDevicePointer.
std::string words_of(std::string_view name) {
  constexpr std::string_view prefix = "cudaError";
  const auto is_lower = [](char letter) { return std::islower(static_cast<unsigned char>(letter)) != 0; };
  name.remove_prefix(std::min(prefix.size(), name.size()));
  std::string words;
  for (std::size_t i = 0; i < name.size(); ++i) {
    // A word begins at a capital that a small letter precedes or follows: "ECC uncorrectable" is two.
    const bool begins = !is_lower(name[i]) && i > 0 &&
                        (is_lower(name[i - 1]) || (i + 1 < name.size() && is_lower(name[i + 1])));
    words += begins ? " " : "";
    words += static_cast<char>(std::tolower(static_cast<unsigned char>(name[i])));
  }
  return words;
}

std::string text_of(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInsufficientDriver:
      return "there is no CUDA driver (libcuda.so.1 or the library that KERNCAST_DRIVER names), or it is too "
             "old";
    case cudaErrorNoKernelImageForDevice:
      return "no kernel image is available for execution on the device";
    default:
      break;
  }
  const ErrorName* found = find_name(error);
  return found != nullptr ? words_of(found->name) : "unrecognized error code";
}

/// A copy of `text` that lives as long as the process, since callers keep the pointers. After the limit the
/// text without its details has to do.
const char* interned(const std::string& text) {
  constexpr std::size_t limit = 4096;
  static std::mutex mutex;
  static auto& texts = *new std::set<std::string>;
  const std::lock_guard lock(mutex);
  if (const auto known = texts.find(text); known != texts.end()) {
    return known->c_str();
  }
  return texts.size() < limit ? texts.insert(text).first->c_str() : nullptr;
}

void keep(cudaError_t error, const char* detail) noexcept {
  last.error = error;
  if (detail == nullptr) {
    return;
  }
  try {
    last.detail = detail;
    last.described = error;
  } catch (const std::exception&) {
    last.described = cudaSuccess;
  }
}

}  // namespace

void check(CUresult result) {
  if (result == CUDA_SUCCESS) {
    return;
  }
  const char* detail = driver().last_fault != nullptr ? driver().last_fault() : nullptr;
  throw Failure(static_cast<cudaError_t>(result), detail != nullptr ? detail : "");
}

void require(const void* pointer, std::string_view what) {
  if (pointer == nullptr) {
    throw Failure(cudaErrorInvalidValue, fmt::format("{} is null", what));
  }
}

cudaError_t finish(CUresult result) noexcept {
  const auto error = static_cast<cudaError_t>(result);
  if (result != CUDA_SUCCESS) {
    // Polling is frequent and its outcome needs no explanation.
    const bool explained = result != CUDA_ERROR_NOT_READY && driver().last_fault != nullptr;
    keep(error, explained ? driver().last_fault() : "");
  }
  return error;
}

cudaError_t finish(cudaError_t error) noexcept {
  if (error != cudaSuccess) {
    keep(error, "");
  }
  return error;
}

cudaError_t finish(const Failure& failure) noexcept {
  keep(failure.code(), failure.what());
  return failure.code();
}

cudaError_t driver_error() {
  const Driver& found = driver();
  if (found.library == nullptr) {
    return cudaErrorInsufficientDriver;
  }
  return static_cast<cudaError_t>(found.state);
}

extern "C" {

cudaError_t cudaGetLastError() {
  return std::exchange(last.error, cudaSuccess);
}

cudaError_t cudaPeekAtLastError() {
  return last.error;
}

const char* cudaGetErrorName(cudaError_t error) {
  const ErrorName* found = find_name(error);
  return found != nullptr ? found->name : "unrecognized error code";
}

// The text of this thread's last failure goes with its code: it names the kernel or says what the fault was.
const char* cudaGetErrorString(cudaError_t error) {
  try {
    const std::string text = text_of(error);
    if (error != cudaSuccess && error == last.described && !last.detail.empty()) {
      if (const char* full = interned(fmt::format("{}: {}", text, last.detail)); full != nullptr) {
        return full;
      }
    }
    const char* plain = interned(text);
    return plain != nullptr ? plain : cudaGetErrorName(error);
  } catch (const std::exception&) {
    return cudaGetErrorName(error);
  }
}

}  // extern "C"

}  // namespace kerncast::cudart
