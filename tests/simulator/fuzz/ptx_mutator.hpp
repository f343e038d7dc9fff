#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

namespace kerncast::simulator::testing {

/// A text near `ptx` that is likely to be PTX too: some of its opcodes, modifiers, operands, numbers and
/// statements exchanged.
std::string mutate_ptx(std::string_view ptx, std::minstd_rand& random);
/// `ptx` with some statements of `other` put in.
std::string cross_ptx(std::string_view ptx, std::string_view other, std::minstd_rand& random);

}  // namespace kerncast::simulator::testing
