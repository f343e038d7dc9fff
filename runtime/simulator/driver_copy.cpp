#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "runtime/simulator/driver_context.hpp"
#include "runtime/simulator/driver_failure.hpp"
#include "runtime/simulator/driver_memory.hpp"
#include "runtime/simulator/driver_state.hpp"

namespace kerncast::simulator::api {
namespace {

/// One side of a copy: an address, and whether it must lie in memory of the virtual GPU.
struct Side {
  void* address;
  bool device;
};

Side device_side(CUdeviceptr pointer) {
  return {reinterpret_cast<void*>(pointer), true};
}
Side host_side(const void* pointer) {
  return {const_cast<void*>(pointer), false};
}
Side any_side(CUdeviceptr pointer) {
  return {reinterpret_cast<void*>(pointer), false};
}

/// Checks one side and tells whether it is pageable host memory, of which nothing is known.
bool is_pageable(const Side& side, std::size_t bytes, std::string_view call) {
  require(side.address, call);
  if (side.device) {
    require_range(side.address, bytes, call);
    return false;
  }
  return !find_range(side.address, bytes, call);
}

/// Memory that a stream-ordered free took away since the call was checked is a fault of the stream's work.
bool still_there(Context& context, const void* address, std::size_t bytes, std::string_view call) {
  const std::optional<Allocation> found = state().memory.find(address);
  const auto offset = found ? static_cast<const std::byte*>(address) - found->base : 0;
  if (!found || bytes > found->size - static_cast<std::size_t>(offset)) {
    context.set_fault(CUDA_ERROR_ILLEGAL_ADDRESS,
                      fmt::format("{}: the {} bytes at {:#x} were freed before the stream came to the copy",
                                  call, bytes, reinterpret_cast<std::uintptr_t>(address)));
    return false;
  }
  return true;
}

bool is_captured(const StreamRef& target) {
  const Scheduler::Lock lock = Scheduler::instance().lock();
  return target.stream->capture != nullptr;
}

/// Copies in stream order. Pageable memory is the caller's again when the call returns: it is read before,
/// and written by then.
void copy(const Side& to, const Side& from, std::size_t bytes, CUstream stream, std::string_view call,
          bool wait) {
  const StreamRef target = find_stream(stream);
  if (bytes == 0) {
    return;
  }
  const bool to_pageable = is_pageable(to, bytes, call);
  const bool from_pageable = is_pageable(from, bytes, call);
  std::shared_ptr<std::vector<std::byte>> staged;
  if (from_pageable && !wait && !is_captured(target)) {
    const auto* first = static_cast<const std::byte*>(from.address);
    staged = std::make_shared<std::vector<std::byte>>(first, first + bytes);
  }
  const std::optional<Point> end =
      submit(target, CU_GRAPH_NODE_TYPE_MEMCPY,
             [to, from, bytes, call, to_pageable, from_pageable, staged](Context& context) {
               if ((to_pageable || still_there(context, to.address, bytes, call)) &&
                   (from_pageable || still_there(context, from.address, bytes, call))) {
                 std::memmove(to.address, staged != nullptr ? staged->data() : from.address, bytes);
                 state().memory.mark_written(to.address, bytes);
               }
             });
  if (end && (wait || to_pageable)) {
    wait_for(target, *end);
  }
}

template <class Value>
void fill(CUdeviceptr to, Value value, std::size_t count, CUstream stream, std::string_view call) {
  const StreamRef target = find_stream(stream);
  if (to % sizeof(Value) != 0) {
    throw Failure(CUDA_ERROR_INVALID_VALUE,
                  fmt::format("{}: {:#x} is not aligned to {} bytes", call, to, sizeof(Value)));
  }
  if (count == 0) {
    return;
  }
  if (count > SIZE_MAX / sizeof(Value)) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("{}: {} elements are too many", call, count));
  }
  auto* first = reinterpret_cast<Value*>(to);
  const std::size_t bytes = count * sizeof(Value);
  require_range(first, bytes, call);
  submit(target, CU_GRAPH_NODE_TYPE_MEMSET, [first, value, count, bytes, call](Context& context) {
    if (still_there(context, first, bytes, call)) {
      std::fill_n(first, count, value);
      state().memory.mark_written(first, bytes);
    }
  });
}

}  // namespace

extern "C" {

CUresult cuMemcpy(CUdeviceptr to, CUdeviceptr from, std::size_t bytes) {
  return driver_call([&] {
    refuse_unsafe_call("cuMemcpy");
    copy(any_side(to), any_side(from), bytes, nullptr, "cuMemcpy", true);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return driver_call([&] {
    copy(any_side(to), any_side(from), bytes, stream, "cuMemcpyAsync", false);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, std::size_t bytes) {
  return driver_call([&] {
    refuse_unsafe_call("cuMemcpyHtoD");
    copy(device_side(to), host_side(from), bytes, nullptr, "cuMemcpyHtoD", true);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, std::size_t bytes) {
  return driver_call([&] {
    refuse_unsafe_call("cuMemcpyDtoH");
    copy(host_side(to), device_side(from), bytes, nullptr, "cuMemcpyDtoH", true);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, std::size_t bytes) {
  return driver_call([&] {
    refuse_unsafe_call("cuMemcpyDtoD");
    copy(device_side(to), device_side(from), bytes, nullptr, "cuMemcpyDtoD", false);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, std::size_t bytes, CUstream stream) {
  return driver_call([&] {
    copy(device_side(to), host_side(from), bytes, stream, "cuMemcpyHtoDAsync", false);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return driver_call([&] {
    copy(host_side(to), device_side(from), bytes, stream, "cuMemcpyDtoHAsync", false);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return driver_call([&] {
    copy(device_side(to), device_side(from), bytes, stream, "cuMemcpyDtoDAsync", false);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, std::size_t count) {
  return driver_call([&] {
    refuse_unsafe_call("cuMemsetD8");
    fill(to, value, count, nullptr, "cuMemsetD8");
    return CUDA_SUCCESS;
  });
}

CUresult cuMemsetD16_v2(CUdeviceptr to, unsigned short value, std::size_t count) {
  return driver_call([&] {
    refuse_unsafe_call("cuMemsetD16");
    fill(to, value, count, nullptr, "cuMemsetD16");
    return CUDA_SUCCESS;
  });
}

CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned int value, std::size_t count) {
  return driver_call([&] {
    refuse_unsafe_call("cuMemsetD32");
    fill(to, value, count, nullptr, "cuMemsetD32");
    return CUDA_SUCCESS;
  });
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, std::size_t count, CUstream stream) {
  return driver_call([&] {
    fill(to, value, count, stream, "cuMemsetD8Async");
    return CUDA_SUCCESS;
  });
}

CUresult cuMemsetD16Async(CUdeviceptr to, unsigned short value, std::size_t count, CUstream stream) {
  return driver_call([&] {
    fill(to, value, count, stream, "cuMemsetD16Async");
    return CUDA_SUCCESS;
  });
}

CUresult cuMemsetD32Async(CUdeviceptr to, unsigned int value, std::size_t count, CUstream stream) {
  return driver_call([&] {
    fill(to, value, count, stream, "cuMemsetD32Async");
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
