#include "runtime/dispatch/source_text/embedded_templates.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>

#include "kerncast/op_definition.hpp"

using namespace kerncast;

TEST_CASE("every op's template is embedded, and every file in order of name") {
  const auto files = embedded_templates();
  REQUIRE_FALSE(files.empty());
  CHECK(std::is_sorted(files.begin(), files.end(),
                       [](const auto& a, const auto& b) { return a.name < b.name; }));
  for (const OpDefinition* op : OpRegistry::instance().all()) {
    INFO(op->include);
    CHECK(
        std::any_of(files.begin(), files.end(), [&](const auto& file) { return file.name == op->include; }));
  }
}

TEST_CASE("templates include nothing but embedded files") {
  const auto files = embedded_templates();
  for (const EmbeddedFile& file : files) {
    INFO(file.name);
    CHECK(file.text.find("#include <") == std::string_view::npos);
    CHECK(file.text.starts_with("#pragma once"));
    for (std::size_t at = 0; (at = file.text.find("#include \"", at)) != std::string_view::npos;) {
      at += 10;
      const std::string_view name = file.text.substr(at, file.text.find('"', at) - at);
      CHECK(std::any_of(files.begin(), files.end(), [&](const auto& other) { return other.name == name; }));
    }
  }
}
