#pragma once

#include <cstdint>
#include <vector>

namespace kerncast::simulator {

/// The history of a place in shared memory: its last write, and who read it since.
struct SharedCell {
  std::uint32_t write_stamp = 0;
  std::uint32_t write_serial = 0;  ///< tells lanes of one instruction from two instructions
  std::uint32_t write_op = 0;
  std::uint32_t write_info = 0;    ///< the thread of the block, and from bit 16 on its warp's count of syncs
  std::uint32_t writers = 0;       ///< lanes of that thread's warp that wrote the same value
  std::uint32_t writer_warps = 0;  ///< warps that did
  std::uint32_t strong = 0;        ///< the write was atomic, volatile or of a memory order
  std::uint32_t read_stamp = 0;
  std::uint32_t read_warps = 0;  ///< warps that read at read_stamp
  std::uint32_t read_lanes = 0;  ///< lanes of the last of them that read since its lanes last met
  std::uint32_t read_info = 0;   ///< the last warp that read, and from bit 16 on its count of syncs
  std::uint32_t read_op = 0;

  [[nodiscard]] std::uint32_t writer() const { return write_info & 0xffffU; }
};

/// The cells of a block's shared memory: one for each word, in arrays by member so that a warp's row of words
/// is checked at once, and for words that were accessed in parts one for each of their bytes.
class SharedCells {
 public:
  explicit SharedCells(std::uint64_t bytes);

  /// The stamp of a word that is split: it counts as unordered, so that nothing takes the word for whole.
  static constexpr std::uint32_t split_stamp = ~std::uint32_t{0};

  [[nodiscard]] bool is_split(std::uint64_t word) const { return write_stamp[word] == split_stamp; }
  [[nodiscard]] SharedCell load(std::uint64_t word) const;
  void store(std::uint64_t word, const SharedCell& cell);
  /// The cell of a byte, whose word is split if it is not yet.
  SharedCell& byte(std::uint64_t offset);
  /// Makes the word whole again if accesses with stamps from `settled` on are none of its bytes', and if all
  /// of them were written since `started`, or none.
  void join(std::uint64_t word, std::uint32_t started, std::uint32_t settled);

  using Column = std::vector<std::uint32_t>;
  Column write_stamp, write_serial, write_op, write_info, writers, writer_warps, strong;
  Column read_stamp, read_warps, read_lanes, read_info, read_op;

 private:
  std::vector<SharedCell> bytes_;  ///< empty until a word is split
};

}  // namespace kerncast::simulator
