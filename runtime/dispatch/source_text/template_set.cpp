#include "runtime/dispatch/source_text/template_set.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include "kerncast/error.hpp"
#include "runtime/dispatch/source_text/embedded_templates.hpp"

namespace kerncast {

TemplateSet::TemplateSet(std::string directory) : directory_(std::move(directory)) {}

std::string TemplateSet::read(const std::string& name, const std::string& included_by) const {
  if (!directory_.empty()) {
    std::ifstream file(directory_ + "/" + name, std::ios::binary);
    if (file) {
      std::ostringstream text;
      text << file.rdbuf();
      return std::move(text).str();
    }
    throw Error(
        ErrorCode::not_found,
        fmt::format(
            "template '{}'{} is not in KERNCAST_TEMPLATE_DIR={}; unset it to use the embedded templates",
            name, included_by, directory_));
  }
  const auto files = embedded_templates();
  const auto found =
      std::find_if(files.begin(), files.end(), [&](const auto& file) { return file.name == name; });
  if (found == files.end()) {
    throw Error(ErrorCode::not_found,
                fmt::format("template '{}'{} is not among the embedded ones", name, included_by));
  }
  return std::string(found->text);
}

TemplateSet::Files TemplateSet::closure(const std::string& include, const Files& own) const {
  std::map<std::string, std::string> reached;
  std::vector<std::pair<std::string, std::string>> pending{{include, {}}};
  while (!pending.empty()) {
    const auto [name, included_by] = pending.back();
    pending.pop_back();
    if (reached.contains(name)) {
      continue;
    }
    const auto found =
        std::find_if(own.begin(), own.end(), [&](const auto& file) { return file.first == name; });
    std::string text = found != own.end() ? found->second : read(name, included_by);
    for (std::string& next : quoted_includes(text)) {
      pending.emplace_back(std::move(next), fmt::format(", included by {},", name));
    }
    reached.emplace(name, std::move(text));
  }
  return {reached.begin(), reached.end()};
}

std::vector<std::string> quoted_includes(std::string_view text) {
  std::vector<std::string> names;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    at = end + 1;
    const std::size_t hash = line.find_first_not_of(" \t");
    if (hash == std::string_view::npos || line[hash] != '#') {
      continue;
    }
    line.remove_prefix(hash + 1);
    const std::size_t word = line.find_first_not_of(" \t");
    if (word == std::string_view::npos || !line.substr(word).starts_with("include")) {
      continue;
    }
    const std::size_t open = line.find('"');
    const std::size_t close = open == std::string_view::npos ? open : line.find('"', open + 1);
    if (close != std::string_view::npos) {
      names.emplace_back(line.substr(open + 1, close - open - 1));
    }
  }
  return names;
}

}  // namespace kerncast
