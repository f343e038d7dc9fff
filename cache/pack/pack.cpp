#include "cache/pack/pack.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <system_error>
#include <utility>

#include "cache/pack/pack_format.hpp"
#include "cache/posix/byte_order.hpp"
#include "cache/posix/trusted_path.hpp"

namespace kerncast::cache {
namespace {

using namespace pack_format;

/// Fills `bytes` from `offset`. False if the file ends before.
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

}  // namespace

/// The zstd dictionary of a pack. It is made at first use, since most processes that open a pack never read
/// from it.
class Pack::Dictionary {
 public:
  ~Dictionary() { ZSTD_freeDDict(made_); }
  Dictionary() = default;
  Dictionary(const Dictionary&) = delete;
  Dictionary& operator=(const Dictionary&) = delete;

  /// The dictionary. Null, with the reason in `defect`, if the pack's shared part is unsound.
  [[nodiscard]] const ZSTD_DDict* get(const Pack& pack, std::string& defect) {
    std::call_once(once_, [&] {
      const std::string bytes = pack.unpack(pack.shared_, nullptr, defect_);
      made_ = defect_.empty() ? ZSTD_createDDict(bytes.data(), bytes.size()) : nullptr;
      if (made_ == nullptr) {
        defect_ = fmt::format("what its entries share: {}", defect_.empty() ? "no dictionary" : defect_);
      }
    });
    defect = defect_;
    return made_;
  }

 private:
  std::once_flag once_;
  ZSTD_DDict* made_ = nullptr;
  std::string defect_;
};

Pack::Pack() : dictionary_(std::make_unique<Dictionary>()) {}

Pack::~Pack() = default;

std::unique_ptr<Pack> Pack::open(const std::string& path, const Trust& trust, std::string& defect) {
  std::unique_ptr<Pack> pack(new Pack);
  TrustedPath found = open_trusted(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, trust);
  if (!found.reason.empty()) {
    defect = found.error == not_trusted ? untrusted_layer(found.reason)
                                        : std::generic_category().message(found.error);
    return nullptr;
  }
  pack->file_ = std::move(found.file);
  struct stat info{};
  if (::fstat(pack->file_.get(), &info) != 0) {
    defect = std::generic_category().message(errno);
    return nullptr;
  }
  defect = S_ISREG(info.st_mode) ? "" : "not a regular file";
  if (defect.empty()) {
    defect = pack->read_table(static_cast<std::uint64_t>(info.st_size));
  }
  return defect.empty() ? std::move(pack) : nullptr;
}

bool Pack::is_compressed(const Blob& blob) {
  return blob.packed_bytes <= ZSTD_compressBound(static_cast<std::size_t>(blob.bytes));
}

std::string Pack::read_table(std::uint64_t file_bytes) {
  std::string head(head_bytes, '\0');
  std::string footer(footer_bytes, '\0');
  if (file_bytes < head_bytes + footer_bytes || !read_at(file_.get(), 0, head) || !head.starts_with(magic)) {
    return "not a pack";
  }
  const auto version = Reader(std::string_view(head).substr(magic.size())).integer<std::uint32_t>();
  if (version < first_pack_version || version > pack_version) {
    return fmt::format("pack version {}, this build reads {} to {}", version, first_pack_version,
                       pack_version);
  }
  const bool has_places = version != first_pack_version;
  tuned_form_ = version == pack_version          ? RecordForm::with_details
                : version == signed_pack_version ? RecordForm::with_signed
                                                 : RecordForm::plain;
  footer.resize(footer_bytes + (has_places ? 2 * place_bytes : 0));
  if (file_bytes < head_bytes + footer.size()) {
    return "truncated";
  }
  const std::uint64_t footer_at = file_bytes - footer.size();
  if (!read_at(file_.get(), footer_at, footer)) {
    return "truncated";
  }
  Reader end(footer);
  const auto read_place = [](Reader& in, Blob& blob) {
    blob.packed_bytes = in.integer<std::uint64_t>();
    blob.bytes = in.integer<std::uint64_t>();
    blob.hash = in.integer<std::uint64_t>();
  };
  if (has_places) {
    read_place(end, shared_);
    read_place(end, tuned_);
  }
  const auto table_at = end.integer<std::uint64_t>();
  const auto count = end.integer<std::uint64_t>();
  const auto high = end.integer<std::uint64_t>();
  const auto low = end.integer<std::uint64_t>();
  if (table_at < head_bytes || table_at > footer_at || (footer_at - table_at) % item_bytes != 0 ||
      (footer_at - table_at) / item_bytes != count) {
    return "truncated or damaged: its table does not fit its size";
  }
  if (count > max_entries) {
    return fmt::format("{} entries, more than {}", count, max_entries);
  }
  std::string table(static_cast<std::size_t>(footer_at - table_at), '\0');
  if (!read_at(file_.get(), table_at, table)) {
    return "truncated";
  }
  const std::string covered = head + table + footer.substr(0, footer.size() - 16);
  const XXH128_hash_t hash = XXH3_128bits(covered.data(), covered.size());
  if (hash.high64 != high || hash.low64 != low) {
    return "checksum mismatch of its table";
  }
  const std::uint64_t frames_bytes = table_at - head_bytes;
  if (shared_.packed_bytes > frames_bytes || tuned_.packed_bytes > frames_bytes - shared_.packed_bytes ||
      shared_.bytes > max_shared_bytes || tuned_.bytes > max_entry_bytes || !is_compressed(shared_) ||
      !is_compressed(tuned_)) {
    return "malformed table";
  }
  shared_.offset = head_bytes;
  tuned_.offset = table_at - tuned_.packed_bytes;
  Reader in(table);
  std::uint64_t expected = head_bytes + shared_.packed_bytes;
  items_.reserve(static_cast<std::size_t>(count));
  for (std::uint64_t i = 0; i < count; ++i) {
    Item item;
    item.key.high = in.integer<std::uint64_t>();
    item.key.low = in.integer<std::uint64_t>();
    item.blob.offset = in.integer<std::uint64_t>();
    read_place(in, item.blob);
    const bool ascends = items_.empty() || items_.back().key < item.key;
    if (!ascends || item.blob.offset != expected || item.blob.packed_bytes > tuned_.offset - expected ||
        item.blob.bytes > max_entry_bytes || !is_compressed(item.blob)) {
      return "malformed table";
    }
    expected += item.blob.packed_bytes;
    items_.push_back(item);
  }
  return expected == tuned_.offset ? std::string() : "malformed table";
}

std::string Pack::unpack(const Blob& place, std::string& defect) const {
  return unpack(place, shared_.packed_bytes > 0 ? dictionary_.get() : nullptr, defect);
}

std::string Pack::unpack(const Blob& place, Dictionary* dictionary, std::string& defect) const {
  std::string blob(static_cast<std::size_t>(place.packed_bytes), '\0');
  if (!read_at(file_.get(), place.offset, blob)) {
    defect = "truncated";
    return {};
  }
  if (XXH3_64bits(blob.data(), blob.size()) != place.hash) {
    defect = "checksum mismatch";
    return {};
  }
  if (ZSTD_getFrameContentSize(blob.data(), blob.size()) != place.bytes) {
    defect = "not compressed data of its size";
    return {};
  }
  std::string bytes(static_cast<std::size_t>(place.bytes), '\0');
  const ZSTD_DDict* shared = dictionary != nullptr ? dictionary->get(*this, defect) : nullptr;
  if (!defect.empty()) {
    return {};
  }
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(), ZSTD_freeDCtx);
  if (ZSTD_decompress_usingDDict(context.get(), bytes.data(), bytes.size(), blob.data(), blob.size(),
                                 shared) != bytes.size()) {
    defect = "not compressed data";
    return {};
  }
  return bytes;
}

LayerAnswer Pack::read(std::size_t index) const {
  LayerAnswer answer;
  const std::string bytes = unpack(items_[index].blob, answer.defect);
  if (answer.defect.empty()) {
    ParsedEntry parsed = parse(items_[index].key, bytes);
    answer = {std::move(parsed.entry), std::move(parsed.defect)};
  }
  return answer;
}

std::vector<TunedRecord> Pack::tuned(std::string& defect) const {
  if (tuned_.packed_bytes == 0) {
    return {};
  }
  const std::string bytes = unpack(tuned_, defect);
  if (!defect.empty()) {
    return {};
  }
  std::optional<std::vector<TunedRecord>> records = parse_records(bytes, tuned_form_);
  if (!records) {
    defect = "malformed tuned records";
    return {};
  }
  return std::move(*records);
}

LayerAnswer Pack::find(const Key& key) const {
  const auto found = std::lower_bound(items_.begin(), items_.end(), key,
                                      [](const Item& item, const Key& wanted) { return item.key < wanted; });
  return found == items_.end() || found->key != key ? LayerAnswer{}
                                                    : read(static_cast<std::size_t>(found - items_.begin()));
}

}  // namespace kerncast::cache
