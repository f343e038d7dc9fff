#include "runtime/simulator/driver/memory/leaks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "runtime/simulator/driver/context/state.hpp"

namespace kerncast::simulator::api {
namespace {

/// The most allocations that are named one by one; the rest are only counted.
constexpr std::size_t listed = 20;

void report_leaks() {
  std::vector<Allocation> leaks;
  std::size_t bytes = 0;
  {
    const std::lock_guard lock(state().owned_mutex);
    for (const auto& [base, owned] : state().owned) {
      // Registered memory belongs to the program, and opened memory to another process.
      const bool made_here = owned.kind != Owned::Kind::registered && owned.kind != Owned::Kind::imported;
      if (const auto allocation = state().memory.find(base); allocation && made_here && !owned.freeing) {
        leaks.push_back(*allocation);
        bytes += allocation->size;
      }
    }
  }
  if (leaks.empty()) {
    return;
  }
  std::sort(leaks.begin(), leaks.end(), [](const Allocation& a, const Allocation& b) { return a.id < b.id; });
  std::string text = fmt::format("kerncast virtual GPU: {} allocations, {} bytes in all, were never freed:\n",
                                 leaks.size(), bytes);
  for (std::size_t i = 0; i < std::min(leaks.size(), listed); ++i) {
    text += fmt::format("  {} bytes at {} on device {}, the process's allocation number {}\n", leaks[i].size,
                        fmt::ptr(leaks[i].base), leaks[i].device, leaks[i].id);
  }
  if (leaks.size() > listed) {
    text += fmt::format("  and {} more\n", leaks.size() - listed);
  }
  std::fputs(text.c_str(), stderr);
}

}  // namespace

void report_leaks_at_exit() {
  std::atexit(report_leaks);
}

}  // namespace kerncast::simulator::api
