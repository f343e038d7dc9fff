#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "templates/host/enumerator_name.hpp"

/// Parameters and tunables in the order of the enum that an op's spec_index.hpp names them by. Name and place
/// come from the enumerator, so that enum and definition cannot disagree:
///
///     enum Param : std::size_t { x_dtype, hidden };
///     enum Tunable : std::size_t { threads };
///
///     op.params = host::params(
///         host::param<x_dtype>(host::dtype_param({DType::bf16, DType::f32}, DType::bf16, "element type of
///         x")), host::param<hidden>(host::integer_param(1, 65536, std::nullopt, "elements of a row")));
///     op.tunables = host::tunables(host::tunable<threads>("threads of a block", {128, 256}));
namespace kerncast::host {

/// A parameter that is one of `allowed` dtypes. The name is given by param().
[[nodiscard]] ParamSpec dtype_param(std::initializer_list<DType> allowed, DType default_value,
                                    std::string doc);
/// An integer from `minimum` to `maximum`; without a default the parameter is required.
[[nodiscard]] ParamSpec integer_param(std::int32_t minimum, std::int32_t maximum,
                                      std::optional<std::int32_t> default_value, std::string doc);
/// An integer out of a closed list.
[[nodiscard]] ParamSpec listed_param(std::initializer_list<std::int32_t> allowed,
                                     std::optional<std::int32_t> default_value, std::string doc);
/// A boolean.
[[nodiscard]] ParamSpec flag_param(bool default_value, std::string doc);
/// One of named choices, stored as its place in the list. The first is the default.
[[nodiscard]] ParamSpec choice_param(std::initializer_list<const char*> choices, std::string doc);
/// A choice whose names stand in a table beside its enum.
[[nodiscard]] ParamSpec choice_param(std::span<const char* const> choices, std::string doc);

/// A description whose place in the definition is known at compile time.
template <class Spec, std::size_t Index>
struct Placed {
  Spec spec;
};

/// `spec` as the parameter of this enumerator.
template <auto Enumerator>
[[nodiscard]] Placed<ParamSpec, static_cast<std::size_t>(Enumerator)> param(ParamSpec spec) {
  spec.name = enumerator_name<Enumerator>();
  return {std::move(spec)};
}

/// The tunable of this enumerator.
template <auto Enumerator>
[[nodiscard]] Placed<TunableSpec, static_cast<std::size_t>(Enumerator)> tunable(
    std::string doc, std::vector<std::int32_t> choices) {
  return {{std::string(enumerator_name<Enumerator>()), std::move(doc), std::move(choices)}};
}

/// The tunable of this enumerator, whose values are the multiples of `multiple_of` from `minimum` to
/// `maximum`.
template <auto Enumerator>
[[nodiscard]] Placed<TunableSpec, static_cast<std::size_t>(Enumerator)> tunable_range(
    std::string doc, std::int32_t minimum, std::int32_t maximum, std::int32_t multiple_of) {
  return {{std::string(enumerator_name<Enumerator>()), std::move(doc), {}, minimum, maximum, multiple_of}};
}

/// Throws Error(invalid_argument) unless `got` entries, named first, come before the entry with the place
/// `wanted`.
void require_place(std::size_t got, std::size_t wanted, const std::string& name);

/// Adds the parameters `more` to those that `list` already has.
template <class Spec, std::size_t First, std::size_t... Indices>
void append(std::vector<Spec>& list, Placed<Spec, First> first, Placed<Spec, Indices>... more) {
  static_assert(
      [] {
        std::size_t next = First;
        return ((Indices == ++next) && ...);
      }(),
      "the order of the list is not that of the enum");
  require_place(list.size(), First, first.spec.name);
  list.push_back(std::move(first.spec));
  (list.push_back(std::move(more.spec)), ...);
}

/// The parameters of an op, in the order of their enum.
template <std::size_t... Indices>
[[nodiscard]] std::vector<ParamSpec> params(Placed<ParamSpec, 0> first, Placed<ParamSpec, Indices>... more) {
  std::vector<ParamSpec> list;
  append(list, std::move(first), std::move(more)...);
  return list;
}

/// The tunables of an op, in the order of their enum.
template <std::size_t... Indices>
[[nodiscard]] std::vector<TunableSpec> tunables(Placed<TunableSpec, 0> first,
                                                Placed<TunableSpec, Indices>... more) {
  std::vector<TunableSpec> list;
  append(list, std::move(first), std::move(more)...);
  return list;
}

}  // namespace kerncast::host
