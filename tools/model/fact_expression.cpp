#include "tools/model/fact_expression.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <sstream>

#include "kerncast/error.hpp"

namespace kerncast::tools {
namespace {

std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  std::size_t from = 0;
  for (std::size_t at = text.find(separator); at != std::string::npos; at = text.find(separator, from)) {
    parts.push_back(text.substr(from, at - from));
    from = at + separator.size();
  }
  parts.push_back(text.substr(from));
  return parts;
}

bool is_true(const FactValue& value) {
  return std::any_of(value.values.begin(), value.values.end(), [](const nlohmann::json& item) {
    if (item.is_boolean()) {
      return item.get<bool>();
    }
    if (item.is_number()) {
      return item.get<double>() != 0;
    }
    return !item.empty();
  });
}

void add_value(FactValue& fact, const nlohmann::json& value) {
  if (std::find(fact.values.begin(), fact.values.end(), value) == fact.values.end()) {
    fact.values.push_back(value);
  }
}

/// The keys and defaults that one evaluation read, to tell where its result comes from.
struct Reading {
  const ConfigFields& fields;
  const std::string& family;
  std::vector<std::string> keys;
  bool by_default = false;
  bool computed = false;

  FactValue term(const std::string& token) {
    FactValue fact;
    if (token.starts_with("sum@")) {
      return sum(token.substr(4));
    }
    if (token.starts_with("first@")) {
      return first(token.substr(6));
    }
    if (token.starts_with('@')) {
      const auto field = fields.find(split(token.substr(1), ","));
      if (!field) {
        return fact;
      }
      if (field->by_default) {
        by_default = true;
      } else {
        keys.push_back(field->key);
      }
      fact.keys.push_back(field->key);
      if (field->value->is_array()) {
        for (const nlohmann::json& item : *field->value) {
          if (!item.is_null()) {
            add_value(fact, item);
          }
        }
      } else {
        fact.values.push_back(*field->value);
      }
      return fact;
    }
    char* end = nullptr;
    const double number = std::strtod(token.c_str(), &end);
    if (!token.empty() && *end == '\0') {
      number == std::floor(number) ? fact.values.emplace_back(static_cast<std::int64_t>(number))
                                   : fact.values.emplace_back(number);
    } else if (token == "true" || token == "false") {
      fact.values.emplace_back(token == "true");
    } else {
      fact.values.emplace_back(token);
    }
    return fact;
  }

  /// The field `key`, noted as read by a computation.
  std::optional<ConfigFields::Field> computed_from(const std::string& key) {
    const auto field = fields.find({key});
    if (field && field->by_default) {
      by_default = true;
    } else if (field) {
      keys.push_back(field->key);
    }
    computed = true;
    return field;
  }

  /// The first item of the list `key`, or the value that stands for a list of one.
  FactValue first(const std::string& key) {
    FactValue fact;
    if (const auto field = computed_from(key);
        field && !(field->value->is_array() && field->value->empty())) {
      fact.keys.push_back(field->key);
      fact.values.push_back(field->value->is_array() ? field->value->front() : *field->value);
    }
    return fact;
  }

  /// The sum of all items of the list `key`, equal ones too.
  FactValue sum(const std::string& key) {
    FactValue fact;
    const auto field = computed_from(key);
    if (!field) {
      return fact;
    }
    fact.keys.push_back(field->key);
    if (!field->value->is_array()) {
      throw Error(ErrorCode::io_error,
                  fmt::format("{}: field {} must be a list, not {} {}", fields.origin(), field->key,
                              field->value->type_name(), field->value->dump().substr(0, 60)));
    }
    nlohmann::json total = 0;
    for (const nlohmann::json& item : *field->value) {
      total = apply("+", total, fact, item, fact);
    }
    fact.values.push_back(total);
    return fact;
  }

  double number_of(const nlohmann::json& value, const FactValue& from) const {
    if (!value.is_number()) {
      throw Error(ErrorCode::io_error,
                  fmt::format("{}: field {} must be a number, not {} {}", fields.origin(),
                              fmt::join(from.keys, ", "), value.type_name(), value.dump().substr(0, 60)));
    }
    return value.get<double>();
  }

  nlohmann::json apply(const std::string& op, const nlohmann::json& a, const FactValue& left,
                       const nlohmann::json& b, const FactValue& right) {
    if (op == "==") {
      return a == b;
    }
    const double x = number_of(a, left);
    const double y = number_of(b, right);
    if (op == ">") {
      return x > y;
    }
    if (op == "/" && y == 0) {
      throw Error(ErrorCode::io_error,
                  fmt::format("{}: field {} must not be 0", fields.origin(), fmt::join(right.keys, ", ")));
    }
    const double result = op == "+" ? x + y : op == "*" ? x * y : std::floor(x / y);
    return result == std::floor(result) && std::abs(result) < 9e15
               ? nlohmann::json(static_cast<std::int64_t>(result))
               : nlohmann::json(result);
  }

  /// One alternative: terms and operators, from left to right.
  FactValue alternative(const std::string& text) {
    if (text.find('@') == std::string::npos) {
      return term(text);
    }
    std::istringstream words(text);
    std::string token;
    words >> token;
    FactValue value = term(token);
    std::string op;
    while (!value.empty() && words >> op >> token) {
      const FactValue right = term(token);
      computed = true;
      FactValue result;
      result.keys = value.keys;
      result.keys.insert(result.keys.end(), right.keys.begin(), right.keys.end());
      for (const nlohmann::json& a : value.values) {
        for (const nlohmann::json& b : right.values) {
          add_value(result, apply(op, a, value, b, right));
        }
      }
      value = std::move(result);
    }
    return value;
  }

  FactValue text(const std::string& expression) {
    for (const std::string& part : split(expression, " | ")) {
      keys.clear();
      by_default = computed = false;
      if (FactValue value = alternative(part); !value.empty()) {
        value.source = source(part);
        return value;
      }
    }
    return {};
  }

  [[nodiscard]] std::string source(const std::string& part) const {
    if (keys.empty() && by_default && !computed) {
      return "default of " + family;
    }
    if (keys.size() == 1 && !computed) {
      return "key " + keys.front();
    }
    if (part.find('@') == std::string::npos) {
      return "rule of " + family;
    }
    return fmt::format("rule of {}: {}{}", family, part, by_default ? ", in part by default" : "");
  }
};

}  // namespace

FactValue evaluate(const nlohmann::json& expression, const ConfigFields& fields, const std::string& family) {
  FactValue fact;
  if (expression.is_string()) {
    return Reading{fields, family, {}}.text(expression.get<std::string>());
  }
  if (expression.is_array()) {
    std::vector<std::string> sources;
    for (const nlohmann::json& item : expression) {
      const FactValue one = evaluate(item, fields, family);
      for (const nlohmann::json& value : one.values) {
        add_value(fact, value);
      }
      fact.keys.insert(fact.keys.end(), one.keys.begin(), one.keys.end());
      if (!one.empty() && std::find(sources.begin(), sources.end(), one.source) == sources.end()) {
        sources.push_back(one.source);
      }
    }
    fact.source = fmt::format("{}", fmt::join(sources, ", "));
    return fact;
  }
  if (!expression.is_object()) {
    return {{expression}, {}, "rule of " + family};
  }
  if (expression.contains("if")) {
    const FactValue condition = evaluate(expression["if"], fields, family);
    const char* branch = is_true(condition) ? "then" : "else";
    fact = expression.contains(branch) ? evaluate(expression[branch], fields, family) : FactValue{};
    if (!condition.source.starts_with("rule of") && fact.source.starts_with("rule of")) {
      fact.source = condition.source.empty() ? fact.source : condition.source;
    }
    return fact;
  }
  const FactValue of = evaluate(expression["of"], fields, family);
  const nlohmann::json& choices = expression["is"];
  for (const nlohmann::json& value : of.values) {
    const std::string name = value.is_string() ? value.get<std::string>() : value.dump();
    const nlohmann::json* chosen = choices.contains(name)        ? &choices[name]
                                   : expression.contains("else") ? &expression["else"]
                                                                 : nullptr;
    const FactValue one =
        chosen != nullptr ? evaluate(*chosen, fields, family) : FactValue{{value}, of.keys, of.source};
    for (const nlohmann::json& item : one.values) {
      add_value(fact, item);
    }
    fact.keys.insert(fact.keys.end(), one.keys.begin(), one.keys.end());
    fact.source = of.source;
  }
  if (of.empty() && expression.contains("else")) {
    return evaluate(expression["else"], fields, family);
  }
  return fact;
}

std::int64_t whole_number(const nlohmann::json& value, const FactValue& fact, const std::string& what,
                          const std::string& origin) {
  const std::string name = fact.keys.empty() ? what : fmt::format("{}", fmt::join(fact.keys, ", "));
  const bool whole = value.is_number_integer() ||
                     (value.is_number_float() && std::trunc(value.get<double>()) == value.get<double>());
  if (!whole) {
    throw Error(ErrorCode::io_error, fmt::format("{}: field {} must be an integer, not {} {}", origin, name,
                                                 value.type_name(), value.dump().substr(0, 60)));
  }
  constexpr double limit = std::numeric_limits<std::int32_t>::max();
  if (const double number = value.get<double>(); !(number >= 0 && number <= limit)) {
    throw Error(ErrorCode::io_error, fmt::format("{}: field {} = {} must be from 0 to {}", origin, name,
                                                 value.dump(), static_cast<std::int64_t>(limit)));
  }
  return static_cast<std::int64_t>(value.get<double>());
}

}  // namespace kerncast::tools
