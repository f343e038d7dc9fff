#pragma once

#include <concepts>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "kerncast/launch.hpp"
#include "tests/templates/op_harness.hpp"
#include "tests/templates/suite/fields.hpp"

/// The typed calls of all ops behind one signature: tensors, scalars and settings of a case become the fields
/// of the op's argument struct that have their names.
namespace kerncast::test {

struct TypedOp {
  std::string_view op;
  Call (*bind)(const OpCase& test, const Views& views) = nullptr;
  void (*launch)(Runtime& runtime, const OpCase& test, const Views& views) = nullptr;
  PreparedLaunch (*prepare)(Runtime& runtime, const OpCase& test, const Views& views) = nullptr;
};

/// One for each op folder. The struct of family.some_op is kerncast::family::SomeOp.
[[nodiscard]] std::span<const TypedOp> typed_ops();

/// Fills the fields of `arguments`, and of the structs in it, from `test` and `views`.
template <class Arguments>
void fill_arguments(Arguments& arguments, const OpDefinition& op, const OpCase& test, const Views& views) {
  for_each_field(arguments, [&]<class Field>(std::string_view name, Field& field) {
    if constexpr (std::same_as<Field, TensorView>) {
      if (const auto found = views.find(std::string(name)); found != views.end()) {
        field = found->second;
      }
    } else if constexpr (std::floating_point<Field>) {
      for (const auto& [scalar, value] : test.scalars) {
        if (scalar == name) {
          field = static_cast<Field>(value);
        }
      }
    } else if constexpr (std::integral<Field> || std::is_enum_v<Field>) {
      for (const auto& [setting, text] : test.params) {
        if (setting == name) {
          const auto at = static_cast<std::size_t>(find_param(op, setting));
          field = static_cast<Field>(parse_param(op, op.params.at(at), text));
        }
      }
    } else if constexpr (!std::is_pointer_v<Field>) {  // A communicator stays away: a world of one rank.
      fill_arguments(field, op, test, views);
    }
  });
}

template <TypedCall Arguments>
[[nodiscard]] Arguments arguments_of(const OpCase& test, const Views& views) {
  Arguments arguments{};
  fill_arguments(arguments, definition_of<Arguments>(), test, views);
  return arguments;
}

template <TypedCall Arguments>
[[nodiscard]] constexpr TypedOp typed_op() {
  return {Arguments::op_name,
          [](const OpCase& test, const Views& views) { return bind(arguments_of<Arguments>(test, views)); },
          [](Runtime& runtime, const OpCase& test, const Views& views) {
            launch(runtime, arguments_of<Arguments>(test, views), nullptr);
          },
          [](Runtime& runtime, const OpCase& test, const Views& views) {
            return prepare(runtime, arguments_of<Arguments>(test, views));
          }};
}

}  // namespace kerncast::test
