#include "tools/run/synthetic.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "tools/run/split_mix.hpp"

namespace kerncast::tools {
namespace {

struct FloatFormat {
  int mantissa_bits;
  int bias;
  std::uint32_t largest;  ///< bits of the largest finite value
};

FloatFormat format_of(DType type) {
  switch (type) {
    case DType::f16:
      return {10, 15, 0x7bff};
    case DType::bf16:
      return {7, 127, 0x7f7f};
    case DType::fp8_e5m2:
      return {2, 15, 0x7b};
    default:
      return {3, 7, 0x7e};
  }
}

enum class Kind : std::uint8_t { activation, weight, bias, logits, scale };

Kind kind_of(std::string_view name) {
  const auto has = [&](std::string_view part) { return name.find(part) != std::string_view::npos; };
  if (has("bias")) {
    return Kind::bias;
  }
  if (has("logits")) {
    return Kind::logits;
  }
  if (has("scale")) {
    return Kind::scale;
  }
  return has("weight") || name == "w" ? Kind::weight : Kind::activation;
}

double draw(Kind kind, SplitMix& random) {
  switch (kind) {
    case Kind::weight:
      return 1.0 + 0.1 * random.normal();
    case Kind::bias:
      return 0.1 * random.normal();
    case Kind::logits:
      return 2.0 * random.normal();
    case Kind::scale:
      return 0.01 + 0.09 * random.uniform();
    case Kind::activation:
      break;
  }
  const bool outlier = (random.bits() & 0x3ffU) == 0;
  return random.normal() * (outlier ? 20.0 : 1.0);
}

template <class T>
void store(std::vector<std::byte>& bytes, std::int64_t index, T value) {
  std::memcpy(bytes.data() + static_cast<std::size_t>(index) * sizeof value, &value, sizeof value);
}

/// 0 up to `elements` - 1 in another order.
std::vector<std::int32_t> shuffled(std::int64_t elements, SplitMix& random) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(elements));
  std::iota(order.begin(), order.end(), 0);
  for (std::size_t left = order.size(); left > 1; --left) {
    std::swap(order[left - 1], order[random.bits() % left]);
  }
  return order;
}

}  // namespace

std::uint16_t encode_float(double value, DType type) {
  const FloatFormat format = format_of(type);
  const auto sign =
      static_cast<std::uint32_t>(std::signbit(value) ? 1U << (size_of(type) == 2 ? 15U : 7U) : 0U);
  const double magnitude = std::fabs(value);
  if (std::isnan(value)) {
    return static_cast<std::uint16_t>(size_of(type) == 2 ? 0x7fffU : 0x7fU);
  }
  // Read the exponent field of the double. Exponents below the format's range are clamped further down. frexp
  // and ldexp would take more time than all the rest.
  const int exponent = static_cast<int>(std::bit_cast<std::uint64_t>(magnitude) >> 52U) - 1022;
  // Count in steps of the format at this magnitude. Below the smallest normal value the step stays the same.
  const int lowest = 1 - format.bias;
  const int scale = std::max(exponent - 1, lowest) - format.mantissa_bits;
  const double one_step = std::bit_cast<double>(static_cast<std::uint64_t>(1023 - scale) << 52U);
  const double steps = std::nearbyint(std::min(magnitude, 1e300) * one_step);
  const int biased = std::max(exponent - 1, lowest) + format.bias;
  // The steps are added to the exponent field, so that a carry out of the mantissa increments the exponent.
  const double bits =
      static_cast<double>(biased - 1) * static_cast<double>(1 << format.mantissa_bits) + steps;
  const double kept = magnitude == 0 ? 0 : std::min(bits, static_cast<double>(format.largest));
  return static_cast<std::uint16_t>(sign | static_cast<std::uint32_t>(kept));
}

std::uint64_t seed_of(std::string_view run, std::string_view tensor) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  const auto mix = [&](std::string_view text) {
    for (const char c : text) {
      hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    }
    hash = (hash ^ 0xffU) * 0x100000001b3U;
  };
  mix(run);
  mix(tensor);
  return hash;
}

std::vector<std::byte> synthetic_data(std::string_view tensor, DType type, std::int64_t elements,
                                      std::uint64_t seed, std::int64_t integers_below) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(elements * size_of(type)));
  SplitMix random(seed);
  if (type == DType::i32 && tensor == "sorted") {
    const std::vector<std::int32_t> order = shuffled(elements, random);
    if (!order.empty()) {
      std::memcpy(bytes.data(), order.data(), bytes.size());
    }
    return bytes;
  }
  if (type == DType::i32 && tensor == "total") {
    for (std::int64_t i = 0; i < elements; ++i) {
      store(bytes, i, static_cast<std::int32_t>(integers_below - 1));
    }
    return bytes;
  }
  const Kind kind = kind_of(tensor);
  const auto below = static_cast<std::uint64_t>(std::max<std::int64_t>(integers_below, 1));
  for (std::int64_t i = 0; i < elements; ++i) {
    switch (type) {
      case DType::f32:
        store(bytes, i, static_cast<float>(draw(kind, random)));
        break;
      case DType::f64:
        store(bytes, i, draw(kind, random));
        break;
      case DType::f16:
      case DType::bf16:
        store(bytes, i, encode_float(draw(kind, random), type));
        break;
      case DType::fp8_e4m3:
      case DType::fp8_e5m2:
        store(bytes, i, static_cast<std::uint8_t>(encode_float(16.0 * draw(kind, random), type)));
        break;
      case DType::ue8m0:
        store(bytes, i, static_cast<std::uint8_t>(120 + random.bits() % 8));
        break;
      case DType::i8:
        store(bytes, i, static_cast<std::int8_t>(std::clamp(40.0 * random.normal(), -127.0, 127.0)));
        break;
      case DType::u8:
        store(bytes, i, static_cast<std::uint8_t>(random.bits()));
        break;
      case DType::i32:
        store(bytes, i, static_cast<std::int32_t>(random.bits() % below));
        break;
      case DType::i64:
        store(bytes, i, static_cast<std::int64_t>(random.bits() % below));
        break;
    }
  }
  return bytes;
}

}  // namespace kerncast::tools
