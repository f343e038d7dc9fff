#include "cache/pack/transfer.hpp"

#include <fmt/format.h>

#include <optional>
#include <set>
#include <string>

#include "cache/pack/pack_format.hpp"
#include "cache/posix/file.hpp"

namespace kerncast::cache {
namespace {

PackCheck check(const Pack& pack) {
  PackCheck out;
  for (std::size_t i = 0; i < pack.size(); ++i) {
    const LayerAnswer answer = pack.read(i);
    if (!answer.entry) {
      out.defect = fmt::format("entry {}: {}", pack.key(i).hex(), answer.defect);
      return out;
    }
    ++out.entries;
    out.bytes += answer.entry->cubin.size() + answer.entry->ptx.size();
  }
  std::string defect;
  out.tuned = pack.tuned(defect).size();
  if (!defect.empty()) {
    out.defect = "tuned records: " + defect;
  }
  return out;
}

/// The text that the entries of a pack have in common: one entry of each op, since it has the same sources
/// and much of the same code as the other entries of that op.
class Shared {
 public:
  void note(const Key& key, const Entry& entry) {
    if (ops_.insert(entry.op).second) {
      std::string bytes = serialise(key, entry);
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
                         const PackWriter::Sink& sink, const std::vector<TunedRecord>& tuned) {
  ExportResult result;
  const auto each_wanted = [&](const auto& take) {
    result = {};
    for (const StoredFile& file : store.list()) {
      const std::optional<std::string> bytes = read_file(file.path, max_entry_bytes);
      if (!bytes) {
        continue;  // another process has removed it
      }
      const ParsedEntry parsed = parse(file.key, *bytes);
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
  each_wanted([&](const Key& key, const Entry& entry) { writer.add(key, entry); });
  writer.finish();
  return result;
}

PackCheck verify_pack(const std::string& path) {
  PackCheck out;
  const std::unique_ptr<Pack> pack = Pack::open(path, Trust::everyone, out.defect);
  return pack != nullptr ? check(*pack) : out;
}

ImportResult import_pack(const std::string& path, Store& store, TuningStore& tuning) {
  ImportResult result;
  const std::unique_ptr<Pack> pack = Pack::open(path, Trust::everyone, result.defect);
  if (pack == nullptr) {
    return result;
  }
  result.defect = check(*pack).defect;
  for (std::size_t i = 0; result.defect.empty() && i < pack->size(); ++i) {
    if (store.load(pack->key(i))) {
      ++result.already;
      continue;
    }
    // The entry is verified again, since the file may have changed since the check.
    const LayerAnswer answer = pack->read(i);
    const bool written = answer.entry && store.publish(pack->key(i), *answer.entry);
    ++(written ? result.published : result.failed);
  }
  if (result.defect.empty()) {
    std::string defect;
    if (const std::vector<TunedRecord> records = pack->tuned(defect); !records.empty()) {
      result.tuned = tuning.record(records);
    }
  }
  return result;
}

}  // namespace kerncast::cache
