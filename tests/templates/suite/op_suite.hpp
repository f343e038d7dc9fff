#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "kerncast/op_definition.hpp"

/// The promises of every op, checked from its definition alone. Each behaviour is a test case of each op
/// whose folder lies in templates; a new op adds nothing here.
namespace kerncast::test {

enum class Extent : std::uint8_t {
  definition,  ///< launches nothing
  small,       ///< compiles a few kernels of one specialisation
  wide,        ///< compiles many kernels
};

struct Behaviour {
  std::string_view title;  ///< ends a sentence that begins with the op's name
  Extent extent = Extent::definition;
  void (*check)(const OpDefinition& op) = nullptr;
};

/// Names of the ops that have a folder in templates, in order.
[[nodiscard]] std::span<const std::string_view> op_folders();

/// Behaviours that need no device.
[[nodiscard]] std::span<const Behaviour> definition_behaviours();

/// Behaviours of launched kernels.
[[nodiscard]] std::span<const Behaviour> launch_behaviours();

}  // namespace kerncast::test
