#include "tools/profile/profile_heat_map.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <vector>

#include "tools/io/html_text.hpp"
#include "tools/profile/profile_report.hpp"

namespace kerncast::tools {
namespace {

// Number of lines shown before and after a line that was executed.
constexpr std::size_t neighbours = 2;

using FileLines = std::map<std::size_t, KerncastSimCounts>;

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

/// The text of the file `file` of the line info, or the PTX if `file` is empty.
std::string_view text_of(const OpProfile& profile, const std::string& file) {
  if (file.empty()) {
    return profile.report.ptx;
  }
  for (const auto& [name, text] : profile.sources) {
    if (file == name) {
      return text;
    }
  }
  return {};
}

/// The values that a column's cells are compared with.
struct Scale {
  KerncastSimCounts total{};    ///< sum over the launch
  KerncastSimCounts hottest{};  ///< largest value of any line
};

std::string cell(const Scale& scale, const KerncastSimCounts& counts,
                 std::uint64_t KerncastSimCounts::* column) {
  const std::uint64_t value = counts.*column;
  if (value == 0) {
    return "<td></td>";
  }
  const auto share_of = [value](std::uint64_t all) {
    return static_cast<double>(value) / static_cast<double>(all);
  };
  return fmt::format("<td style=\"--heat:{:.3f}\" title=\"{:.1f} % of the launch\">{}</td>",
                     share_of(scale.hottest.*column), 100 * share_of(scale.total.*column), grouped(value));
}

std::string file_table(std::string_view text, const FileLines& ran, const Scale& scale) {
  const std::vector<std::string_view> lines = split_lines(text);
  std::string out =
      "<div class=\"scroll\"><table class=\"heat\"><thead><tr><th>line</th><th>warp instructions</th>"
      "<th>sectors</th><th>wavefronts</th><th class=\"code\">text</th></tr></thead><tbody>\n";
  std::size_t shown = 0;
  for (const auto& [number, unused] : ran) {
    const std::size_t first = std::max(number > neighbours ? number - neighbours : 1, shown + 1);
    const std::size_t last = std::max(number, std::min(number + neighbours, lines.size()));
    if (shown != 0 && first > shown + 1 && first <= last) {
      out += "<tr class=\"gap\"><td colspan=\"5\">&#8942;</td></tr>\n";
    }
    for (std::size_t line = first; line <= last; ++line) {
      const auto found = ran.find(line);
      const KerncastSimCounts counts = found == ran.end() ? KerncastSimCounts{} : found->second;
      out += fmt::format("<tr{}><td>{}</td>{}{}{}<td class=\"code\">{}</td></tr>\n",
                         found == ran.end() ? " class=\"idle\"" : "", line,
                         cell(scale, counts, &KerncastSimCounts::warp_instructions),
                         cell(scale, counts, &KerncastSimCounts::global_sectors),
                         cell(scale, counts, &KerncastSimCounts::shared_wavefronts),
                         line <= lines.size() ? escape_html(lines[line - 1]) : std::string());
      shown = line;
    }
  }
  return out + "</tbody></table></div>\n";
}

}  // namespace

std::string heat_map(const OpProfile& profile) {
  std::map<std::string, FileLines> files;
  std::map<std::string, std::uint64_t> instructions;
  Scale scale{total_counts(profile.launch), {}};
  for (const LineCounts& line : counts_by_line(profile.launch)) {
    files[line.file][line.line] = line.counts;
    instructions[line.file] += line.counts.warp_instructions;
    for (const auto column : {&KerncastSimCounts::warp_instructions, &KerncastSimCounts::global_sectors,
                              &KerncastSimCounts::shared_wavefronts}) {
      scale.hottest.*column = std::max(scale.hottest.*column, line.counts.*column);
    }
  }
  std::vector<std::string> order;
  order.reserve(files.size());
  for (const auto& [file, unused] : files) {
    order.push_back(file);
  }
  std::stable_sort(order.begin(), order.end(), [&](const std::string& a, const std::string& b) {
    return instructions[a] > instructions[b];
  });
  std::string out;
  for (const std::string& file : order) {
    const double share =
        static_cast<double>(instructions[file]) / static_cast<double>(scale.total.warp_instructions);
    out += fmt::format(
        "<details open><summary>{}<span class=\"muted\"> {:.1f} % of warp instructions</span>"
        "</summary>\n{}</details>\n",
        file.empty() ? std::string("PTX") : escape_html(file), 100 * share,
        file_table(text_of(profile, file), files[file], scale));
  }
  return out;
}

}  // namespace kerncast::tools
