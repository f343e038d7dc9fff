#include "runtime/simulator/clock/l2_cache.hpp"

#include <algorithm>
#include <bit>

namespace kerncast::simulator {
namespace {

std::uint64_t bytes_of(std::uint64_t sectors) {
  return Footprint::sector_bytes * static_cast<std::uint64_t>(std::popcount(sectors));
}

}  // namespace

std::uint64_t L2Cache::pass(const Footprint& launch) {
  ++now_;
  std::uint64_t moved = 0;
  for (const auto& [page, touched] : launch.pages()) {
    const auto line = lines_.find(page);
    const std::uint64_t held = line != lines_.end() ? line->second.sectors : 0;
    moved += bytes_of(touched.read & ~held) + bytes_of(touched.written & ~held);
    touch(page, touched.read | touched.written);
  }
  evict();
  return moved;
}

void L2Cache::pass(std::uint64_t address, std::uint64_t bytes) {
  if (bytes > capacity_) {
    lines_.clear();
    launches_.clear();
    bytes_ = 0;
    return;
  }
  if (bytes == 0) {
    return;
  }
  Footprint range;
  range.add(address / Footprint::sector_bytes, (address + bytes - 1) / Footprint::sector_bytes, true, false);
  pass(range);
}

void L2Cache::touch(std::uint64_t page, std::uint64_t sectors) {
  Line& line = lines_[page];
  const std::uint64_t before = bytes_of(line.sectors);
  line.sectors |= sectors;
  const std::uint64_t after = bytes_of(line.sectors);
  if (before > 0) {
    launches_[line.stamp].bytes -= before;
  }
  line.stamp = now_;
  Launch& launch = launches_[now_];
  launch.bytes += after;
  launch.pages.push_back(page);
  bytes_ += after - before;
}

void L2Cache::evict() {
  while (!launches_.empty() && (bytes_ > capacity_ || launches_.begin()->second.bytes == 0)) {
    const auto oldest = launches_.begin();
    for (const std::uint64_t page : oldest->second.pages) {
      const auto line = lines_.find(page);
      if (line != lines_.end() && line->second.stamp == oldest->first) {
        lines_.erase(line);
      }
    }
    bytes_ -= oldest->second.bytes;
    launches_.erase(oldest);
  }
}

}  // namespace kerncast::simulator
