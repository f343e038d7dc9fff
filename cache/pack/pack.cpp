#include "cache/pack/pack.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "cache/byte_order.hpp"
#include "cache/layout.hpp"
#include "cache/pack/pack_format.hpp"

namespace kerncast::cache {
namespace {

using namespace pack_format;

/// False where the file ends before `bytes` is full.
bool read_at(int fd, std::uint64_t offset, std::string& bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    const ssize_t got = ::pread(fd, bytes.data() + at, bytes.size() - at, static_cast<off_t>(offset + at));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      return false;
    }
    at += static_cast<std::size_t>(got);
  }
  return true;
}

LayerAnswer bad(std::string text) {
  return {std::nullopt, std::move(text)};
}

}  // namespace

std::unique_ptr<Pack> Pack::open(const std::string& path, Trust trust, std::string& defect) {
  std::unique_ptr<Pack> pack(new Pack);
  pack->file_ = Descriptor(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat info{};
  if (!pack->file_.valid() || ::fstat(pack->file_.get(), &info) != 0) {
    defect = std::generic_category().message(errno);
    return nullptr;
  }
  defect = S_ISREG(info.st_mode) ? distrust(info, trust) : "not a regular file";
  if (defect.empty()) {
    defect = pack->read_table(static_cast<std::uint64_t>(info.st_size));
  }
  return defect.empty() ? std::move(pack) : nullptr;
}

std::string Pack::read_table(std::uint64_t file_bytes) {
  std::string head(head_bytes, '\0');
  std::string footer(footer_bytes, '\0');
  if (file_bytes < head_bytes + footer_bytes || !read_at(file_.get(), 0, head) || !head.starts_with(magic)) {
    return "not a pack";
  }
  const auto version = Reader(std::string_view(head).substr(magic.size())).integer<std::uint32_t>();
  if (version != pack_version) {
    return fmt::format("pack version {}, this build reads {}", version, pack_version);
  }
  const std::uint64_t footer_at = file_bytes - footer_bytes;
  if (!read_at(file_.get(), footer_at, footer)) {
    return "truncated";
  }
  Reader end(footer);
  const auto table_at = end.integer<std::uint64_t>();
  const auto count = end.integer<std::uint64_t>();
  const auto high = end.integer<std::uint64_t>();
  const auto low = end.integer<std::uint64_t>();
  if (table_at < head_bytes || table_at > footer_at || (footer_at - table_at) % item_bytes != 0 ||
      (footer_at - table_at) / item_bytes != count) {
    return "truncated or damaged: its table does not fit its size";
  }
  std::string table(static_cast<std::size_t>(footer_at - table_at), '\0');
  if (!read_at(file_.get(), table_at, table)) {
    return "truncated";
  }
  const std::string covered = head + table + footer.substr(0, 16);
  const XXH128_hash_t hash = XXH3_128bits(covered.data(), covered.size());
  if (hash.high64 != high || hash.low64 != low) {
    return "checksum mismatch of its table";
  }
  Reader in(table);
  std::uint64_t expected = head_bytes;
  items_.reserve(static_cast<std::size_t>(count));
  for (std::uint64_t i = 0; i < count; ++i) {
    Item item;
    item.key.high = in.integer<std::uint64_t>();
    item.key.low = in.integer<std::uint64_t>();
    item.offset = in.integer<std::uint64_t>();
    item.packed_bytes = in.integer<std::uint64_t>();
    item.bytes = in.integer<std::uint64_t>();
    item.hash = in.integer<std::uint64_t>();
    const bool ascends = items_.empty() || items_.back().key < item.key;
    if (!ascends || item.offset != expected || item.packed_bytes > table_at - expected ||
        item.bytes > layout::max_entry_bytes) {
      return "malformed table";
    }
    expected += item.packed_bytes;
    items_.push_back(item);
  }
  return expected == table_at ? std::string() : "malformed table";
}

LayerAnswer Pack::read(std::size_t index) const {
  const Item& item = items_[index];
  std::string blob(static_cast<std::size_t>(item.packed_bytes), '\0');
  if (!read_at(file_.get(), item.offset, blob)) {
    return bad("truncated");
  }
  if (XXH3_64bits(blob.data(), blob.size()) != item.hash) {
    return bad("checksum mismatch");
  }
  if (ZSTD_getFrameContentSize(blob.data(), blob.size()) != item.bytes) {
    return bad("not a compressed entry of its size");
  }
  std::string bytes(static_cast<std::size_t>(item.bytes), '\0');
  if (ZSTD_decompress(bytes.data(), bytes.size(), blob.data(), blob.size()) != bytes.size()) {
    return bad("not a compressed entry");
  }
  ParsedEntry parsed = parse(item.key, bytes);
  return {std::move(parsed.entry), std::move(parsed.defect)};
}

LayerAnswer Pack::find(const Key& key) const {
  const auto found = std::lower_bound(items_.begin(), items_.end(), key,
                                      [](const Item& item, const Key& wanted) { return item.key < wanted; });
  return found == items_.end() || found->key != key ? LayerAnswer{}
                                                    : read(static_cast<std::size_t>(found - items_.begin()));
}

}  // namespace kerncast::cache
