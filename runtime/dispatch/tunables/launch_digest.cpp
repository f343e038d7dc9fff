#include "runtime/dispatch/tunables/launch_digest.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cache/key.hpp"

namespace kerncast {
namespace {

/// Few rows and many, none of them a power of two but the first.
constexpr std::int64_t probed_rows[] = {1, 33, 1000};
/// The traits of an H100. Every record is probed on the same device, whatever it was tuned on.
constexpr DeviceTraits probed_device{90, 132, 232448};

/// An op with more combinations than these, such as a host's own one, has some of them left out.
constexpr std::size_t most_combinations = 4096;

void add(std::string& bytes, std::uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) {
    bytes.push_back(static_cast<char>(value >> shift & 0xffU));
  }
}

void add(std::string& bytes, const LaunchGeometry& geometry) {
  for (const std::uint32_t size : geometry.grid) {
    add(bytes, size);
  }
  for (const std::uint32_t size : geometry.block) {
    add(bytes, size);
  }
  add(bytes, geometry.dynamic_shared);
}

}  // namespace

std::string launch_digest(const OpDefinition& op, const Specialisation& spec) {
  std::string bytes;
  const std::vector<Tunables> all = all_tunables(op);
  const std::size_t step = all.size() / most_combinations + 1;
  for (std::size_t i = 0; i < all.size(); i += step) {
    const Tunables& tunables = all[i];
    if (op.tunables_defect != nullptr && !op.tunables_defect(spec, tunables, probed_device).empty()) {
      add(bytes, UINT32_MAX);
      continue;
    }
    for (const std::int64_t rows : probed_rows) {
      add(bytes, op.geometry(spec, tunables, probed_device, rows));
      for (const LaterStage& stage : op.later_stages) {
        add(bytes, stage.geometry(spec, tunables, probed_device, rows));
      }
    }
  }
  return cache::key_of_fields({{"launches", bytes}}).hex();
}

}  // namespace kerncast
