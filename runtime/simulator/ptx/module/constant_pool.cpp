#include "runtime/simulator/ptx/module/constant_pool.hpp"

#include <cstring>

#include "runtime/simulator/machine/instruction.hpp"

namespace kerncast::simulator {

std::uint32_t ConstantPool::operand_for(std::uint64_t bits, unsigned bytes) {
  if (bytes < 8) {
    bits &= (std::uint64_t{1} << (8 * bytes)) - 1;
  }
  const std::size_t width = bytes == 2 ? 0 : bytes == 4 ? 1 : 2;
  auto [entry, fresh] = offsets_[width].try_emplace(bits, 0);
  if (fresh) {
    const std::size_t start = bytes_.size();
    bytes_.resize(start + std::size_t{lane_count} * bytes);
    for (std::size_t lane = 0; lane < lane_count; ++lane) {
      std::memcpy(bytes_.data() + start + lane * bytes, &bits, bytes);
    }
    // Bit 0 tells constants from registers.
    entry->second = static_cast<std::uint32_t>(start) | 1U;
  }
  return entry->second;
}

}  // namespace kerncast::simulator
