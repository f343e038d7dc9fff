#include "cache/counters.hpp"

#include <xxhash.h>

#include <algorithm>

#include "cache/posix/byte_order.hpp"
#include "runtime/util/capped_sum.hpp"

namespace kerncast::cache {
namespace {

constexpr std::string_view magic = "KCCOUNT1";
constexpr std::uint32_t most_counters = 4096;

std::size_t index_of(std::uint64_t CacheCounters::* field) {
  const auto found = std::find_if(counter_fields.begin(), counter_fields.end(),
                                  [&](const CounterField& known) { return known.value == field; });
  return static_cast<std::size_t>(found - counter_fields.begin());
}

std::size_t stripe_of_thread() {
  static std::atomic<std::size_t> threads{0};
  thread_local const std::size_t mine = threads.fetch_add(1, std::memory_order_relaxed);
  return mine;
}

}  // namespace

CacheCounters& operator+=(CacheCounters& sum, const CacheCounters& other) {
  for (const CounterField& field : counter_fields) {
    sum.*field.value = capped_sum(sum.*field.value, other.*field.value);
  }
  return sum;
}

CacheCounters operator-(CacheCounters from, const CacheCounters& other) {
  for (const CounterField& field : counter_fields) {
    from.*field.value -= std::min(from.*field.value, other.*field.value);
  }
  return from;
}

void Counters::add(std::uint64_t CacheCounters::* field, std::uint64_t amount) noexcept {
  stripes_[stripe_of_thread() % stripes].values[index_of(field)].fetch_add(amount, std::memory_order_relaxed);
}

CacheCounters Counters::sum() const {
  CacheCounters out;
  for (const Stripe& stripe : stripes_) {
    for (std::size_t i = 0; i < counter_fields.size(); ++i) {
      out.*counter_fields[i].value += stripe.values[i].load(std::memory_order_relaxed);
    }
  }
  return out;
}

std::string serialise_counters(const CacheCounters& counters) {
  Writer out;
  out.raw(magic);
  out.integer(static_cast<std::uint32_t>(counter_fields.size()));
  for (const CounterField& field : counter_fields) {
    out.integer(counters.*field.value);
  }
  out.integer(static_cast<std::uint64_t>(XXH3_64bits(out.bytes().data(), out.bytes().size())));
  return out.take();
}

std::optional<CacheCounters> parse_counters(std::string_view bytes, std::size_t* size) {
  if (!bytes.starts_with(magic)) {
    return std::nullopt;
  }
  Reader in(bytes.substr(magic.size()));
  const auto count = in.integer<std::uint32_t>();
  if (!in.ok() || count > most_counters) {
    return std::nullopt;
  }
  CacheCounters out;
  for (std::size_t i = 0; i < count; ++i) {
    const auto value = in.integer<std::uint64_t>();
    if (i < counter_fields.size()) {
      out.*counter_fields[i].value = value;
    }
  }
  const std::size_t covered = magic.size() + sizeof(count) + sizeof(std::uint64_t) * std::size_t{count};
  const auto checksum = in.integer<std::uint64_t>();
  if (!in.ok()) {
    return std::nullopt;
  }
  if (size != nullptr) {
    *size = covered + sizeof(checksum);
  }
  return checksum == XXH3_64bits(bytes.data(), covered) ? std::optional(out) : std::nullopt;
}

}  // namespace kerncast::cache
