#pragma once

#include <sys/types.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/temporary_directory.hpp"

/// The result of one run of the command.
struct Outcome {
  int code = -1;  ///< exit code, or 128 plus the number of the signal that ended the process
  std::string out;
  std::string err;

  [[nodiscard]] nlohmann::json json() const { return nlohmann::json::parse(out); }
  /// The events called `name` on standard output, which has one JSON object on each line.
  [[nodiscard]] nlohmann::json events(const std::string& name) const;
  /// Number of lines of standard error that contain `text`.
  [[nodiscard]] int count_in_err(const std::string& text) const;
};

/// Runs the built command with a cache directory and working directory of its own, on the virtual GPU. Of the
/// caller's KERNCAST_ variables only KERNCAST_NVRTC is passed on.
class CommandPlace {
 public:
  [[nodiscard]] Outcome run(const std::vector<std::string>& arguments,
                            const std::vector<std::pair<std::string, std::string>>& environment = {}) const;

  /// Starts the command and waits for it in two steps, so that a test can act while it runs.
  [[nodiscard]] pid_t start(const std::vector<std::string>& arguments,
                            const std::vector<std::pair<std::string, std::string>>& environment = {}) const;
  [[nodiscard]] Outcome wait(pid_t child) const;

  TemporaryDirectory directory;
};

/// True if the machine has an NVRTC. If not, says so once on standard error.
[[nodiscard]] bool has_nvrtc();

/// The config.json of a model with every kind of op, so small that it runs quickly.
[[nodiscard]] std::string tiny_model();
/// The config.json of a small model without experts, which has only a few ops.
[[nodiscard]] std::string tiny_dense_model();
