#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace kerncast::simulator {

/// The constants that a module's instructions read, each repeated for all lanes, so that handlers fetch
/// constants and registers alike.
class ConstantPool {
 public:
  /// The operand of an op that stands for a constant of `bytes` (2, 4 or 8), whose upper bits are ignored.
  std::uint32_t operand_for(std::uint64_t bits, unsigned bytes);
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::array<std::unordered_map<std::uint64_t, std::uint32_t>, 3> offsets_;  ///< by width
  std::vector<std::byte> bytes_;
};

}  // namespace kerncast::simulator
