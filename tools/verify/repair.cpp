#include "tools/verify/repair.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cache/directory/index.hpp"
#include "cache/event_log.hpp"

namespace kerncast::tools {
namespace {

/// A sound entry, and the place that has it.
struct Copy {
  cache::Entry entry;
  const std::string* origin = nullptr;
  PlaceKind kind = PlaceKind::layer;
};

cache::CopySource source_of(PlaceKind kind) {
  switch (kind) {
    case PlaceKind::layer:
      return cache::CopySource::layer;
    case PlaceKind::pack:
      return cache::CopySource::pack;
    case PlaceKind::server:
      return cache::CopySource::server;
    case PlaceKind::own_directory:
      break;
  }
  return cache::CopySource::unknown;
}

std::optional<Copy> sound_copy(const cache::Key& key, const EntryVerifier& verifier,
                               const Suppliers& suppliers) {
  for (Source* supplier : suppliers) {
    Found found = supplier->find(key);
    // A copy leaves its place, so it must be signed where signatures are demanded, wherever it is from.
    if (found.parsed.entry &&
        verifier.verify(key, *found.parsed.entry, SignatureRule::as_demanded).verdict == Verdict::sound) {
      return Copy{std::move(*found.parsed.entry), &supplier->name(), supplier->kind()};
    }
  }
  return std::nullopt;
}

void repair_entry(cache::Store& store, const EntryVerifier& verifier, const Suppliers& suppliers,
                  EntryDefect& defect) {
  if (!defect.finding.lasting) {
    defect.outcome = "left in its place, since something else may be to blame";
    return;
  }
  const auto is_sound = [&](const cache::Entry& entry) {
    return verifier.verify(defect.key, entry, SignatureRule::none).reason;
  };
  if (store.load(defect.key, is_sound)) {
    defect.left = false;
    defect.outcome = "sound by now";
    return;
  }
  if (store.peek(defect.key).present) {
    defect.outcome = "could not be moved away; check who owns it";
    return;
  }
  defect.left = false;
  defect.outcome = "moved to quarantine";
  std::optional<Copy> copy = sound_copy(defect.key, verifier, suppliers);
  if (copy) {
    copy->entry.provenance = copied_now(copy->entry.provenance, source_of(copy->kind), *copy->origin);
  }
  if (!copy) {
    defect.outcome += "; no other place has a sound copy, so it is compiled again";
  } else if (store.promote(defect.key, copy->entry)) {
    defect.outcome += fmt::format(", and restored from {}", *copy->origin);
    store.log({cache::EventKind::repair, defect.key, copy->entry.op, *copy->origin, defect.finding.reason});
  } else {
    defect.left = true;
    defect.outcome += fmt::format("; the copy of {} could not be written", *copy->origin);
  }
}

/// True if no machine can use the entry. Others may demand other signatures, or have other devices.
bool is_useless(const Finding& finding) {
  return finding.verdict == Verdict::damaged || finding.verdict == Verdict::unproved;
}

/// Puts `copy` in the place of an unsound object, and reads it back. True if the object is gone.
bool replace_object(ServerSource& server, const Copy& copy, EntryDefect& defect) {
  defect.op = copy.entry.op;
  std::string failure = server.put(defect.key, copy.entry);
  // A server that lets nobody overwrite an object may still let it be removed.
  const bool removed = !failure.empty() && is_useless(defect.finding) && server.remove(defect.key).empty();
  if (removed) {
    failure = server.put(defect.key, copy.entry);
  }
  if (failure.empty() && server.find(defect.key).parsed.entry != copy.entry) {
    failure = "it does not give back what it was sent";
  }
  defect.left = !failure.empty() && !removed;
  if (failure.empty()) {
    defect.outcome = fmt::format("replaced by the copy of {}", *copy.origin);
  } else if (removed) {
    defect.outcome = fmt::format("removed; the copy of {} could not be uploaded: {}", *copy.origin, failure);
  } else {
    defect.outcome = fmt::format("could not be replaced: {}", failure);
  }
  return !defect.left;
}

/// Removes an object that no other place has a sound copy of. True if this machine has removed it.
bool remove_object(ServerSource& server, const EntryVerifier& verifier, EntryDefect& defect) {
  constexpr const char* alone = "no other place has a sound copy";
  if (!is_useless(defect.finding)) {
    defect.outcome = fmt::format("left, since {} that may replace it", alone);
    return false;
  }
  // Another machine may have replaced it meanwhile.
  const Found now = server.find(defect.key);
  const bool sound = now.parsed.entry &&
                     verifier.verify(defect.key, now.parsed, SignatureRule::none).verdict == Verdict::sound;
  if (sound || (now.failure.empty() && !now.present)) {
    defect.left = false;
    defect.outcome = sound ? "sound by now" : "gone by now";
    return false;
  }
  const std::string failure = now.failure.empty() ? server.remove(defect.key) : now.failure;
  defect.left = !failure.empty();
  defect.outcome = failure.empty() ? fmt::format("removed; {}, so it is compiled again", alone)
                                   : fmt::format("left: {}, and it could not be removed: {}", alone, failure);
  return !defect.left;
}

}  // namespace

void repair_directory(cache::Store& store, cache::TuningStore& tuning, const EntryVerifier& verifier,
                      const Suppliers& suppliers, PlaceReport& report) {
  for (EntryDefect& defect : report.entry_defects) {
    repair_entry(store, verifier, suppliers, defect);
  }
  if (const cache::TuningCheck before = tuning.check(); !before.sound()) {
    const bool written = tuning.repair();
    const cache::TuningCheck after = tuning.check();
    report.tuned = after.records;
    // The store tells the log itself when it replaces the database.
    if (written && after.sound() && before.defect.empty()) {
      store.log({cache::EventKind::repair,
                 std::nullopt,
                 {},
                 "tuned records",
                 "restored from what was sound",
                 {{"records", after.records}}});
    }
  }
  static_cast<void>(cache::list_entries(store));
  // A defect that is not found any more has been repaired.
  std::string unreadable;
  const std::unique_ptr<Source> source = own_source(store, tuning);
  static_cast<void>(source->keys(unreadable));
  std::vector<std::string> now = source->databases().defects;
  now.push_back(std::move(unreadable));
  for (PlaceDefect& defect : report.place_defects) {
    defect.left = std::find(now.begin(), now.end(), defect.text) != now.end();
    defect.outcome = defect.left ? "could not be repaired" : "repaired";
  }
}

void repair_server(ServerSource& server, const cache::Store& store, const EntryVerifier& verifier,
                   const Suppliers& suppliers, PlaceReport& report) {
  for (EntryDefect& defect : report.entry_defects) {
    if (!server.writable()) {
      defect.outcome = "left, since KERNCAST_CACHE_REMOTE_READONLY turns uploads off";
      continue;
    }
    const std::optional<Copy> copy = sound_copy(defect.key, verifier, suppliers);
    if (copy ? replace_object(server, *copy, defect) : remove_object(server, verifier, defect)) {
      store.log({cache::EventKind::repair, defect.key, defect.op, server.name(), defect.finding.reason});
    }
  }
}

}  // namespace kerncast::tools
