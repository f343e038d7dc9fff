#include <fmt/format.h>
#include <xxhash.h>
#include <zstd.h>

#include <utility>

#include "cache/pack/pack.hpp"
#include "cache/pack/pack_format.hpp"
#include "cache/posix/byte_order.hpp"
#include "kerncast/error.hpp"

namespace kerncast::cache {
namespace {

// A high level, since a pack is written once and copied to many machines.
constexpr int compression_level = 12;

/// The version of packs whose records have this form.
std::uint32_t version_for(RecordForm form) {
  switch (form) {
    case RecordForm::plain:
      return unsigned_pack_version;
    case RecordForm::with_signed:
      return signed_pack_version;
    case RecordForm::with_details:
      break;
  }
  return pack_version;
}

void check(std::size_t result) {
  if (ZSTD_isError(result) != 0) {
    throw Error(ErrorCode::internal, fmt::format("compressing a pack: {}", ZSTD_getErrorName(result)));
  }
}

}  // namespace

struct PackWriter::Compressor {
  Compressor() : context(ZSTD_createCCtx()) {
    check(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, compression_level));
  }
  ~Compressor() { ZSTD_freeCCtx(context); }
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;

  [[nodiscard]] std::string compress(const std::string& bytes) const {
    std::string out(ZSTD_compressBound(bytes.size()), '\0');
    const std::size_t size = ZSTD_compress2(context, out.data(), out.size(), bytes.data(), bytes.size());
    check(size);
    out.resize(size);
    return out;
  }

  /// Sets the dictionary of every later frame.
  void use_dictionary(const std::string& bytes) const {
    check(ZSTD_CCtx_loadDictionary(context, bytes.data(), bytes.size()));
  }

  ZSTD_CCtx* context;
};

PackWriter::PackWriter(Sink sink, const std::string& shared, const std::vector<TunedRecord>& tuned)
    : sink_(std::move(sink)),
      compressor_(std::make_unique<Compressor>()),
      tuned_(tuned.empty() ? std::string() : serialise_records(tuned, form_of(tuned))) {
  Writer head;
  head.raw(pack_format::magic);
  head.integer(version_for(form_of(tuned)));
  head_ = head.take();
  write(head_);
  shared_place_ = write_frame(shared);
  compressor_->use_dictionary(shared);
}

PackWriter::~PackWriter() = default;

void PackWriter::write(std::string_view bytes) {
  sink_(bytes);
  offset_ += bytes.size();
}

std::string PackWriter::write_frame(const std::string& bytes) {
  const std::string frame = bytes.empty() ? std::string() : compressor_->compress(bytes);
  write(frame);
  Writer place;
  for (const std::uint64_t value :
       {std::uint64_t{frame.size()}, std::uint64_t{bytes.size()}, XXH3_64bits(frame.data(), frame.size())}) {
    place.integer(value);
  }
  return place.take();
}

void PackWriter::add(const Key& key, const Entry& entry) {
  Writer item;
  for (const std::uint64_t value : {key.high, key.low, offset_}) {
    item.integer(value);
  }
  table_ += item.bytes() + write_frame(serialise(key, entry, std::nullopt));
  ++count_;
}

void PackWriter::finish() {
  Writer footer;
  footer.raw(shared_place_);
  footer.raw(write_frame(tuned_));
  footer.integer(offset_);
  footer.integer(count_);
  const std::string covered = head_ + table_ + footer.bytes();
  const XXH128_hash_t hash = XXH3_128bits(covered.data(), covered.size());
  footer.integer(hash.high64);
  footer.integer(hash.low64);
  write(table_);
  write(footer.bytes());
}

}  // namespace kerncast::cache
