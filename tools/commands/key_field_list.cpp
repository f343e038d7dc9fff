#include "tools/commands/key_field_list.hpp"

#include <fmt/format.h>

#include "cache/key.hpp"

namespace kerncast::tools {
namespace {

bool is_short(const std::string& value) {
  return value.size() <= 160;
}

std::string digest(const std::string& value) {
  cache::KeyFields fields;
  fields.add("text", value);
  return fields.key().hex();
}

}  // namespace

Json key_fields_json(const std::vector<std::pair<std::string, std::string>>& fields) {
  Json list = Json::array();
  for (const auto& [label, value] : fields) {
    Json field = {{"label", label}, {"bytes", value.size()}};
    if (is_short(value)) {
      field["value"] = value;
    } else {
      field["digest"] = digest(value);
    }
    list.push_back(std::move(field));
  }
  return list;
}

void print_key_fields(const std::vector<std::pair<std::string, std::string>>& fields) {
  Table table({{"key field"}, {"value"}});
  for (const auto& [label, value] : fields) {
    table.add_row(
        {label, is_short(value) ? value : fmt::format("{} bytes, digest {}", value.size(), digest(value))});
  }
  print("\n");
  print(table);
}

}  // namespace kerncast::tools
