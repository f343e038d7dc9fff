#include "cache/remote/address/remote_credentials.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/posix/secret_file.hpp"

namespace kerncast::cache {
namespace {

struct Machine {
  std::string host;  ///< empty: any
  Credentials credentials;
};

/// The words of a file in the form of .netrc: separated by white space, or in double quotes with backslashes.
class Words {
 public:
  explicit Words(std::string_view text) : left_(text) {}

  [[nodiscard]] int line() const { return line_; }
  /// The next keyword; empty at the end. A # in its place begins a comment.
  std::string keyword() {
    skip_space();
    while (left_.starts_with('#')) {
      skip(std::min(left_.find('\n'), left_.size()));
      skip_space();
    }
    return word();
  }
  /// The next value, if there is one.
  std::optional<std::string> value() {
    skip_space();
    if (left_.starts_with('"')) {
      return quoted();
    }
    std::string out = word();
    return out.empty() ? std::nullopt : std::optional(std::move(out));
  }
  /// Skips the lines up to an empty one, which ends a macro.
  void skip_macro() { skip(std::min(left_.find("\n\n"), left_.size())); }

 private:
  static constexpr std::string_view space = " \t\r\n";

  void skip(std::size_t count) {
    line_ +=
        static_cast<int>(std::count(left_.begin(), left_.begin() + static_cast<std::ptrdiff_t>(count), '\n'));
    left_.remove_prefix(count);
  }
  void skip_space() { skip(std::min(left_.find_first_not_of(space), left_.size())); }
  std::string word() {
    const std::size_t end = std::min(left_.find_first_of(space), left_.size());
    std::string out(left_.substr(0, end));
    skip(end);
    return out;
  }
  /// Nothing if the quote does not end on its line.
  std::optional<std::string> quoted() {
    std::string out;
    for (std::size_t i = 1; i < left_.size() && left_[i] != '\n'; ++i) {
      if (left_[i] == '"') {
        skip(i + 1);
        return out;
      }
      if (left_[i] == '\\' && i + 1 < left_.size()) {
        const char c = left_[++i];
        out += c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
      } else {
        out += left_[i];
      }
    }
    return std::nullopt;
  }

  std::string_view left_;
  int line_ = 1;
};

/// The entries of `text`. If it is malformed, `defect` says where.
std::vector<Machine> parse(std::string_view text, std::string& defect) {
  std::vector<Machine> machines;
  Words words(text);
  for (std::string keyword = words.keyword(); !keyword.empty(); keyword = words.keyword()) {
    const int line = words.line();
    if (keyword == "default") {
      machines.emplace_back();
      continue;
    }
    std::optional<std::string> value = words.value();
    if (!value) {
      defect = fmt::format("line {} has a word without a value", line);
    } else if (keyword == "machine") {
      machines.push_back({std::move(*value), {}});
    } else if (keyword == "macdef") {
      words.skip_macro();
    } else if (machines.empty() || (keyword != "login" && keyword != "password" && keyword != "account")) {
      defect = fmt::format("line {} is not of the form machine HOST login USER password PASSWORD", line);
    } else if (keyword != "account") {
      Credentials& credentials = machines.back().credentials;
      (keyword == "login" ? credentials.user : credentials.password) = std::move(*value);
    }
    if (!defect.empty()) {
      return {};
    }
  }
  return machines;
}

std::vector<Machine> read_machines(const std::string& path, const Trust& trust, std::string& defect) {
  const SecretFile file(path, trust);
  defect = file.defect();
  std::vector<Machine> machines = defect.empty() ? parse(file.text(), defect) : std::vector<Machine>();
  if (!defect.empty()) {
    defect = fmt::format("the credentials file {} cannot be used: {}", path, defect);
  }
  return machines;
}

}  // namespace

FoundCredentials find_credentials(const std::string& path, const Trust& trust, const RemoteAddress& address) {
  FoundCredentials found;
  const std::string& user = address.credentials().user;
  for (Machine& machine : read_machines(path, trust, found.defect)) {
    const bool fits =
        machine.host.empty() || machine.host == address.host() || machine.host == address.authority();
    if (fits && (user.empty() || user == machine.credentials.user)) {
      found.credentials = std::move(machine.credentials);
      return found;
    }
  }
  if (found.defect.empty()) {
    found.defect = fmt::format(
        "the credentials file {} has no entry for it; write machine {} login USER password "
        "PASSWORD",
        path, address.host());
  }
  return found;
}

std::string credentials_defect(const std::string& path, const Trust& trust) {
  std::string defect;
  static_cast<void>(read_machines(path, trust, defect));
  return defect;
}

}  // namespace kerncast::cache
