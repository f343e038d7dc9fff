#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kerncast::simulator::api {

/// One piece of code in a fat binary, as it lies there.
struct FatBinaryEntry {
  bool is_ptx = false;  ///< otherwise it is a device binary, or of a kind that is not known
  int sm = 0;           ///< architecture that it is for, as 90
  std::uint64_t flags = 0;
  std::uint64_t unpacked_size = 0;  ///< bytes, if it is compressed
  std::string_view payload;
};

/// True if `code` begins as a fat binary does, or as the structure that the compiler puts around one.
[[nodiscard]] bool is_fat_binary(const void* code);

/// Throws Failure(CUDA_ERROR_INVALID_IMAGE) if the contents of a file begin as a fat binary and are shorter
/// than it says. In memory the callers vouch for that.
void require_whole_fat_binary(std::string_view file);

/// The entries of a fat binary in memory. Throws Failure(CUDA_ERROR_INVALID_IMAGE) if its sizes contradict
/// each other. The entries point into it.
[[nodiscard]] std::vector<FatBinaryEntry> fat_binary_entries(const void* code);

/// The PTX text of an entry, unpacked if it is compressed (Zstandard or LZ4). Throws
/// Failure(CUDA_ERROR_INVALID_IMAGE).
[[nodiscard]] std::string unpacked_ptx(const FatBinaryEntry& entry);

}  // namespace kerncast::simulator::api
