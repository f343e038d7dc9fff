#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/tools/temporary_directory.hpp"

/// What one run of the command left behind.
struct Outcome {
  int code = -1;  ///< exit code; 128 + signal where one ended it
  std::string out;
  std::string err;

  [[nodiscard]] nlohmann::json json() const { return nlohmann::json::parse(out); }
  /// Lines of standard error that contain `text`.
  [[nodiscard]] int count_in_err(const std::string& text) const;
};

/// A place for runs of the built command: its own cache directory and working directory, the virtual GPU, and
/// nothing of the caller's KERNCAST_ settings but KERNCAST_NVRTC.
class CommandPlace {
 public:
  [[nodiscard]] Outcome run(const std::vector<std::string>& arguments,
                            const std::vector<std::pair<std::string, std::string>>& environment = {}) const;

  TemporaryDirectory directory;
};

/// True where the machine has an NVRTC; says once on standard error where it has none.
[[nodiscard]] bool has_nvrtc();

/// A config.json of a model so small that it runs in no time, with every kind of op.
[[nodiscard]] std::string tiny_model();
/// As tiny_model, with the few ops of a model without experts.
[[nodiscard]] std::string tiny_dense_model();
