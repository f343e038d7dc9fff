#include "runtime/simulator/driver/memory/copy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "runtime/simulator/driver/context/context.hpp"
#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/scheduler.hpp"
#include "runtime/simulator/driver/context/state.hpp"
#include "runtime/simulator/driver/memory/memory.hpp"

namespace kerncast::simulator::api {
namespace {

/// Number of bytes from the first to the last that one side of a copy touches.
std::size_t span_of(const Side& side, const Extent& extent) {
  return (extent.slices - 1) * side.slice_pitch + (extent.rows - 1) * side.row_pitch + extent.width;
}

/// Checks one side. True if it is pageable host memory, whose bounds are unknown.
bool is_pageable(const Side& side, const Extent& extent, std::string_view call) {
  require(side.first, call);
  if (side.device) {
    require_range(side.first, span_of(side, extent), call);
    return false;
  }
  return !find_range(side.first, span_of(side, extent), call);
}

/// If a stream-ordered free took the memory away after the call was checked, that is a fault of the stream's
/// work.
bool still_there(Context& context, const void* address, std::size_t bytes, const char* call) {
  const std::optional<Allocation> found = state().memory.find(address);
  const auto offset = found ? static_cast<const std::byte*>(address) - found->base : 0;
  if (!found || bytes > found->size - static_cast<std::size_t>(offset)) {
    context.set_fault(CUDA_ERROR_ILLEGAL_ADDRESS,
                      fmt::format("{}: the {} bytes at {:#x} were freed before the stream came to it", call,
                                  bytes, reinterpret_cast<std::uintptr_t>(address)));
    return false;
  }
  return true;
}

/// The address, if it lies in memory of `device` itself; else 0.
std::uint64_t device_address(const std::byte* address, int device) {
  const std::optional<Allocation> found = state().memory.find(address);
  const bool own = found && found->kind == MemoryKind::device && found->device == device;
  return own ? reinterpret_cast<std::uintptr_t>(address) : 0;
}

template <class Row>
void for_each_row(const Extent& extent, Row&& row) {
  for (std::size_t z = 0; z < extent.slices; ++z) {
    for (std::size_t y = 0; y < extent.rows; ++y) {
      row(y, z);
    }
  }
}

const std::byte* row_of(const Side& side, std::size_t y, std::size_t z) {
  return side.first + z * side.slice_pitch + y * side.row_pitch;
}

/// One side of a caller's structure.
Side side_of(CUmemorytype type, const void* host, CUdeviceptr device, std::size_t pitch, std::size_t height,
             const std::array<std::size_t, 3>& offset, const CUDA_MEMCPY3D& given, const char* call) {
  Side side;
  switch (type) {
    case CU_MEMORYTYPE_HOST:
      side.first = static_cast<std::byte*>(const_cast<void*>(host));
      break;
    case CU_MEMORYTYPE_DEVICE:
      side.device = true;
      [[fallthrough]];
    case CU_MEMORYTYPE_UNIFIED:
      side.first = reinterpret_cast<std::byte*>(device);
      break;
    case CU_MEMORYTYPE_ARRAY:
      throw Failure(CUDA_ERROR_NOT_SUPPORTED, fmt::format("{}: the virtual GPU has no arrays", call));
    default:
      throw Failure(CUDA_ERROR_INVALID_VALUE,
                    fmt::format("{}: there is no memory type {}", call, static_cast<unsigned int>(type)));
  }
  const bool many_rows = given.Height > 1 || given.Depth > 1 || offset[1] > 0 || offset[2] > 0;
  if ((pitch != 0 || many_rows) && pitch < offset[0] + given.WidthInBytes) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("{}: a row of {} bytes from {} exceeds the pitch {}",
                                                        call, given.WidthInBytes, offset[0], pitch));
  }
  if ((given.Depth > 1 || offset[2] > 0) && height < offset[1] + given.Height) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("{}: {} rows from {} exceed the slice's {}", call,
                                                        given.Height, offset[1], height));
  }
  side.row_pitch = pitch;
  side.slice_pitch = pitch * height;
  if (side.first != nullptr) {
    side.first += offset[2] * side.slice_pitch + offset[1] * pitch + offset[0];
  }
  return side;
}

}  // namespace

std::shared_ptr<CopyNode> make_copy(const Side& to, const Side& from, const Extent& extent,
                                    const char* call) {
  auto copy = std::make_shared<CopyNode>();
  copy->to = to;
  copy->from = from;
  copy->extent = extent;
  copy->call = call;
  if (!extent.empty()) {
    copy->to_pageable = is_pageable(to, extent, call);
    copy->from_pageable = is_pageable(from, extent, call);
  }
  return copy;
}

std::shared_ptr<CopyNode> make_copy(const CUDA_MEMCPY3D& given, const char* call) {
  const Side to = side_of(given.dstMemoryType, given.dstHost, given.dstDevice, given.dstPitch,
                          given.dstHeight, {given.dstXInBytes, given.dstY, given.dstZ}, given, call);
  const Side from = side_of(given.srcMemoryType, given.srcHost, given.srcDevice, given.srcPitch,
                            given.srcHeight, {given.srcXInBytes, given.srcY, given.srcZ}, given, call);
  std::shared_ptr<CopyNode> copy = make_copy(to, from, {given.WidthInBytes, given.Height, given.Depth}, call);
  copy->given = given;
  return copy;
}

std::shared_ptr<FillNode> make_fill(const CUDA_MEMSET_NODE_PARAMS& given, const char* call) {
  const unsigned int size = given.elementSize;
  if (size != 1 && size != 2 && size != 4) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("{}: elements of {} bytes", call, size));
  }
  if (given.dst % size != 0 || (given.height > 1 && given.pitch % size != 0)) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("{}: {:#x} with pitch {} is not aligned to {} bytes",
                                                        call, given.dst, given.pitch, size));
  }
  if (given.width > SIZE_MAX / size) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("{}: {} elements are too many", call, given.width));
  }
  if (given.height > 1 && given.pitch < given.width * size) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("{}: a row of {} bytes exceeds the pitch {}", call,
                                                        given.width * size, given.pitch));
  }
  if (given.width != 0 && given.height != 0) {
    require_range(reinterpret_cast<const void*>(given.dst),
                  (given.height - 1) * given.pitch + given.width * size, call);
  }
  auto fill = std::make_shared<FillNode>();
  fill->given = given;
  fill->call = call;
  return fill;
}

void run_copy(const CopyNode& copy, Context& context, Moment& moment) {
  if (copy.extent.empty() ||
      (!copy.to_pageable && !still_there(context, copy.to.first, span_of(copy.to, copy.extent), copy.call)) ||
      (!copy.from_pageable &&
       !still_there(context, copy.from.first, span_of(copy.from, copy.extent), copy.call))) {
    return;
  }
  const std::byte* staged = copy.staged.empty() ? nullptr : copy.staged.data();
  for_each_row(copy.extent, [&](std::size_t y, std::size_t z) {
    const std::byte* from = staged != nullptr ? staged : row_of(copy.from, y, z);
    std::memmove(const_cast<std::byte*>(row_of(copy.to, y, z)), from, copy.extent.width);
    if (!copy.to_pageable) {
      state().memory.mark_written(row_of(copy.to, y, z), copy.extent.width);
    }
    staged = staged != nullptr ? staged + copy.extent.width : nullptr;
  });
  if (DeviceClock* clock = state().clock(context.device); clock != nullptr) {
    const std::uint64_t to = device_address(copy.to.first, context.device);
    const std::uint64_t from = device_address(copy.from.first, context.device);
    moment.pass(clock->transfer_time(
        {to, from, copy.extent.width * copy.extent.rows * copy.extent.slices, to == 0 || from == 0}));
  }
}

void run_fill(const FillNode& fill, Context& context, Moment& moment) {
  const CUDA_MEMSET_NODE_PARAMS& given = fill.given;
  if (given.width == 0 || given.height == 0) {
    return;
  }
  auto* first = reinterpret_cast<std::byte*>(given.dst);
  if (!still_there(context, first, (given.height - 1) * given.pitch + given.width * given.elementSize,
                   fill.call)) {
    return;
  }
  for (std::size_t y = 0; y < given.height; ++y) {
    std::byte* row = first + y * given.pitch;
    if (given.elementSize == 1) {
      std::memset(row, static_cast<int>(given.value & 0xff), given.width);
    } else if (given.elementSize == 2) {
      std::fill_n(reinterpret_cast<std::uint16_t*>(row), given.width,
                  static_cast<std::uint16_t>(given.value));
    } else {
      std::fill_n(reinterpret_cast<std::uint32_t*>(row), given.width, given.value);
    }
    state().memory.mark_written(row, given.width * given.elementSize);
  }
  if (DeviceClock* clock = state().clock(context.device); clock != nullptr) {
    const std::uint64_t to = device_address(first, context.device);
    moment.pass(clock->transfer_time({to, 0, given.width * given.elementSize * given.height, to == 0}));
  }
}

CUDA_MEMCPY3D flat_copy(const Side& to, const Side& from, std::size_t bytes) {
  CUDA_MEMCPY3D shape{};
  shape.srcMemoryType = from.device ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_UNIFIED;
  shape.srcDevice = reinterpret_cast<CUdeviceptr>(from.first);
  shape.dstMemoryType = to.device ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_UNIFIED;
  shape.dstDevice = reinterpret_cast<CUdeviceptr>(to.first);
  shape.srcPitch = shape.dstPitch = shape.WidthInBytes = bytes;
  shape.srcHeight = shape.dstHeight = shape.Height = shape.Depth = 1;
  return shape;
}

}  // namespace kerncast::simulator::api
