#include "cache/pack/transfer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <system_error>

#include "cache/pack/pack_format.hpp"
#include "cache/posix/file.hpp"
#include "cache/posix/folder.hpp"

namespace kerncast::cache {
namespace {

bool is_stopped(const ImportDemand& demand) {
  return demand.stopped && demand.stopped();
}

/// Reads entry `i` of a pack and holds it to `demand`.
LayerAnswer read_demanded(const Pack& pack, std::size_t i, const ImportDemand& demand) {
  LayerAnswer answer = pack.read(i);
  if (answer.entry && demand.disproof) {
    answer.defect = demand.disproof(pack.key(i), *answer.entry);
    if (!answer.defect.empty()) {
      answer.entry.reset();
    }
  }
  return answer;
}

/// The provenance of `entry` once it is imported from the pack at `path`.
Provenance imported_from(const std::string& path, const Entry& entry) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  return copied_now(entry.provenance, CopySource::pack, error ? path : absolute.string());
}

/// Verifies everything in the pack, unless it is stopped. `tuned` receives its records. `entries` receives
/// what it has, if it is given, with the sizes of the files that an import writes.
PackCheck check(const Pack& pack, const ImportDemand& demand, std::vector<TunedRecord>& tuned,
                const std::string& path = {}, std::vector<ImportedEntry>* entries = nullptr) {
  PackCheck out;
  for (std::size_t i = 0; i < pack.size() && !is_stopped(demand); ++i) {
    const LayerAnswer answer = read_demanded(pack, i, demand);
    if (!answer.entry) {
      out.defect = fmt::format("entry {}: {}", pack.key(i).hex(), answer.defect);
      return out;
    }
    if (entries != nullptr) {
      const std::uint64_t bytes =
          serialise(pack.key(i), *answer.entry, imported_from(path, *answer.entry)).size();
      entries->push_back({pack.key(i), answer.entry->op, answer.entry->spec, answer.entry->arch, bytes, {}});
    }
    ++out.entries;
    out.bytes += answer.entry->cubin.size() + answer.entry->ptx.size();
  }
  std::string defect;
  tuned = pack.tuned(defect);
  out.tuned = tuned.size();
  if (!defect.empty()) {
    out.defect = "tuned records: " + defect;
  }
  for (std::size_t i = 0; demand.tuned_defect && out.defect.empty() && i < tuned.size(); ++i) {
    if (const std::string reason = demand.tuned_defect(tuned[i]); !reason.empty()) {
      out.defect = fmt::format("the tuned record of {} [{}] for {}, rows {} to {}: {}", tuned[i].op,
                               tuned[i].spec, tuned[i].arch, tuned[i].rows_low, tuned[i].rows_high, reason);
    }
  }
  return out;
}

std::string size_text(std::uint64_t bytes, std::uint64_t entries) {
  return fmt::format("{} bytes in {} {}", bytes, entries, entries == 1 ? "entry" : "entries");
}

std::string budget_text(const Budget& budget) {
  const auto limit = [](const char* name, std::uint64_t value) {
    return value == 0 ? fmt::format("no {}", name) : fmt::format("{}={}", name, value);
  };
  return fmt::format("{}, {}", limit("KERNCAST_CACHE_MAX_BYTES", budget.bytes),
                     limit("KERNCAST_CACHE_MAX_ENTRIES", budget.entries));
}

/// The reason why the pack alone exceeds the budget of `store`. Empty if it does not.
std::string reason_too_large(const Pack& pack, const Store& store) {
  const Budget budget = store.budget().value_or(Budget{0, 0});
  // No entry is larger than max_entry_bytes, and there are at most max_entries, so this does not overflow.
  std::uint64_t promised = 0;
  for (std::size_t i = 0; i < pack.size(); ++i) {
    promised += pack.bytes(i);
  }
  if ((budget.bytes == 0 || promised <= budget.bytes) &&
      (budget.entries == 0 || pack.size() <= budget.entries)) {
    return {};
  }
  return fmt::format(
      "it unpacks to {}, and the budget of the cache directory is {}; set a larger budget, or name the pack "
      "in "
      "KERNCAST_CACHE_READONLY to use it in place",
      size_text(promised, pack.size()), budget_text(budget));
}

/// The reason why `room` cannot be made.
std::string reason_no_room(const Room& room, const Held& held, const Budget& budget) {
  return fmt::format(
      "it adds {}; {} stay because they are in the pack or running processes use them, and the budget of the "
      "cache directory is {}; set a larger budget, or try again when those processes have ended",
      size_text(room.bytes, room.entries), size_text(held.bytes, held.entries), budget_text(budget));
}

/// Tells the log that a pack is not imported, unless it was only asked.
void log_refusal(const std::string& path, const Store& store, ImportMode mode, const ImportResult& result) {
  if (mode == ImportMode::write) {
    store.log(
        {EventKind::refusal, std::nullopt, {}, path, result.defect.empty() ? result.refusal : result.defect});
  }
}

/// Counts what an import would do. Reads the tuned records without opening their database, which would write.
void foretell(const std::vector<TunedRecord>& records, const Store& store, ImportResult& result) {
  for (const ImportedEntry& entry : result.entries) {
    ++(entry.fate == ImportFate::present ? result.already : result.published);
    result.replaced += entry.fate == ImportFate::replaced ? 1 : 0;
  }
  std::string defect;
  const std::vector<TunedRecord> there = read_tuned(Folder::open(store.root()), store.trust(), defect);
  for (const TunedRecord& record : records) {
    const TunedRecord stored = stored_form(record);
    const bool kept = std::any_of(there.begin(), there.end(), [&](const TunedRecord& other) {
      return same_place(stored, other) && keeps(other, stored);
    });
    ++(kept ? result.tuned.kept : result.tuned.written);
  }
}

/// The text that the entries of a pack have in common: one entry of each op, since it has the same sources
/// and much of the same code as the other entries of that op.
class Shared {
 public:
  void note(const Key& key, const Entry& entry) {
    if (ops_.insert(entry.op).second) {
      std::string bytes = serialise(key, entry, std::nullopt);
      if (text_.size() + bytes.size() <= pack_format::max_shared_bytes) {
        text_ += bytes;
      }
    }
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::set<std::string> ops_;
  std::string text_;
};

}  // namespace

ExportResult export_pack(const Store& store, const std::function<bool(const Entry&)>& wanted,
                         const PackWriter::Sink& sink, const std::vector<TunedRecord>& tuned,
                         const Finish& finish) {
  ExportResult result;
  const auto each_wanted = [&](const auto& take) {
    result = {};
    for (const StoredFile& file : store.list()) {
      const std::optional<std::string> bytes = read_file(file.path, max_entry_bytes);
      if (!bytes) {
        continue;  // another process has removed it
      }
      ParsedEntry parsed = parse(file.key, *bytes);
      if (!parsed.entry) {
        result.damaged += parsed.other_version ? 0 : 1;
      } else if (wanted(*parsed.entry)) {
        take(file.key, *parsed.entry);
        ++result.entries;
      }
    }
  };
  Shared shared;
  each_wanted([&](const Key& key, const Entry& entry) { shared.note(key, entry); });
  PackWriter writer(sink, shared.text(), tuned);
  each_wanted([&](const Key& key, Entry& entry) {
    if (finish) {
      finish(key, entry);
    }
    writer.add(key, entry);
  });
  writer.finish();
  return result;
}

PackCheck verify_pack(const std::string& path) {
  PackCheck out;
  const std::unique_ptr<Pack> pack = Pack::open(path, Trust::everyone, out.defect);
  std::vector<TunedRecord> unused;
  return pack != nullptr ? check(*pack, {}, unused) : out;
}

ImportResult import_pack(const std::string& path, Store& store, TuningStore& tuning, ImportMode mode,
                         const ImportDemand& demand) {
  ImportResult result;
  const std::unique_ptr<Pack> pack = Pack::open(path, Trust::everyone, result.defect);
  if (pack == nullptr) {
    log_refusal(path, store, mode, result);
    return result;
  }
  std::vector<TunedRecord> records;
  // A small pack can promise so much that even reading it takes long.
  result.refusal = reason_too_large(*pack, store);
  if (result.refusal.empty()) {
    result.defect = check(*pack, demand, records, path, &result.entries).defect;
  }
  result.stopped = is_stopped(demand);
  if (result.stopped) {
    return result;
  }
  if (!result.defect.empty() || !result.refusal.empty()) {
    log_refusal(path, store, mode, result);
    return result;
  }
  Room room;
  for (ImportedEntry& entry : result.entries) {
    const Holding holding = store.holding(entry.key);
    entry.fate = holding == Holding::sound     ? ImportFate::present
                 : holding == Holding::unsound ? ImportFate::replaced
                                               : ImportFate::imported;
    if (entry.fate == ImportFate::present) {
      room.staying.insert(entry.key);
    } else {
      room.bytes += entry.bytes;
      ++room.entries;
    }
  }
  const RoomResult made =
      store.make_room(room, mode == ImportMode::write ? RoomUse::make : RoomUse::only_ask);
  if (!made.fits) {
    result.refusal = reason_no_room(room, made.held, *store.budget());
    log_refusal(path, store, mode, result);
    for (ImportedEntry& entry : result.entries) {
      entry.fate = entry.fate == ImportFate::present ? ImportFate::present : ImportFate::refused;
    }
    return result;
  }
  if (mode == ImportMode::dry_run) {
    foretell(records, store, result);
    return result;
  }
  for (std::size_t i = 0; i < pack->size(); ++i) {
    if (is_stopped(demand)) {
      result.stopped = true;
      break;
    }
    if (store.load(pack->key(i))) {
      ++result.already;
      continue;
    }
    // The entry is verified again, since the file may have changed since the check.
    LayerAnswer answer = read_demanded(*pack, i, demand);
    if (answer.entry) {
      answer.entry->provenance = imported_from(path, *answer.entry);
    }
    const bool written = answer.entry && store.publish(pack->key(i), *answer.entry);
    ++(written ? result.published : result.failed);
    result.replaced += written && result.entries[i].fate == ImportFate::replaced ? 1 : 0;
  }
  if (!records.empty() && !result.stopped) {
    result.tuned = tuning.record(records);
  }
  store.log({EventKind::imported,
             std::nullopt,
             {},
             path,
             {},
             {{"entries", result.published},
              {"already", result.already},
              {"replaced", result.replaced},
              {"failed", result.failed},
              {"tuned", result.tuned.written}}});
  return result;
}

}  // namespace kerncast::cache
