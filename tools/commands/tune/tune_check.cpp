#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cache/key.hpp"
#include "cache/tuning/tuned_digest.hpp"
#include "kerncast/error.hpp"
#include "tools/commands/cache/tuned_layers.hpp"
#include "tools/commands/tune/tune.hpp"
#include "tools/io/output.hpp"
#include "tools/io/usage_error.hpp"

namespace kerncast::tools {
namespace {

/// The records of `layer` that launches may use.
std::vector<cache::TunedRecord> trusted_records(TunedLayer& layer) {
  for (std::size_t i = layer.untrusted.size(); i > 0; --i) {
    layer.records.erase(layer.records.begin() + static_cast<std::ptrdiff_t>(layer.untrusted[i - 1]));
  }
  return layer.records;
}

int check(CommandContext& context, const std::string& expected) {
  if (!expected.empty() && !cache::Key::from_hex(expected)) {
    throw UsageError(fmt::format("--expect {} is not a digest of 32 lower-case hex digits", expected));
  }
  Runtime runtime(context.runtime_options());
  bool complete = true;
  std::vector<TunedLayer> layers = tuned_layers(context, runtime, complete);
  if (!complete) {
    throw Error(ErrorCode::io_error, "there is no digest of the tuned records, since a layer cannot be read");
  }
  warn_of_untrusted(context, layers);
  std::vector<std::vector<cache::TunedRecord>> all;
  Json list = Json::array();
  Table table({{"layer"}, {"records", Align::right}, {"digest"}});
  std::uint64_t count = 0;
  for (TunedLayer& layer : layers) {
    all.push_back(trusted_records(layer));
    const std::string digest = cache::tuned_digest({all.back()});
    count += all.back().size();
    if (!all.back().empty()) {
      list.push_back({{"layer", layer.name}, {"records", all.back().size()}, {"digest", digest}});
      table.add_row({layer.name, fmt::format("{}", all.back().size()), digest});
    }
  }
  const std::string digest = cache::tuned_digest(all);
  const bool as_expected = expected.empty() || expected == digest;
  if (context.json) {
    print_json({{"digest", digest},
                {"records", count},
                {"expected", expected.empty() ? Json() : Json(expected)},
                {"ok", as_expected},
                {"layers", std::move(list)}});
  } else {
    print(digest + '\n');
    if (!table.empty()) {
      print(table);
    }
  }
  if (!as_expected) {
    context.console.error(fmt::format(
        "the tuned records have digest {}, not {}: this machine may choose other tunables; `kerncast tune "
        "export` on both shows the difference",
        digest, expected));
  }
  return as_expected ? exit_fine : exit_failed;
}

}  // namespace

void add_tune_check_command(const Command& tune, CommandContext& context) {
  const auto expected = std::make_shared<std::string>();
  const Command command = tune.add("check",
                                   "Print the digest of the tuned records of every layer: machines with the "
                                   "same digest choose the same tunables");
  command.option("--expect", *expected, "Fail if the digest is another one");
  command.json_flag();
  command.action([&context, expected] { return check(context, *expected); });
}

}  // namespace kerncast::tools
