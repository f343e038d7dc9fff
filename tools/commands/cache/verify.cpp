#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cache/cache.hpp"
#include "cache/signature/trusted_keys.hpp"
#include "kerncast/error.hpp"
#include "runtime/util/printable.hpp"
#include "tools/commands/cache/cache_command.hpp"
#include "tools/io/output.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/verify/entry_verifier.hpp"
#include "tools/verify/load_probe.hpp"
#include "tools/verify/place_report.hpp"
#include "tools/verify/repair.hpp"
#include "tools/verify/source.hpp"

namespace kerncast::tools {
namespace {

struct VerifyOptions {
  std::vector<std::string> places;
  bool repair = false;
  bool load = false;
  bool no_load = false;
};

/// The word that stands for the server of KERNCAST_CACHE_REMOTE.
constexpr std::string_view remote_place = "remote";

/// Null if nothing is to be loaded. Throws Error(not_found) if --load is given and there is no device.
std::unique_ptr<LoadProbe> open_probe(CommandContext& context, const VerifyOptions& options) {
  if (options.no_load) {
    return nullptr;
  }
  try {
    return std::make_unique<LoadProbe>();
  } catch (const Error& error) {
    if (options.load) {
      throw;
    }
    const std::string text = error.what();
    context.console.note(
        fmt::format("no entry is loaded, since there is no device: {}", text.substr(0, text.find('\n'))));
    return nullptr;
  }
}

bool is_same_directory(const std::string& a, const std::string& b) {
  struct stat one{};
  struct stat other{};
  return ::stat(a.c_str(), &one) == 0 && ::stat(b.c_str(), &other) == 0 && one.st_dev == other.st_dev &&
         one.st_ino == other.st_ino;
}

/// The places that the environment names, and the verification of those that the user names.
class Verification {
 public:
  Verification(CommandContext& context, const VerifyOptions& options)
      : context_(context),
        options_(options),
        cache_(cache::options_from_environment(warn())),
        // The report has what a repair finds.
        store_(
            cache_.directory, [](std::string_view) {}, cache::directory_trust(cache_), cache_.budget),
        tuning_(store_.root(), warn(), cache::directory_trust(cache_)),
        trusted_(cache_.trusted_keys, warn()),
        layer_trust_(cache::layer_trust(cache_, warn())),
        probe_(open_probe(context, options)),
        verifier_(trusted_, probe_.get()),
        own_(own_source(store_, tuning_)) {
    for (const std::string& path : cache_.read_only) {
      std::string defect;
      if (std::unique_ptr<Source> layer = file_source(path, layer_trust_, defect)) {
        layers_.push_back(std::move(layer));
      } else {
        context.console.warning(fmt::format("a layer of KERNCAST_CACHE_READONLY is left out: {}", defect));
      }
    }
  }

  std::vector<PlaceReport> run() {
    std::vector<PlaceReport> reports;
    if (options_.places.empty()) {
      if (store_.root().empty()) {
        require_readable(store_);
      }
      reports.push_back(verify_own());
    }
    for (const std::string& place : options_.places) {
      if (place == remote_place || place.find("://") != std::string::npos) {
        reports.push_back(verify_server(place));
      } else if (!store_.root().empty() && is_same_directory(place, store_.root())) {
        reports.push_back(verify_own());
      } else {
        reports.push_back(verify_file(place));
      }
    }
    return reports;
  }

 private:
  cache::WarningSink warn() {
    return [this](std::string_view text) { context_.console.warning(text); };
  }

  Bounds bounds(const std::string& name) {
    Bounds out;
    out.progress = [this, name](std::size_t done, std::size_t all) {
      context_.console.progress(done, all, name);
    };
    return out;
  }

  PlaceReport verify(Source& source) {
    PlaceReport report = tools::verify(source, verifier_, bounds(source.name()));
    context_.console.end_progress();
    return report;
  }

  static PlaceReport unopened(const std::string& name, PlaceKind kind, std::string defect) {
    PlaceReport report;
    report.name = name;
    report.kind = kind;
    report.opened = false;
    report.place_defects.push_back({std::move(defect), {}, true});
    return report;
  }

  PlaceReport verify_own() {
    PlaceReport report = verify(*own_);
    if (options_.repair) {
      std::string defect;
      const std::unique_ptr<ServerSource> server =
          cache_.remote.address.empty() ? nullptr : ServerSource::open(cache::remote_options(cache_), defect);
      Suppliers suppliers = layers();
      if (server != nullptr) {
        suppliers.push_back(server.get());
      }
      repair_directory(store_, tuning_, verifier_, suppliers, report);
      if (!defect.empty()) {
        report.notes.push_back(std::move(defect));
      } else if (server != nullptr && !server->failure().empty()) {
        report.notes.push_back(
            fmt::format("the server {} was not asked for all copies: {}", server->name(), server->failure()));
      }
    }
    return report;
  }

  PlaceReport verify_server(const std::string& place) {
    cache::RemoteOptions remote = cache::remote_options(cache_);
    if (place != remote_place) {
      remote.address = cache::RemoteAddress(place);
    } else if (remote.address.empty()) {
      throw UsageError("remote: no server is named; set KERNCAST_CACHE_REMOTE, or give a URL");
    }
    std::string defect;
    const std::unique_ptr<ServerSource> server = ServerSource::open(remote, defect);
    if (server == nullptr) {
      return unopened(remote.address.name(), PlaceKind::server, defect);
    }
    server->ask_for(known_keys());
    PlaceReport report = verify(*server);
    report.listed = server->listed();
    if (report.place_defects.empty()) {
      report.notes.push_back(note_of(*server, report));
    }
    if (options_.repair) {
      Suppliers suppliers = layers();
      suppliers.insert(suppliers.begin(), own_.get());
      repair_server(*server, store_, verifier_, suppliers, report);
    }
    return report;
  }

  /// The sentence that says what a server was asked for.
  static std::string note_of(const ServerSource& server, const PlaceReport& report) {
    const std::uint64_t lacking = report.asked - report.entries - report.other_versions;
    return server.listed()
               ? fmt::format(
                     "the server lists {}; with the keys of the own directory and the read-only layers "
                     "it was asked for {}, and it lacks {}",
                     counted(*server.listed(), "entry"), counted(report.asked, "key"), lacking)
               : fmt::format(
                     "the server does not list what it holds ({}): it was asked for the {} that the own "
                     "directory and the read-only layers have, and it lacks {}",
                     server.unlisted(), counted(report.asked, "key"), lacking);
  }

  PlaceReport verify_file(const std::string& path) {
    struct stat info{};
    const bool is_directory = ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
    std::string defect;
    // A pack is verified before it is imported, and may still belong to anybody.
    const std::unique_ptr<Source> source =
        file_source(path, is_directory ? layer_trust_ : cache::Trust::everyone, defect);
    if (source == nullptr) {
      return unopened(path, PlaceKind::pack, defect);
    }
    PlaceReport report = verify(*source);
    if (options_.repair) {
      report.notes.emplace_back(
          "--repair changes nothing here: a read-only layer or a pack is never written to");
    }
    return report;
  }

  [[nodiscard]] Suppliers layers() const {
    Suppliers out;
    for (const std::unique_ptr<Source>& layer : layers_) {
      out.push_back(layer.get());
    }
    return out;
  }

  /// The keys that the own directory and the layers have.
  [[nodiscard]] std::vector<cache::Key> known_keys() const {
    std::set<cache::Key> keys;
    Suppliers sources = layers();
    sources.push_back(own_.get());
    for (Source* source : sources) {
      std::string ignored;
      for (const cache::Key& key : source->keys(ignored)) {
        keys.insert(key);
      }
    }
    return {keys.begin(), keys.end()};
  }

  CommandContext& context_;
  const VerifyOptions& options_;
  cache::CacheOptions cache_;
  cache::Store store_;
  cache::TuningStore tuning_;
  cache::TrustedKeys trusted_;
  cache::Trust layer_trust_;
  std::unique_ptr<LoadProbe> probe_;
  EntryVerifier verifier_;
  std::unique_ptr<Source> own_;
  std::vector<std::unique_ptr<Source>> layers_;
};

Json to_json(const PlaceReport& report) {
  Json defects = Json::array();
  for (const EntryDefect& defect : report.entry_defects) {
    defects.push_back({{"key", defect.key.hex()},
                       {"op", defect.op},
                       {"verdict", name_of(defect.finding.verdict)},
                       {"reason", defect.finding.reason},
                       {"outcome", defect.outcome},
                       {"left", defect.left}});
  }
  Json problems = Json::array();
  for (const PlaceDefect& defect : report.place_defects) {
    problems.push_back({{"problem", defect.text}, {"outcome", defect.outcome}, {"left", defect.left}});
  }
  return {{"place", report.name},
          {"kind", name_of(report.kind)},
          {"entries", report.entries},
          {"sound", report.count(Verdict::sound)},
          {"damaged", report.count(Verdict::damaged)},
          {"unproved", report.count(Verdict::unproved)},
          {"unsigned", report.count(Verdict::without_signer)},
          {"not_loadable", report.count(Verdict::not_loadable)},
          {"loaded", report.loaded},
          {"other_versions", report.other_versions},
          {"listed", report.listed ? Json(*report.listed) : Json()},
          {"asked", report.asked},
          {"tuned", report.tuned},
          {"bytes", report.bytes},
          {"left", report.left()},
          {"defects", std::move(defects)},
          {"problems", std::move(problems)},
          {"notes", report.notes}};
}

std::string with_outcome(const std::string& text, const std::string& outcome) {
  return outcome.empty() ? text : fmt::format("{}; {}", text, outcome);
}

void print_report(const PlaceReport& report) {
  if (report.opened) {
    print(
        printable_line(fmt::format(
            "{} {}: {} ({}), {} sound, {} damaged, {} unproved, {} unsigned, {} not loadable; {} loaded on a "
            "device; {}",
            name_of(report.kind), report.name, counted(report.entries, "entry"), human_bytes(report.bytes),
            report.count(Verdict::sound), report.count(Verdict::damaged), report.count(Verdict::unproved),
            report.count(Verdict::without_signer), report.count(Verdict::not_loadable), report.loaded,
            counted(report.tuned, "tuned record"))) +
        '\n');
  }
  const auto line = [](const std::string& text) { print("  " + printable_line(text) + '\n'); };
  for (const EntryDefect& defect : report.entry_defects) {
    line(with_outcome(fmt::format("{} {}{}{}: {}", name_of(defect.finding.verdict), defect.key.hex(),
                                  defect.op.empty() ? "" : " ", defect.op, defect.finding.reason),
                      defect.outcome));
  }
  for (const PlaceDefect& defect : report.place_defects) {
    line(with_outcome(defect.text, defect.outcome));
  }
  if (report.other_versions > 0) {
    line(fmt::format("{} of another format version: left alone", counted(report.other_versions, "entry")));
  }
  for (const std::string& note : report.notes) {
    line(note);
  }
}

/// The advice about the defects that are left.
const char* remedy(const PlaceReport& report, bool repaired) {
  switch (report.kind) {
    case PlaceKind::own_directory:
      return repaired ? "check the disk and who owns the files"
                      : "`kerncast cache verify --repair` moves bad entries away and restores what it can";
    case PlaceKind::server:
      if (report.entry_defects.empty()) {
        return "check that the server runs and what its log says";
      }
      return repaired
                 ? "remove those objects on the server"
                 : "--repair replaces bad objects by sound copies of the own directory and the layers, or "
                   "removes them";
    case PlaceKind::layer:
    case PlaceKind::pack:
      break;
  }
  return "it is only read here; write it again from a sound cache";
}

void report_what_is_left(CommandContext& context, const VerifyOptions& options, const PlaceReport& report) {
  if (!report.opened) {
    context.console.error(report.place_defects.front().text);
  } else if (const std::uint64_t left = report.left(); left > 0) {
    context.console.error(fmt::format("{} {} left in {} {}; {}", counted(left, "defect"),
                                      left == 1 ? "is" : "are", name_of(report.kind), report.name,
                                      remedy(report, options.repair)));
  }
}

int verify_places(CommandContext& context, const VerifyOptions& options) {
  if (options.load && options.no_load) {
    throw UsageError("--load does not go with --no-load");
  }
  const std::vector<PlaceReport> reports = Verification(context, options).run();
  Json json = {{"repair", options.repair},
               {"ok", true},
               {"entries", 0},
               {"sound", 0},
               {"tuned", 0},
               {"bytes", 0},
               {"left", 0},
               {"places", Json::array()}};
  for (const PlaceReport& report : reports) {
    Json place = to_json(report);
    for (const char* name : {"entries", "sound", "tuned", "bytes", "left"}) {
      json[name] = json[name].get<std::uint64_t>() + place[name].get<std::uint64_t>();
    }
    json["places"].push_back(std::move(place));
  }
  const bool ok = json["left"] == 0;
  json["ok"] = ok;
  if (context.json) {
    print_json(json);
  } else {
    for (const PlaceReport& report : reports) {
      print_report(report);
    }
  }
  for (const PlaceReport& report : reports) {
    report_what_is_left(context, options, report);
  }
  return ok ? exit_fine : exit_failed;
}

}  // namespace

void add_cache_verify_command(const Command& cache, CommandContext& context) {
  const Command command = cache.add(
      "verify",
      "Verify every entry and tuned record of the cache directory, or of these places: whether each entry is "
      "intact, stands for its key, is signed as demanded, and can be loaded");
  const auto options = std::make_shared<VerifyOptions>();
  command.option("place", options->places,
                 "A pack, a cache directory, the URL of a server, or `remote` for the server of "
                 "KERNCAST_CACHE_REMOTE; default: the cache directory");
  command.flag("--repair", options->repair,
               "Move bad entries of the cache directory to quarantine and restore them and the tuned records "
               "from sound copies; replace or remove bad objects of a server. Packs and read-only layers are "
               "not changed");
  command.flag(
      "--load", options->load,
      "Load the entries that a device takes; it is an error if there is no device. Without this flag "
      "they are loaded if there is one");
  command.flag("--no-load", options->no_load, "Load nothing");
  command.json_flag();
  command.action([&context, options] { return verify_places(context, *options); });
}

}  // namespace kerncast::tools
