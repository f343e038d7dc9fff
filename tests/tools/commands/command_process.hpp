#pragma once

#include <sys/types.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/temporary_directory.hpp"

/// What one run of the command left behind.
struct Outcome {
  int code = -1;  ///< exit code; 128 + signal where one ended it
  std::string out;
  std::string err;

  [[nodiscard]] nlohmann::json json() const { return nlohmann::json::parse(out); }
  /// The lines of standard output, each a JSON object, that are events called `name`.
  [[nodiscard]] nlohmann::json events(const std::string& name) const;
  /// Lines of standard error that contain `text`.
  [[nodiscard]] int count_in_err(const std::string& text) const;
};

/// A place for runs of the built command: its own cache directory and working directory, the virtual GPU, and
/// nothing of the caller's KERNCAST_ settings but KERNCAST_NVRTC.
class CommandPlace {
 public:
  [[nodiscard]] Outcome run(const std::vector<std::string>& arguments,
                            const std::vector<std::pair<std::string, std::string>>& environment = {}) const;

  /// The same in two steps, for one that something is done to while it runs.
  [[nodiscard]] pid_t start(const std::vector<std::string>& arguments,
                            const std::vector<std::pair<std::string, std::string>>& environment = {}) const;
  [[nodiscard]] Outcome wait(pid_t child) const;

  TemporaryDirectory directory;
};

/// True where the machine has an NVRTC; says once on standard error where it has none.
[[nodiscard]] bool has_nvrtc();

/// A config.json of a model so small that it runs in no time, with every kind of op.
[[nodiscard]] std::string tiny_model();
/// As tiny_model, with the few ops of a model without experts.
[[nodiscard]] std::string tiny_dense_model();
