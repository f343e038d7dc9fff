#include "tools/model/fact_expression.hpp"

#include <catch2/catch.hpp>
#include <string>

#include "kerncast/error.hpp"

namespace kerncast::tools {
namespace {

using nlohmann::json;

/// Expressions over one config.
struct Facts {
  json root =
      json::parse(R"({"a": 6, "b": 4, "zero": 0, "word": "x", "list": [2, 3, 2], "words": ["x"], "none": null,
                              "part": {"c": 5, "deep": {"d": 7}, "off": null}, "flag": true, "off": null})");
  json defaults = json::parse(R"({"e": 9, "a": 1, "off": 5, "part": {"off": 5}, "deep": {"f": 8}})");
  ConfigFields fields{root, root, "", defaults, "config.json"};

  [[nodiscard]] FactValue of(const char* expression) const {
    return evaluate(json::parse(expression), fields, "test");
  }
  [[nodiscard]] json values(const char* expression) const { return of(expression).values; }
};

TEST_CASE("an expression reads keys, their defaults and alternatives") {
  const Facts facts;
  CHECK(facts.values(R"("@a")") == json{6});
  CHECK(facts.values(R"("@e")") == json{9});
  CHECK(facts.values(R"("@missing,a")") == json{6});
  CHECK(facts.values(R"("@e,a")") == json{6});  // what the file has counts before a default
  CHECK(facts.values(R"("@part.deep.d")") == json{7});
  CHECK(facts.values(R"("@deep.f")") == json{8});
  CHECK(facts.of(R"("@missing")").empty());
  CHECK(facts.of(R"("@none")").empty());
  CHECK(facts.of(R"("@off")").empty());  // null in the file is no default
  CHECK(facts.of(R"("@part.off")").empty());
  CHECK(facts.values(R"("@off | 3")") == json{3});
  CHECK(facts.values(R"("@off,a")") == json{6});
  CHECK(facts.values(R"("@missing | @b")") == json{4});
  CHECK(facts.values(R"("@missing | 3")") == json{3});
  CHECK(facts.values(R"("some words")") == json{"some words"});
}

TEST_CASE("an expression computes from left to right, for every value of a list") {
  const Facts facts;
  CHECK(facts.values(R"("@a + @b * 2")") == json{20});
  CHECK(facts.values(R"("@a / @b")") == json{1});
  CHECK(facts.values(R"("@list")") == json{2, 3});
  CHECK(facts.values(R"("@list * 10")") == json{20, 30});
  CHECK(facts.values(R"("sum@list")") == json{7});
  CHECK(facts.values(R"("sum@list * @b")") == json{28});
  CHECK(facts.of(R"("sum@missing")").empty());
  CHECK(facts.values(R"("first@list * @a")") == json{12});
  CHECK(facts.values(R"("first@a")") == json{6});
  CHECK(facts.of(R"("first@missing | @none")").empty());
  CHECK_THROWS_WITH(facts.of(R"("sum@a")"), Catch::Contains("field a must be a list, not number"));
  CHECK_THROWS_WITH(facts.of(R"("sum@words")"), Catch::Contains("field words must be a number, not string"));
  CHECK(facts.values(R"("@a > 5")") == json{true});
  CHECK(facts.values(R"("@a == 5")") == json{false});
  CHECK(facts.of(R"("@a * @missing")").empty());
  CHECK_THROWS_WITH(facts.of(R"("@a / @zero")"), Catch::Contains("field zero must not be 0"));
  CHECK_THROWS_WITH(facts.of(R"("@a * @word")"), Catch::Contains("field word must be a number, not string"));
}

TEST_CASE("an expression chooses") {
  const Facts facts;
  CHECK(facts.values(R"({"if": "@flag", "then": 1, "else": 2})") == json{1});
  CHECK(facts.values(R"({"if": "@zero", "then": 1, "else": 2})") == json{2});
  CHECK(facts.values(R"({"if": "@missing", "then": 1, "else": "@b"})") == json{4});
  CHECK(facts.of(R"({"if": "@missing", "then": 1})").empty());
  CHECK(facts.values(R"({"of": "@word", "is": {"x": "@a", "y": 2}, "else": 3})") == json{6});
  CHECK(facts.values(R"({"of": "@word", "is": {"y": 2}, "else": 3})") == json{3});
  CHECK(facts.values(R"({"of": "@word", "is": {"y": 2}})") == json{"x"});
  CHECK(facts.values(R"({"of": "@missing", "is": {"y": 2}, "else": 3})") == json{3});
  CHECK(facts.values(R"(["@a", "@missing", 6, 7])") == json{6, 7});
}

TEST_CASE("a fact says where it comes from") {
  const Facts facts;
  CHECK(facts.of(R"("@a")").source == "key a");
  CHECK(facts.of(R"("@e")").source == "default of test");
  CHECK(facts.of("3").source == "rule of test");
  CHECK(facts.of(R"("@a * @b")").source == "rule of test: @a * @b");
  CHECK(facts.of(R"("@a * @e")").source == "rule of test: @a * @e, in part by default");
  CHECK(facts.of(R"({"if": "@flag", "then": 1, "else": 2})").source == "key flag");
}

}  // namespace
}  // namespace kerncast::tools
