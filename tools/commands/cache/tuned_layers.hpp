#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cache/tuning/tuned_record.hpp"
#include "kerncast/runtime.hpp"
#include "runtime/dispatch/kernel_builder.hpp"
#include "tools/commands/command.hpp"
#include "tools/io/output.hpp"

namespace kerncast::tools {

/// The tuned records of one layer of the cache, in order.
struct TunedLayer {
  std::string name;
  std::vector<cache::TunedRecord> records;
  /// Those of `records`, by number, that no launch uses, since KERNCAST_TRUSTED_KEYS demands a signature.
  std::vector<std::size_t> untrusted;
};

/// The tuned records of every layer, in order of search: the cache directory, the read-only layers, and those
/// that come with the library. A layer that cannot be read is reported on the console of `context`, left out,
/// and makes `complete` false. Throws Error(io_error) if the cache directory cannot be read.
[[nodiscard]] std::vector<TunedLayer> tuned_layers(CommandContext& context, Runtime& runtime, bool& complete);

/// Warns if a layer has records that no launch uses for lack of a signature.
void warn_of_untrusted(CommandContext& context, const std::vector<TunedLayer>& layers);

/// The state of a record: it can be used, or its templates or its op are gone.
enum class TunedState : std::uint8_t {
  current,
  stale,    ///< the op's templates or launches have changed since
  unknown,  ///< the library has no such op
};
[[nodiscard]] TunedState state_of(const KernelBuilder& builder, const cache::TunedRecord& record);
/// "current", "stale" or "unknown".
[[nodiscard]] const char* name_of(TunedState state);

/// A tuned record in a list.
struct ListedRecord {
  const cache::TunedRecord* record = nullptr;
  TunedState state = TunedState::current;
  std::string layer;    ///< its name
  bool trusted = true;  ///< false: it is not signed as KERNCAST_TRUSTED_KEYS demands
};

/// Every field of a record, its state and its layer.
[[nodiscard]] Json to_json(const ListedRecord& listed);

/// Prints the tuned records of every layer that `wants` asks for: with --json every field, state and layer of
/// each. Else `add` is called for each record, in order. Then `done` is called with their number. Returns the
/// exit code.
[[nodiscard]] int list_records(CommandContext& context,
                               const std::function<bool(const cache::TunedRecord& record)>& wants,
                               const std::function<void(const ListedRecord& record)>& add,
                               const std::function<void(std::size_t count)>& done);

/// Says that there are no tuned records, and where they come from.
void print_no_records();

}  // namespace kerncast::tools
