#pragma once

#include <catch2/catch.hpp>
#include <span>
#include <string>
#include <vector>

#include "tests/tools/commands/command_process.hpp"

using Arguments = std::vector<std::string>;

/// `arguments` and `more`.
inline Arguments with(Arguments arguments, const Arguments& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

/// Arguments that are an error of usage, and a part of its message.
struct RefusedArguments {
  Arguments arguments;
  const char* message;
};

/// Checks that each of the command lines is exit code 2 with its message and prints nothing else, and that
/// with --json the error is an object of JSON.
inline void check_refused(std::span<const RefusedArguments> cases) {
  const CommandPlace place;
  for (const RefusedArguments& bad : cases) {
    const Outcome outcome = place.run(bad.arguments);
    INFO(outcome.err << " should say: " << bad.message);
    CHECK(outcome.code == 2);
    CHECK(outcome.out.empty());
    CHECK_THAT(outcome.err, Catch::StartsWith("kerncast: error: ") && Catch::Contains(bad.message));
    const Outcome in_json = place.run(with(bad.arguments, {"--json"}));
    CHECK(in_json.code == 2);
    CHECK_THAT(in_json.json().at("error").at("message").get<std::string>(), Catch::Contains(bad.message));
  }
}
