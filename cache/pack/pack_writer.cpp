#include <fmt/format.h>
#include <xxhash.h>
#include <zstd.h>

#include <utility>

#include "cache/byte_order.hpp"
#include "cache/pack/pack.hpp"
#include "cache/pack/pack_format.hpp"
#include "kerncast/error.hpp"

namespace kerncast::cache {
namespace {

// Higher levels take many times as long for a few per cent.
constexpr int compression_level = 9;

}  // namespace

struct PackWriter::Compressor {
  Compressor() : context(ZSTD_createCCtx()) {
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, compression_level);
  }
  ~Compressor() { ZSTD_freeCCtx(context); }
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;

  [[nodiscard]] std::string compress(const std::string& bytes) const {
    std::string out(ZSTD_compressBound(bytes.size()), '\0');
    const std::size_t size = ZSTD_compress2(context, out.data(), out.size(), bytes.data(), bytes.size());
    if (ZSTD_isError(size) != 0) {
      throw Error(ErrorCode::internal, fmt::format("compressing a pack: {}", ZSTD_getErrorName(size)));
    }
    out.resize(size);
    return out;
  }

  ZSTD_CCtx* context;
};

PackWriter::PackWriter(Sink sink, const std::vector<TunedRecord>& tuned)
    : sink_(std::move(sink)),
      compressor_(std::make_unique<Compressor>()),
      tuned_(tuned.empty() ? std::string() : serialise_records(tuned)) {
  Writer head;
  head.raw(pack_format::magic);
  head.integer(tuned_.empty() ? pack_version_without_tuned : pack_version);
  head_ = head.take();
  write(head_);
}

PackWriter::~PackWriter() = default;

void PackWriter::write(std::string_view bytes) {
  sink_(bytes);
  offset_ += bytes.size();
}

std::string PackWriter::place_of(const std::string& blob, std::size_t bytes) {
  Writer place;
  for (const std::uint64_t value :
       {std::uint64_t{blob.size()}, std::uint64_t{bytes}, XXH3_64bits(blob.data(), blob.size())}) {
    place.integer(value);
  }
  return place.take();
}

void PackWriter::add(const Key& key, const Entry& entry) {
  const std::string bytes = serialise(key, entry);
  const std::string blob = compressor_->compress(bytes);
  Writer item;
  for (const std::uint64_t value : {key.high, key.low, offset_}) {
    item.integer(value);
  }
  write(blob);
  table_ += item.bytes() + place_of(blob, bytes.size());
  ++count_;
}

void PackWriter::finish() {
  Writer footer;
  if (!tuned_.empty()) {
    const std::string blob = compressor_->compress(tuned_);
    write(blob);
    footer.raw(place_of(blob, tuned_.size()));
  }
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
