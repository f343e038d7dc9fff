#include "runtime/simulator/machine/written_map.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <new>
#include <thread>

namespace kerncast::simulator {

namespace {

constexpr std::size_t page_bytes = 4096;
constexpr std::uintptr_t none = 0;
constexpr std::uintptr_t locked = 1;
constexpr std::uintptr_t all_written = 2;

/// Bits [first, last) of a 64-bit word.
std::uint64_t bits(std::size_t first, std::size_t last) {
  const std::uint64_t below = last == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << last) - 1;
  return below & ~((std::uint64_t{1} << first) - 1);
}

}  // namespace

/// A page of which some bytes were written: a bit for each.
struct WrittenMap::Partial {
  std::array<std::uint64_t, page_bytes / 64> words{};
  std::uint64_t written = 0;
};

void WrittenMap::Free::operator()(Page* pages) const {
  std::free(pages);
}

WrittenMap::WrittenMap(std::size_t size) : size_(size), count_((size + page_bytes - 1) / page_bytes) {
  static_assert(sizeof(Page) == sizeof(std::uintptr_t) && none == 0);
  // A table of zeros means that nothing was written, and costs no memory until it is touched.
  pages_.reset(static_cast<Page*>(std::calloc(count_, sizeof(Page))));
  if (pages_ == nullptr) {
    throw std::bad_alloc();
  }
}

WrittenMap::~WrittenMap() {
  for (std::size_t i = 0; i < count_; ++i) {
    if (const std::uintptr_t entry = pages_[i].load(std::memory_order_relaxed); entry > all_written) {
      delete reinterpret_cast<Partial*>(entry);
    }
  }
}

std::uintptr_t WrittenMap::acquire(Page& page) {
  for (;;) {
    std::uintptr_t entry = page.load(std::memory_order_relaxed);
    if (entry == all_written) {
      return entry;
    }
    if ((entry & locked) == 0 && page.compare_exchange_weak(entry, entry | locked, std::memory_order_acquire,
                                                            std::memory_order_relaxed)) {
      return entry;
    }
    std::this_thread::yield();
  }
}

void WrittenMap::mark_page(std::size_t index, std::size_t first, std::size_t last) {
  Page& page = pages_[index];
  if (page.load(std::memory_order_relaxed) == all_written) {
    return;
  }
  const std::size_t size = std::min(page_bytes, size_ - index * page_bytes);
  const std::uintptr_t entry = acquire(page);
  if (entry == all_written) {
    return;
  }
  auto* partial = reinterpret_cast<Partial*>(entry);
  if (last - first == size) {
    delete partial;
    page.store(all_written, std::memory_order_release);
    return;
  }
  if (partial == nullptr) {
    partial = new (std::nothrow) Partial;
    if (partial == nullptr) {
      // Without memory to remember which bytes, all count as written: that loses a check, but never makes a
      // false report.
      page.store(all_written, std::memory_order_release);
      return;
    }
  }
  while (first < last) {
    const std::size_t word = first / 64;
    const std::size_t end = std::min(last, (word + 1) * 64);
    const std::uint64_t fresh = bits(first % 64, end - word * 64) & ~partial->words[word];
    partial->words[word] |= fresh;
    partial->written += static_cast<unsigned>(std::popcount(fresh));
    first = end;
  }
  if (partial->written == size) {
    delete partial;
    partial = nullptr;
  }
  page.store(partial == nullptr ? all_written : reinterpret_cast<std::uintptr_t>(partial),
             std::memory_order_release);
}

std::size_t WrittenMap::first_unwritten_of_page(std::size_t index, std::size_t first,
                                                std::size_t last) const {
  Page& page = pages_[index];
  if (page.load(std::memory_order_acquire) == all_written) {
    return npos;
  }
  const std::uintptr_t entry = acquire(page);
  if (entry == all_written) {
    return npos;
  }
  std::size_t found = npos;
  if (entry == none) {
    found = first;
  } else {
    const auto* partial = reinterpret_cast<const Partial*>(entry);
    while (first < last && found == npos) {
      const std::size_t word = first / 64;
      const std::size_t end = std::min(last, (word + 1) * 64);
      if (const std::uint64_t missing = bits(first % 64, end - word * 64) & ~partial->words[word];
          missing != 0) {
        found = word * 64 + static_cast<std::size_t>(std::countr_zero(missing));
      }
      first = end;
    }
  }
  page.store(entry, std::memory_order_release);
  return found;
}

void WrittenMap::mark(std::size_t offset, std::size_t bytes) {
  for (const std::size_t end = offset + bytes; offset < end;) {
    const std::size_t index = offset / page_bytes;
    const std::size_t last = std::min(end, (index + 1) * page_bytes);
    mark_page(index, offset - index * page_bytes, last - index * page_bytes);
    offset = last;
  }
}

std::size_t WrittenMap::first_unwritten(std::size_t offset, std::size_t bytes) const {
  for (const std::size_t end = offset + bytes; offset < end;) {
    const std::size_t index = offset / page_bytes;
    const std::size_t last = std::min(end, (index + 1) * page_bytes);
    const std::size_t found =
        first_unwritten_of_page(index, offset - index * page_bytes, last - index * page_bytes);
    if (found != npos) {
      return index * page_bytes + found;
    }
    offset = last;
  }
  return npos;
}

}  // namespace kerncast::simulator
