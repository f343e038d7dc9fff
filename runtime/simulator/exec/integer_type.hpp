#pragma once

#include "runtime/simulator/exec/lanes.hpp"

/// Integer types as values, for conversions that many types share.
namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

struct IntegerType {
  unsigned bits;
  bool is_signed;
};

/// The integer type that PTX calls `type`. A type that is no integer has 0 bits.
inline IntegerType integer_type(Type type) {
  switch (type) {
    case Type::u8:
      return {8, false};
    case Type::s8:
      return {8, true};
    case Type::u16:
      return {16, false};
    case Type::s16:
      return {16, true};
    case Type::u32:
      return {32, false};
    case Type::s32:
      return {32, true};
    case Type::u64:
      return {64, false};
    case Type::s64:
      return {64, true};
    default:
      return {0, false};
  }
}

/// The bits of a 64-bit register that the type leaves. The mask is for the analyzer, which does not know that
/// an integer has bits.
KC_INLINE unsigned bits_left(IntegerType type) {
  return (64 - type.bits) & 63U;
}

/// The least value of the type.
KC_INLINE s64 least(IntegerType type) {
  return type.is_signed ? s64{-1} << (type.bits - 1) : s64{0};
}

/// The greatest value of the type.
KC_INLINE u64 most(IntegerType type) {
  return type.is_signed    ? (u64{1} << (type.bits - 1)) - 1
         : type.bits == 64 ? ~u64{0}
                           : (u64{1} << type.bits) - 1;
}

}  // namespace

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
