#include "runtime/simulator/watch/shared_cells.hpp"

#include <algorithm>

namespace kerncast::simulator {

SharedCells::SharedCells(std::uint64_t bytes) {
  const std::uint64_t words = (bytes + 3) / 4;
  for (Column* column : {&write_stamp, &write_serial, &write_op, &write_info, &writers, &writer_warps,
                         &strong, &read_stamp, &read_warps, &read_lanes, &read_info, &read_op}) {
    column->resize(words);
  }
}

SharedCell SharedCells::load(std::uint64_t word) const {
  return {write_stamp[word], write_serial[word], write_op[word],  write_info[word],
          writers[word],     writer_warps[word], strong[word],    read_stamp[word],
          read_warps[word],  read_lanes[word],   read_info[word], read_op[word]};
}

void SharedCells::store(std::uint64_t word, const SharedCell& cell) {
  write_stamp[word] = cell.write_stamp;
  write_serial[word] = cell.write_serial;
  write_op[word] = cell.write_op;
  write_info[word] = cell.write_info;
  writers[word] = cell.writers;
  writer_warps[word] = cell.writer_warps;
  strong[word] = cell.strong;
  read_stamp[word] = cell.read_stamp;
  read_warps[word] = cell.read_warps;
  read_lanes[word] = cell.read_lanes;
  read_info[word] = cell.read_info;
  read_op[word] = cell.read_op;
}

SharedCell& SharedCells::byte(std::uint64_t offset) {
  if (bytes_.empty()) {
    bytes_.resize(write_stamp.size() * 4);
  }
  const std::uint64_t word = offset / 4;
  if (!is_split(word)) {
    std::fill_n(bytes_.begin() + static_cast<std::ptrdiff_t>(word * 4), 4, load(word));
    write_stamp[word] = split_stamp;
  }
  return bytes_[offset];
}

void SharedCells::join(std::uint64_t word, std::uint32_t started, std::uint32_t settled) {
  const SharedCell* const parts = &bytes_[word * 4];
  const SharedCell* latest = parts;
  bool fits = true;
  for (const SharedCell* part = parts; part != parts + 4; ++part) {
    fits = fits && part->write_stamp < settled && part->read_stamp < settled &&
           (part->write_stamp < started) == (parts->write_stamp < started);
    latest = part->write_stamp > latest->write_stamp ? part : latest;
  }
  if (fits) {
    store(word, *latest);
  }
}

}  // namespace kerncast::simulator
