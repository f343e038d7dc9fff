#include "runtime/simulator/ptx/types.hpp"

#include <array>
#include <bit>
#include <cstdint>

namespace kerncast::simulator {

namespace {

struct TypeName {
  std::string_view name;
  Type type;
  std::uint8_t bytes;
};

constexpr std::array<TypeName, 30> types{{
    {"b8", Type::b8, 1},         {"b16", Type::b16, 2},         {"b32", Type::b32, 4},
    {"b64", Type::b64, 8},       {"b128", Type::b128, 16},      {"u8", Type::u8, 1},
    {"u16", Type::u16, 2},       {"u32", Type::u32, 4},         {"u64", Type::u64, 8},
    {"s8", Type::s8, 1},         {"s16", Type::s16, 2},         {"s32", Type::s32, 4},
    {"s64", Type::s64, 8},       {"f16", Type::f16, 2},         {"f16x2", Type::f16x2, 4},
    {"bf16", Type::bf16, 2},     {"bf16x2", Type::bf16x2, 4},   {"f32", Type::f32, 4},
    {"f64", Type::f64, 8},       {"e4m3x2", Type::e4m3x2, 2},   {"e5m2x2", Type::e5m2x2, 2},
    {"e2m1x2", Type::e2m1x2, 1}, {"ue8m0x2", Type::ue8m0x2, 2}, {"pred", Type::pred, 0},
    {"f32x2", Type::f32x2, 8},   {"u16x2", Type::u16x2, 4},     {"s16x2", Type::s16x2, 4},
    {"e2m3x2", Type::e2m3x2, 2}, {"e3m2x2", Type::e3m2x2, 2},   {"tf32", Type::tf32, 4},
}};

}  // namespace

Type type_called(std::string_view name) {
  for (const TypeName& entry : types) {
    if (entry.name == name) {
      return entry.type;
    }
  }
  return Type::none;
}

unsigned bytes_of(Type type) {
  for (const TypeName& entry : types) {
    if (entry.type == type) {
      return entry.bytes;
    }
  }
  return 0;
}

std::string_view name_of(Type type) {
  for (const TypeName& entry : types) {
    if (entry.type == type) {
      return entry.name;
    }
  }
  return "none";
}

bool is_signed(Type type) {
  return type >= Type::s8 && type <= Type::s64;
}
bool is_integer(Type type) {
  return type >= Type::u8 && type <= Type::s64;
}

bool is_bits(Type type) {
  return type >= Type::b8 && type <= Type::b128;
}
bool is_plain(Type type) {
  return (is_bits(type) || is_integer(type) || type == Type::f32 || type == Type::f64) && bytes_of(type) >= 2;
}

std::uint64_t float_bits(std::uint64_t bits, unsigned given_bytes, Type type) {
  if (type == Type::f32 && given_bytes == 8) {
    return std::bit_cast<std::uint32_t>(static_cast<float>(std::bit_cast<double>(bits)));
  }
  if (type == Type::f64 && given_bytes == 4) {
    return std::bit_cast<std::uint64_t>(
        static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(bits))));
  }
  return bits;
}

}  // namespace kerncast::simulator
