#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include "kerncast/op_definition.hpp"
#include "tools/commands/command.hpp"
#include "tools/io/output.hpp"
#include "tools/model/settings.hpp"

namespace kerncast::tools {
namespace {

const char* direction_name(Direction direction) {
  switch (direction) {
    case Direction::in:
      return "in";
    case Direction::out:
      return "out";
    case Direction::inout:
      return "inout";
  }
  return "";
}

const char* kind_name(ParamKind kind) {
  switch (kind) {
    case ParamKind::integer:
      return "integer";
    case ParamKind::boolean:
      return "boolean";
    case ParamKind::dtype:
      return "dtype";
    case ParamKind::choice:
      return "choice";
  }
  return "";
}

/// The default value as a user would write it. Empty if the parameter is required.
std::string default_text(const ParamSpec& param) {
  if (!param.default_value) {
    return {};
  }
  const std::string text = format_param(param, *param.default_value);
  return text.substr(text.find('=') + 1);
}

Json to_json(const OpDefinition& op) {
  Json json = {{"op", op.name}, {"summary", op.summary}, {"formula", op.formula}};
  json["tensors"] = Json::array();
  for (const TensorSpec& tensor : op.tensors) {
    json["tensors"].push_back({{"name", tensor.name},
                               {"direction", direction_name(tensor.direction)},
                               {"optional", tensor.optional},
                               {"doc", tensor.doc}});
  }
  json["params"] = Json::array();
  for (const ParamSpec& param : op.params) {
    Json entry = {
        {"name", param.name}, {"kind", kind_name(param.kind)}, {"constraint", constraint_text(param)}};
    entry["required"] = !param.default_value.has_value();
    entry["default"] = param.default_value ? Json(default_text(param)) : Json();
    entry["from_tensors"] = param_source(op, param);
    entry["doc"] = param.doc;
    json["params"].push_back(std::move(entry));
  }
  json["scalars"] = Json::array();
  for (const ScalarSpec& scalar : op.scalars) {
    json["scalars"].push_back(
        {{"name", scalar.name}, {"default", scalar.default_value}, {"doc", scalar.doc}});
  }
  json["tunables"] = Json::array();
  for (const TunableSpec& tunable : op.tunables) {
    json["tunables"].push_back({{"name", tunable.name},
                                {"choices", tunable_values(tunable)},
                                {"constraint", format_values(tunable)},
                                {"doc", tunable.doc}});
  }
  return json;
}

void print_section(const Table& table) {
  if (!table.empty()) {
    print("\n");
    print(table);
  }
}

void print_detail(const OpDefinition& op) {
  print(fmt::format("{}: {}\n\n{}\n", op.name, op.summary, op.formula));
  Table tensors({{"tensor"}, {"use"}, {"shape and dtype"}});
  for (const TensorSpec& tensor : op.tensors) {
    tensors.add_row(
        {tensor.name,
         fmt::format("{}{}", direction_name(tensor.direction), tensor.optional ? ", optional" : ""),
         tensor.doc});
  }
  print_section(tensors);
  Table params({{"parameter"}, {"default"}, {"with tensors"}, {"constraint"}, {"meaning"}});
  for (const ParamSpec& param : op.params) {
    const std::string source = param_source(op, param);
    params.add_row({param.name, param.default_value ? default_text(param) : "required",
                    source.empty() ? "-" : source, constraint_text(param), param.doc});
  }
  print_section(params);
  Table scalars({{"scalar"}, {"default", Align::right}, {"meaning"}});
  for (const ScalarSpec& scalar : op.scalars) {
    scalars.add_row({scalar.name, fmt::format("{}", scalar.default_value), scalar.doc});
  }
  print_section(scalars);
  Table tunables({{"tunable"}, {"constraint"}, {"meaning"}});
  for (const TunableSpec& tunable : op.tunables) {
    tunables.add_row({tunable.name, format_values(tunable), tunable.doc});
  }
  print_section(tunables);
}

/// Lists the ops of `family`, or all if it is empty. Returns false if there are none.
bool list_ops(CommandContext& context, const std::string& family) {
  Json list = Json::array();
  Table table({{"op"}, {"summary"}});
  for (const OpDefinition* op : OpRegistry::instance().all()) {
    if (!family.empty() && !op->name.starts_with(family + ".")) {
      continue;
    }
    list.push_back(to_json(*op));
    table.add_row({op->name, op->summary});
  }
  if (!list.empty()) {
    context.json ? print_json(list) : print(table);
  }
  return !list.empty();
}

}  // namespace

void add_ops_command(const Command& root, CommandContext& context) {
  const Command command =
      root.add("ops", "List the ops, or describe one: formula, tensors, parameters, tunables");
  const auto name = std::make_shared<std::string>();
  command.option("op", *name, "Op to describe, such as norm.rms_norm or rms_norm, or a family, such as norm");
  command.json_flag();
  command.action([&context, name] {
    if (name->find('.') == std::string::npos && list_ops(context, *name)) {
      return exit_fine;
    }
    const OpDefinition& op = require_op(*name);
    context.json ? print_json(to_json(op)) : print_detail(op);
    return exit_fine;
  });
}

}  // namespace kerncast::tools
