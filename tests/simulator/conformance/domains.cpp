#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <stdexcept>

#include "tests/simulator/conformance/form.hpp"

namespace kerncast::conformance {

namespace {

u64 low_bits(unsigned bytes) {
  return bytes == 8 ? ~u64{0} : (u64{1} << (8 * bytes)) - 1;
}

Domain integers(unsigned bytes) {
  const unsigned bits = 8 * bytes;
  const u64 mask = low_bits(bytes);
  const u64 top = u64{1} << (bits - 1);
  Domain d;
  d.bytes = bytes;
  d.edges = {0,
             1,
             mask,
             top,
             top - 1,
             2,
             mask - 1,
             top + 1,
             7,
             bits - 1,
             bits,
             bits + 1,
             3,
             mask - 2,
             0x55555555,
             0xaaaaaaaa,
             top >> 1U,
             (top >> 1U) - 1,
             top | top >> 1U,
             0x80,
             0x7f,
             0xff,
             0x100,
             mask >> (bits / 2),
             (mask >> (bits / 2)) + 1,
             mask - 0x7f,
             100,
             mask - 99};
  for (u64& edge : d.edges) {
    edge &= mask;
  }
  d.main_edges = 10;
  d.random = [mask, bits](u64 r) {
    // A quarter each of small ones, negative small ones, and two of any bits.
    const u64 few = r >> 8U & (r >> 40U & mask) & ((u64{1} << (bits / 2)) - 1);
    return (r % 4 == 0 ? few : r % 4 == 1 ? ~few : r >> 3U ^ r << 7U) & mask;
  };
  d.constant = [](u64 value) { return fmt::format("{:#x}", value); };
  return d;
}

Domain with_constants(Domain d, bool is_signed) {
  if (is_signed) {
    const unsigned unused = 64 - 8 * d.bytes;
    d.constant = [unused](u64 value) {
      const auto extended = static_cast<s64>(value << unused) >> unused;
      return extended == INT64_MIN ? fmt::format("{:#x}", value) : fmt::format("{}", extended);
    };
  }
  return d;
}

/// Amounts of shifts, positions and lengths of bit fields.
Domain amounts() {
  Domain d = integers(4);
  d.edges = {0,  1,  31,  32,  33,  63,         64,         255, 16, 8,  15,
             17, 65, 254, 256, 257, 0x80000000, 0xffffffff, 7,   30, 48, 128};
  d.main_edges = 10;
  d.random = [](u64 r) { return r % 80; };
  return d;
}

Domain floats(const Format& f, unsigned bytes) {
  const u64 sign = f.sign();
  const u64 one = static_cast<u64>(f.bias()) << f.mantissa;
  const u64 least = f.least_normal();
  const u64 half = one - least;
  const auto power = [&](int exponent) {
    const int field = std::clamp(exponent + f.bias(), 0, (1 << f.exponent) - 2);
    return static_cast<u64>(field) << f.mantissa;
  };
  Domain d;
  d.bytes = bytes;
  const std::vector<u64> positive{0,
                                  one,
                                  f.infinity(),
                                  f.infinity() | 1U,  // a signalling NaN
                                  1,
                                  f.largest(),
                                  least,
                                  least - 1,
                                  one + 1,
                                  f.magnitude_mask(),
                                  half,
                                  one - 1,
                                  one | least >> 1U,  // 1.5
                                  f.infinity() | least >> 1U | 5U,
                                  least + 1,
                                  least >> 1U,
                                  f.largest() - 1,
                                  power(1) | least >> 2U,  // 2.5
                                  power(f.mantissa),
                                  power(f.mantissa) | 1U,
                                  power(f.mantissa - 1) | 1U,
                                  power(-f.bias() / 2),
                                  power(f.bias() / 2) | 3U,
                                  power(f.bias() - 1)};
  for (const u64 x : positive) {
    d.edges.push_back(x);
    d.edges.push_back(x | sign);
  }
  d.main_edges = 16;
  d.random = [f, one](u64 r) {
    const u64 fraction = (r >> 12U) & (f.least_normal() - 1);
    const u64 near = one + ((r >> 4U) % 8) * f.least_normal() - 4 * f.least_normal();
    switch (r % 4) {
      case 0:
        return (r >> 2U ^ r << 31U) & (f.sign() | f.magnitude_mask());
      case 1:
        return ((r >> 2U & 1U) * f.sign()) | (fraction & (r >> 7U));  // subnormal
      default:
        return ((r >> 2U & 1U) * f.sign()) | (near & ~(f.least_normal() - 1)) | fraction;
    }
  };
  if (bytes == 4) {
    d.constant = [](u64 value) { return fmt::format("0f{:08X}", value); };
  } else if (bytes == 8) {
    d.constant = [](u64 value) { return fmt::format("0d{:016X}", value); };
  }
  return d;
}

/// Two values of `half` in one register.
Domain pairs(const Domain& half) {
  Domain d;
  d.bytes = half.bytes * 2;
  const unsigned shift = half.bytes * 8;
  for (std::size_t i = 0; i < half.edges.size(); ++i) {
    d.edges.push_back(half.edges[i] | half.edges[(i * 7 + 3) % half.edges.size()] << shift);
  }
  d.main_edges = half.main_edges;
  d.random = [random = half.random, shift](u64 r) {
    return random(r) | random(r * 0x9e3779b97f4a7c15ULL + 1) << shift;
  };
  return d;
}

Domain exhaustive(unsigned bits, unsigned bytes) {
  Domain d;
  d.bytes = bytes;
  for (u64 x = 0; x < u64{1} << bits; ++x) {
    d.edges.push_back(x);
  }
  d.main_edges = d.edges.size();
  d.random = [bits](u64 r) { return r & ((u64{1} << bits) - 1); };
  return d;
}

/// Floats at and beside the places where narrower formats cut: every exponent, and each tail just at, under
/// and over half of what f16, bf16, tf32, fp8, fp6 and fp4 keep.
Domain cut_floats() {
  Domain d = floats(f32_format, 4);
  static constexpr std::array<u64, 12> tails{0,       1,       0x80000, 0x7ffff, 0x80001, 0xfffff,
                                             0x01000, 0x03000, 0x00fff, 0x08000, 0x18000, 0x07fff};
  for (u64 upper = 0; upper < 4096; ++upper) {
    for (const u64 tail : tails) {
      d.edges.push_back(upper << 20 | tail);
    }
  }
  d.main_edges = d.edges.size();
  return d;
}

/// Values of other widths as f64, with their neighbours.
Domain cut_doubles() {
  Domain d = floats(f64_format, 8);
  const std::vector<u64> singles = cut_floats().edges;
  for (std::size_t i = 0; i < singles.size(); i += 3) {
    const u64 wide = encode(f64_format, decode(f32_format, singles[i]), Mode::rn);
    d.edges.insert(d.edges.end(), {wide, wide + 1, wide == 0 ? 0 : wide - 1});
  }
  d.main_edges = d.edges.size();
  return d;
}

/// Integers at and beside the halves of what a float keeps of them.
Domain cut_integers(unsigned bytes) {
  Domain d = integers(bytes);
  const u64 mask = low_bits(bytes);
  for (unsigned top = 0; top < 8 * bytes; ++top) {
    for (const unsigned kept : {1U, 8U, 9U, 11U, 12U, 24U, 25U, 53U, 54U}) {
      const u64 last = kept > top ? 0 : u64{1} << (top - kept);
      for (const u64 x : {u64{1} << top, (u64{1} << top) | last, (u64{1} << top) | last | last << 1U}) {
        for (const u64 y : {x - 1, x, x + 1}) {
          d.edges.push_back(y & mask);
          d.edges.push_back((~y + 1) & mask);
        }
      }
    }
  }
  d.main_edges = d.edges.size();
  return d;
}

/// Registers full of elements out of `values`; one in sixteen registers holds one of `special` too.
Domain filled(unsigned element_bits, const std::vector<u64>& values, const std::vector<u64>& special) {
  Domain d = integers(4);
  const auto fill = [=](u64 r) {
    u64 result = 0;
    const bool odd = !special.empty() && r >> 60 == 3;
    for (unsigned at = 0; at < 32; at += element_bits) {
      r = r * 6364136223846793005ULL + 1442695040888963407ULL;
      const u64 pick = r >> 33;
      result |= (odd && at == 0 ? special[pick % special.size()] : values[pick % values.size()]) << at;
    }
    return result;
  };
  d.edges.clear();
  for (u64 i = 1; i <= 40; ++i) {
    d.edges.push_back(fill(i * 0x9e3779b97f4a7c15ULL));
  }
  d.random = fill;
  return d;
}

/// Values whose sums of up to 33 products are exact in f16 in any order, and what is not finite.
Domain small_floats(const Format& f, unsigned bits) {
  const unsigned shift = f.exponent == 8 && f.mantissa == 10 ? 13 : 0;
  std::vector<u64> values;
  for (const u64 twice : {0U, 1U, 2U, 3U, 4U, 6U}) {
    for (const bool negative : {false, true}) {
      Number x = integer_number(twice, negative);
      x.negative = negative;
      x.exponent -= 1;
      values.push_back(encode(f, x, Mode::rn) << shift);
    }
  }
  std::vector<u64> special{(f.nan()) << shift};
  if (f.specials == Specials::ieee) {
    special.insert(special.end(), {f.infinity() << shift, (f.infinity() | f.sign()) << shift});
  }
  return filled(bits, values, special);
}

/// Floats of eight bits of exponent whose products stay normal.
Domain middle_floats(const Format& f, unsigned bits, unsigned shift) {
  std::vector<u64> values{0, f.sign(), f.infinity(), f.nan()};
  for (u64 i = 0; i < 64; ++i) {
    const u64 exponent = static_cast<u64>(f.bias()) - 40 + i * 5 % 80;
    values.push_back((i % 2 != 0 ? f.sign() : 0) | exponent << f.mantissa |
                     (i * 0x9e3779b1U & (f.least_normal() - 1)));
  }
  for (u64& value : values) {
    value = value << shift | (shift != 0 ? value * 0x1235 & 0x1fffU : 0);
  }
  return filled(bits, values, {});
}

std::map<std::string, Domain> all_domains() {
  std::map<std::string, Domain> all;
  for (const unsigned bytes : {2U, 4U, 8U}) {
    const std::string bits = std::to_string(8 * bytes);
    all["u" + bits] = all["b" + bits] = integers(bytes);
    all["s" + bits] = with_constants(integers(bytes), true);
  }
  all["amount"] = amounts();
  // Fields look at the lowest byte of a register and take no constant that has more.
  all["field"] = amounts();
  all["field"].constant = [](u64 value) { return std::to_string(value & 0xffU); };
  all["small_f16"] = small_floats(f16_format, 16);
  all["small_bf16"] = small_floats(bf16_format, 16);
  all["small_tf32"] = small_floats(tf32_format, 32);
  all["small_f32"] = small_floats(f32_format, 32);
  all["small_e4m3"] = small_floats(e4m3_format, 8);
  all["small_e5m2"] = small_floats(e5m2_format, 8);
  all["middle_bf16"] = middle_floats(bf16_format, 16, 0);
  all["middle_tf32"] = middle_floats(tf32_format, 32, 13);
  Domain& segments = all["segment"];
  segments = integers(4);
  segments.edges = {0x1f, 0, 0x1f00, 0x181f, 0x101f, 0x1c1f, 0x1e1f, 0x1c00, 0x0f07, 0x1f1f};
  segments.main_edges = segments.edges.size();
  segments.random = [](u64 r) { return r & 0x1f1fU; };
  for (const unsigned most : {4U, 8U, 16U}) {
    Domain& sizes = all["size" + std::to_string(most)];
    sizes = exhaustive(4, 4);
    sizes.edges.push_back(16);
    sizes.edges.resize(most + 1);
    sizes.main_edges = sizes.edges.size();
    sizes.random = [most](u64 r) { return r % (most + 1); };
  }
  Domain& positions = all["position"];
  positions = integers(4);
  positions.edges = {0, 1, 15, 16, 30, 31, 7};
  positions.main_edges = positions.edges.size();
  positions.random = [](u64 r) { return r % 32; };
  Domain& predicates = all["pred"];
  predicates.bytes = 0;
  predicates.edges = {0, 1};
  predicates.main_edges = 2;
  predicates.random = [](u64 r) { return r >> 17U & 1U; };
  all["f16"] = floats(f16_format, 2);
  all["bf16"] = floats(bf16_format, 2);
  all["f32"] = floats(f32_format, 4);
  all["f64"] = floats(f64_format, 8);
  all["f16x2"] = pairs(all["f16"]);
  all["bf16x2"] = pairs(all["bf16"]);
  all["f32x2"] = pairs(all["f32"]);
  all["f16x4"] = pairs(all["f16x2"]);
  all["bf16x4"] = pairs(all["bf16x2"]);
  all["u16x2"] = all["s16x2"] = pairs(integers(2));
  // Every value of the 16-bit floats, for instructions of one operand.
  all["every16"] = exhaustive(16, 2);
  all["cut_f32"] = cut_floats();
  all["cut_f64"] = cut_doubles();
  for (const unsigned width : {2U, 4U, 8U}) {
    all["cut_u" + std::to_string(8 * width)] = cut_integers(width);
  }
  Domain& bytes = all["bytes"];
  bytes = integers(4);
  bytes.edges = {0,          0x7f7f7f7f, 0x80808080, 0xffffffff, 0x01020304, 0xff00ff00, 0x807f00ff,
                 0x00010203, 0x76543210, 0x8000007f, 0x7fff8000, 0x80008000, 0x7fff7fff, 0xfedcba98};
  bytes.main_edges = bytes.edges.size();
  return all;
}

}  // namespace

const Domain& domain(const std::string& name) {
  static const std::map<std::string, Domain> all = all_domains();
  const auto found = all.find(name);
  if (found == all.end()) {
    throw std::logic_error("no domain " + name);
  }
  return found->second;
}

}  // namespace kerncast::conformance
