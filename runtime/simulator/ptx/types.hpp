#pragma once

#include <cstdint>
#include <string_view>

#include "runtime/simulator/machine/instruction.hpp"

/// Facts about the operand types that instructions name.
namespace kerncast::simulator {

/// The type that PTX writes as `.name`; Type::none if there is no such type.
Type type_called(std::string_view name);
/// The name that PTX writes after the dot, such as "u32".
std::string_view name_of(Type type);
/// Bytes that a value of `type` takes in a register; 0 for predicates.
unsigned bytes_of(Type type);
bool is_signed(Type type);
bool is_integer(Type type);
/// True for bits, integers of 16 bits or more, f32 and f64: the types that moves and selections take.
bool is_plain(Type type);
bool is_bits(Type type);

/// The bits that a float constant of `given_bytes` has as an f32 or f64.
std::uint64_t float_bits(std::uint64_t bits, unsigned given_bytes, Type type);

}  // namespace kerncast::simulator
