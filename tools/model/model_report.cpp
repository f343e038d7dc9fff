#include "tools/model/model_report.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kerncast/error.hpp"
#include "tools/io/output.hpp"

namespace kerncast::tools {
namespace {

std::string kind_of(const ModelReading& model) {
  return model.config.architecture.empty() ? "model without architectures" : model.config.architecture;
}

}  // namespace

void announce_guess(const ModelReading& model, Console& console) {
  if (!model.known) {
    console.warning(fmt::format(
        "{} is a {}, which this command does not know: its ops are guessed from the names of its fields{}",
        model.config.name, kind_of(model),
        model.not_understood.empty() ? std::string()
                                     : fmt::format(", and these fields are not understood: {}",
                                                   fmt::join(model.not_understood, ", "))));
  }
}

void announce_model(const ModelReading& model, Console& console) {
  announce_guess(model, console);
  for (const std::string& step : model.not_offered) {
    console.warning(fmt::format("{}: not offered: {}", model.config.name, step));
  }
}

void require_known(const ModelReading& model, bool best_effort) {
  if (!model.known && !best_effort) {
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{} is a {}, which this command does not know, so what it would do is a guess; with "
                    "--best-effort it does that, and warm --plan shows it",
                    model.config.name, kind_of(model)));
  }
}

std::string facts_text(const ModelReading& model) {
  Table table({{model.config.name}, {"value"}, {"read from"}});
  table.add_row({"family", model.known ? model.family : "guessed",
                 model.known ? "type of the model" : "no entry fits"});
  for (const ModelFact& fact : model.facts) {
    table.add_row({fact.name, fact.value, fact.source});
  }
  std::string text = table.text();
  for (const std::string& step : model.not_offered) {
    text += fmt::format("not offered: {}\n", step);
  }
  if (!model.not_understood.empty()) {
    text += fmt::format("not understood: {}\n", fmt::join(model.not_understood, ", "));
  }
  return text;
}

nlohmann::json facts_json(const ModelReading& model) {
  nlohmann::json facts = nlohmann::json::array();
  for (const ModelFact& fact : model.facts) {
    facts.push_back({{"fact", fact.name}, {"value", fact.value}, {"source", fact.source}});
  }
  return {{"name", model.config.name},
          {"architecture", model.config.architecture},
          {"family", model.known ? nlohmann::json(model.family) : nlohmann::json()},
          {"guessed", !model.known},
          {"facts", std::move(facts)},
          {"not_offered", model.not_offered},
          {"not_understood", model.not_understood}};
}

}  // namespace kerncast::tools
