#pragma once

#include "kerncast/launch.hpp"
#include "kerncast/op_definition.hpp"
#include "templates/host/named_arguments.hpp"
#include "templates/host/settings.hpp"

/// The parts of a definition that follow from the op's argument struct.
namespace kerncast::host {

/// Names the members of an argument struct; see NamedArguments.
template <class Arguments>
using Describe = void (*)(NamedArguments&, Arguments&);

/// Takes settings that ask for a more general kernel than the tensors need, such as strided rows.
using Generalise = void (*)(const OpDefinition&, Call&, const Bindings&);

/// OpDefinition::bind of a typed call. A setting must agree with what the tensors tell; an alignment may be
/// narrower.
template <TypedCall Arguments, Describe<Arguments> describe, Generalise generalise = nullptr>
[[nodiscard]] Call bind_by_name(const Bindings& bindings) {
  const OpDefinition& op = definition_of<Arguments>();
  Arguments arguments{};
  NamedArguments named(op, bindings);
  describe(named, arguments);
  Call call = bind(arguments);
  if constexpr (generalise != nullptr) {
    generalise(op, call, bindings);
  }
  narrow_alignment(op, call, bindings);
  check_settings_agree(op, call.spec, bindings);
  return call;
}

/// OpDefinition::bind_placed of a typed call.
template <TypedCall Arguments, Describe<Arguments> describe>
[[nodiscard]] Call bind_by_place(const PlacedArguments& placed) {
  Arguments arguments{};
  NamedArguments named(definition_of<Arguments>(), placed);
  describe(named, arguments);
  return bind(arguments);
}

/// A definition with name, tensors, scalars, settings and bind; include, kernel and arguments_type follow
/// from the name.
template <TypedCall Arguments, Describe<Arguments> describe, Generalise generalise = nullptr>
[[nodiscard]] OpDefinition define() {
  OpDefinition op;
  op.name = Arguments::op_name;
  op.bind = bind_by_name<Arguments, describe, generalise>;
  op.bind_placed = bind_by_place<Arguments, describe>;
  Arguments arguments{};
  NamedArguments named(op);
  describe(named, arguments);
  return op;
}

}  // namespace kerncast::host
