#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "runtime/simulator/driver/abi/symbols.hpp"

namespace kerncast::simulator::api {

struct Context;
struct Moment;

/// One side of a copy: its first byte, the bytes from row to row and from slice to slice, and whether it must
/// lie in memory of the virtual GPU.
struct Side {
  std::byte* first = nullptr;
  std::size_t row_pitch = 0;
  std::size_t slice_pitch = 0;
  bool device = false;
};

struct Extent {
  std::size_t width = 0;  ///< in bytes
  std::size_t rows = 1;
  std::size_t slices = 1;
  [[nodiscard]] bool empty() const { return width == 0 || rows == 0 || slices == 0; }
};

/// A copy whose arguments have been checked.
struct CopyNode {
  Side to;
  Side from;
  Extent extent;
  const char* call = "";
  bool to_pageable = false;
  bool from_pageable = false;
  std::vector<std::byte> staged;  ///< contents of pageable memory when the call was made
  CUDA_MEMCPY3D given{};          ///< for callers that ask a graph's node
};

struct FillNode {
  CUDA_MEMSET_NODE_PARAMS given{};
  const char* call = "";
};

/// Checks a copy. `staged` says that pageable memory is read now, since its owner gets it back at once.
std::shared_ptr<CopyNode> make_copy(const Side& to, const Side& from, const Extent& extent, const char* call);
/// The copy that a caller's structure describes. Throws Failure: CUDA_ERROR_NOT_SUPPORTED for arrays.
std::shared_ptr<CopyNode> make_copy(const CUDA_MEMCPY3D& given, const char* call);
std::shared_ptr<FillNode> make_fill(const CUDA_MEMSET_NODE_PARAMS& given, const char* call);
/// The work of the copies and fills above on a stream or in a graph. They move the moment on by their
/// estimated time if there is a device clock.
void run_copy(const CopyNode& copy, Context& context, Moment& moment);
void run_fill(const FillNode& fill, Context& context, Moment& moment);
/// The structure for a flat copy between `bytes` at addresses of any kind.
CUDA_MEMCPY3D flat_copy(const Side& to, const Side& from, std::size_t bytes);

}  // namespace kerncast::simulator::api
