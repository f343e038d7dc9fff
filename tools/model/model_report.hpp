#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "tools/io/console.hpp"
#include "tools/model/model_config.hpp"

namespace kerncast::tools {

/// Warns on `console` if the model is a guess, with every field that the guess did not understand.
void announce_guess(const ModelReading& model, Console& console);

/// Warns of everything that no plan of this model covers: a guess, and the steps that no op computes.
void announce_model(const ModelReading& model, Console& console);

/// Throws Error(unsupported) if `model` is a guess, unless `best_effort`.
void require_known(const ModelReading& model, bool best_effort);

/// The facts that were read and their sources, as a table with the steps that are not offered below it.
[[nodiscard]] std::string facts_text(const ModelReading& model);
[[nodiscard]] nlohmann::json facts_json(const ModelReading& model);

}  // namespace kerncast::tools
