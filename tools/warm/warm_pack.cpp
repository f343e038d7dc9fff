#include "tools/warm/warm_pack.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <set>
#include <string_view>

#include "cache/pack/transfer.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "tools/io/file.hpp"
#include "tools/io/output.hpp"
#include "tools/warm/signing.hpp"

namespace kerncast::tools {

void write_pack(CommandContext& context, Runtime& runtime, const std::string& path,
                const std::vector<WarmResult>& results, const std::string& signing_key) {
  std::set<std::string> keys;
  for (const WarmResult& result : results) {
    keys.insert(result.report.key);
  }
  AtomicOutput output(path);
  std::uint64_t bytes = 0;
  const cache::ExportResult written = cache::export_pack(
      implementation_of(runtime).cache.store(),
      [&](const cache::Entry& entry) { return keys.contains(cache::key_of_fields(entry.key_fields).hex()); },
      [&](std::string_view more) {
        output.write(more.data(), more.size());
        bytes += more.size();
      },
      {}, signer(signing_key));
  if (written.entries != keys.size()) {
    throw Error(ErrorCode::io_error,
                fmt::format("{} of {} kernels could not be read back for {}; nothing was written there",
                            keys.size() - written.entries, keys.size(), path));
  }
  output.commit();
  context.console.note(
      fmt::format("{}, {} in {}", counted(written.entries, "kernel"), human_bytes(bytes), path));
}

}  // namespace kerncast::tools
