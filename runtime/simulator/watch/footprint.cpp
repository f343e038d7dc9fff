#include "runtime/simulator/watch/footprint.hpp"

#include <algorithm>

namespace kerncast::simulator {

Footprint::Page& Footprint::page(std::uint64_t number) {
  Recent& recent = recent_[number % recent_.size()];
  if (recent.number != number) {
    recent = {number, &pages_[number]};
  }
  return *recent.page;
}

void Footprint::add(std::uint64_t first, std::uint64_t last, bool read, bool written) {
  while (first <= last) {
    const std::uint64_t number = first / page_sectors;
    const std::uint64_t end = std::min(last + 1, (number + 1) * page_sectors);
    const std::uint64_t sectors = (~std::uint64_t{0} >> (page_sectors - (end - first)))
                                  << (first % page_sectors);
    Page& touched = page(number);
    touched.read |= read ? sectors : 0;
    touched.written |= written ? sectors : 0;
    first = end;
  }
}

void Footprint::add(const Footprint& other) {
  for (const auto& [number, from] : other.pages_) {
    Page& touched = pages_[number];
    touched.read |= from.read;
    touched.written |= from.written;
  }
}

}  // namespace kerncast::simulator
