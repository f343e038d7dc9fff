#include "cache/directory/read_only_directory.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "cache/directory/compiler_marks.hpp"
#include "cache/directory/entry_tree.hpp"
#include "cache/layout.hpp"
#include "cache/posix/folder.hpp"
#include "cache/posix/trusted_path.hpp"
#include "cache/tuning/tuning_store.hpp"

namespace kerncast::cache {

LayerAnswer ReadOnlyDirectory::load(const Key& key) {
  const Folder root = Folder::open(path_, trust_);
  if (root.failure().error == not_trusted) {
    return {std::nullopt, untrusted_layer(root.failure().text)};
  }
  const Folder entries = root.child(layout::entries);
  const Folder shard = entries.child(shard_name(key));
  if (!shard.valid()) {
    // A folder that another user keeps to himself may hold the entry, and only its owner can change that.
    for (const Folder* folder : {&root, &entries, &shard}) {
      if (folder->failure().error == EACCES) {
        return {std::nullopt, folder->failure().text};
      }
    }
    return {};
  }
  const FileContent content = shard.read(file_name(key), max_entry_bytes);
  if (content.state == FileContent::State::absent) {
    return {};
  }
  if (content.state != FileContent::State::read) {
    return {std::nullopt, content.defect};
  }
  for (const int fd : {entries.fd(), shard.fd(), content.held.get()}) {
    if (std::string reason = reason_not_trusted(fd, trust_); !reason.empty()) {
      return {std::nullopt, untrusted_layer(reason)};
    }
  }
  ParsedEntry parsed = parse(key, content.bytes);
  if (parsed.other_version) {
    return {};
  }
  return {std::move(parsed.entry), std::move(parsed.defect)};
}

void ReadOnlyDirectory::for_each(const std::function<void(const Key&, const Entry&)>& visit) {
  std::vector<Key> keys;
  for_each_shard(
      Folder::open(path_, trust_).child(layout::entries), [&](const Folder& shard, const std::string& name) {
        for_each_entry(shard, name,
                       [&](const std::string&, const StoredFile& file) { keys.push_back(file.key); });
      });
  std::sort(keys.begin(), keys.end());
  for (const Key& key : keys) {
    if (const LayerAnswer answer = load(key); answer.entry) {
      visit(key, *answer.entry);
    }
  }
}

Compilers ReadOnlyDirectory::compilers() {
  const Folder root = Folder::open(path_, trust_);
  // A look-up then tells why the layer is not used.
  return root.failure().error == not_trusted ? std::nullopt : marked_compilers(root);
}

std::vector<TunedRecord> ReadOnlyDirectory::tuned(std::string& defect) {
  const Folder root = Folder::open(path_, trust_);
  if (root.failure().error == not_trusted) {
    defect = untrusted_layer(root.failure().text);
    return {};
  }
  return read_tuned(root, trust_, defect);
}

}  // namespace kerncast::cache
