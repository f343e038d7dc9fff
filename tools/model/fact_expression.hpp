#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/model/config_fields.hpp"

namespace kerncast::tools {

/// A fact of a model: its values, each once (a list for each layer is the set of its values), and where they
/// come from. Empty if the config has nothing that the fact could be read from.
struct FactValue {
  std::vector<nlohmann::json> values;
  std::vector<std::string> keys;  ///< keys of the file that were read
  std::string source;             ///< "key hidden_size", "default of llama", "rule of llama: ..."

  [[nodiscard]] bool empty() const { return values.empty(); }
};

/// Evaluates what a family's entry says about one fact:
///   a number or flag                  itself
///   "some words"                      themselves
///   "@a"                              the field a, or its class default
///   "@a,b"                            the same field under one of several names
///   "@x.y"                            the field y in the object x
///   "sum@a", "first@a"                the sum of the items of the list a, its first item
///   "E + F", "E * F", "E / F"         from left to right; division rounds down
///   "E > F", "E == F"                 true or false
///   "E | F"                           E, or F if E has no value
///   {"if": E, "then": F, "else": G}   by whether E is there and neither 0, false nor empty
///   {"of": E, "is": {...}, "else": F} by the value of E
///   [E, F]                            the values of all
/// `family` names the entry in sources. Throws Error(io_error) that names the key whose value has the wrong
/// type.
[[nodiscard]] FactValue evaluate(const nlohmann::json& expression, const ConfigFields& fields,
                                 const std::string& family);

/// The whole number that `value` is. Throws Error(io_error) that names `what` and the keys that were read,
/// for anything else and for a number that is negative or above 2^31 - 1.
[[nodiscard]] std::int64_t whole_number(const nlohmann::json& value, const FactValue& fact,
                                        const std::string& what, const std::string& origin);

}  // namespace kerncast::tools
