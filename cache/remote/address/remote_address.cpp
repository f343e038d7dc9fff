#include "cache/remote/address/remote_address.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <iterator>
#include <system_error>

#include "cache/remote/address/characters.hpp"

namespace kerncast::cache {
namespace {

constexpr const char* hidden = "***";

bool holds_only(std::string_view text, bool (*kind)(char), std::string_view others) {
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return kind(c) || others.find(c) != std::string_view::npos; });
}

/// The scheme of `url` if it is a usual one. Other text before "://" may be a part of a password.
std::string_view scheme_of(std::string_view url) {
  constexpr std::string_view usual[] = {"http", "https", "s3", "redis", "rediss", "ftp"};
  const std::string_view scheme = url.substr(0, std::min(url.find("://"), url.size()));
  const bool known = std::find(std::begin(usual), std::end(usual), scheme) != std::end(usual);
  return known && scheme.size() < url.size() ? scheme : std::string_view();
}

int hex_digit(char c) {
  if (is_digit(c)) {
    return c - '0';
  }
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// Replaces %41 by A in `text`. False if a % is not followed by two digits, or if they stand for a zero byte.
bool decode(std::string_view text, std::string& out) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0 || high + low == 0) {
      return false;
    }
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return true;
}

bool is_bucket(std::string_view name) {
  return name.size() >= 3 && name.size() <= 63 && is_lower_or_digit(name.front()) &&
         is_lower_or_digit(name.back()) && holds_only(name, is_lower_or_digit, "-.");
}

/// `path` up to its first parameter, as in "/a;token=x".
std::string without_parameters(std::string_view path) {
  const std::size_t semicolon = path.find(';');
  return semicolon == std::string_view::npos ? std::string(path)
                                             : fmt::format("{};{}", path.substr(0, semicolon), hidden);
}

}  // namespace

RemoteAddress::RemoteAddress(std::string_view url) {
  if (url.empty()) {
    return;
  }
  const std::string_view scheme = scheme_of(url);
  const std::string_view rest = scheme.empty() ? std::string_view() : url.substr(scheme.size() + 3);
  name_ = scheme.empty() ? hidden : fmt::format("{}://{}", scheme, hidden);
  if (!parse(scheme, rest)) {
    credentials_ = {};
    host_.clear();
    path_.clear();
    query_.clear();
    return;
  }
  // An S3 URL takes no credentials, but somebody may have written some.
  if (scheme_ != RemoteScheme::s3 || path_.find_first_of("@?#") == std::string::npos) {
    name_ = fmt::format("{}://{}{}{}", scheme, authority(), without_parameters(path_),
                        query_.empty() ? "" : fmt::format("?{}", hidden));
  }
}

bool RemoteAddress::refuse(const char* reason) {
  defect_ = reason;
  return false;
}

bool RemoteAddress::parse(std::string_view scheme, std::string_view rest) {
  if (scheme == "s3") {
    return parse_bucket(rest);
  }
  if (scheme == "rediss") {
    return refuse(
        "Redis over TLS is not supported; connect through a tunnel such as stunnel, and name it by redis://");
  }
  if (scheme != "http" && scheme != "https" && scheme != "redis") {
    return refuse(
        "its URL has none of the forms http://, https://, s3://bucket/prefix and "
        "redis://[[user]:password@]host[:port][/database]");
  }
  scheme_ = scheme == "http"    ? RemoteScheme::http
            : scheme == "https" ? RemoteScheme::https
                                : RemoteScheme::redis;
  if (std::any_of(rest.begin(), rest.end(), [](char c) { return (c >= 0 && c <= ' ') || c == '\x7f'; })) {
    return refuse("its URL holds a space or a control character; percent-encode it");
  }
  const std::size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  const std::string_view tail = rest.substr(end);
  if (tail.find('@') != std::string_view::npos) {
    return refuse(
        "its URL has an @ behind the host; in user, password and path write / as %2F, ? as %3F, # as %23 "
        "and @ as %40");
  }
  if (tail.find('#') != std::string_view::npos) {
    return refuse("its URL has a #, behind which no server sees anything; write it as %23");
  }
  const std::size_t question = std::min(tail.find('?'), tail.size());
  path_ = tail.substr(0, question);
  query_ = tail.substr(std::min(question + 1, tail.size()));
  if (!parse_authority(rest.substr(0, end))) {
    return false;
  }
  if (scheme_ == RemoteScheme::redis &&
      (question < tail.size() ||
       !holds_only(std::string_view(path_).substr(path_.empty() ? 0 : 1), is_digit, ""))) {
    return refuse("what follows its host is not the number of a database");
  }
  return true;
}

bool RemoteAddress::parse_bucket(std::string_view rest) {
  scheme_ = RemoteScheme::s3;
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  host_ = rest.substr(0, slash);
  path_ = rest.substr(slash);
  return is_bucket(host_) || refuse("its URL is not s3://bucket/prefix");
}

bool RemoteAddress::parse_authority(std::string_view text) {
  if (const std::size_t at = text.rfind('@'); at != std::string_view::npos) {
    if (!parse_credentials(text.substr(0, at))) {
      return refuse(
          "its user or password has a % without two hexadecimal digits behind it, or a zero byte; write a % "
          "as %25");
    }
    text.remove_prefix(at + 1);
  }
  constexpr const char* no_host =
      "its URL has no valid host and port; in user and password write / as %2F, ? as %3F, # as %23 and @ as "
      "%40";
  const bool in_brackets = text.starts_with('[');
  const std::size_t bracket = in_brackets ? text.find(']') : 0;
  if (bracket == std::string_view::npos) {
    return refuse(no_host);
  }
  const std::size_t colon = std::min(text.find(':', bracket), text.size());
  host_ = in_brackets ? text.substr(1, bracket - 1) : text.substr(0, colon);
  const bool named = !in_brackets && holds_only(host_, is_letter_or_digit, "-._");
  // A zone may follow the number, as in fe80::1%eth0.
  const bool numbered = in_brackets && bracket + 1 == colon && host_.find(':') != std::string::npos &&
                        holds_only(host_, is_letter_or_digit, ":.%");
  if (host_.empty() || (!named && !numbered)) {
    return refuse(no_host);
  }
  if (colon < text.size()) {
    const std::string digits(text.substr(colon + 1));
    const char* const end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, port_);
    if (error != std::errc() || stop != end || port_ < 1 || port_ > 65535) {
      return refuse(no_host);
    }
  }
  return true;
}

bool RemoteAddress::parse_credentials(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon != std::string_view::npos) {
    return decode(text.substr(0, colon), credentials_.user) &&
           decode(text.substr(colon + 1), credentials_.password);
  }
  // Redis had passwords before it had users, and its own tools read a lone word so.
  return decode(text, scheme_ == RemoteScheme::redis ? credentials_.password : credentials_.user);
}

std::string RemoteAddress::authority() const {
  const bool in_brackets = host_.find(':') != std::string::npos;
  return fmt::format("{}{}{}{}", in_brackets ? "[" : "", host_, in_brackets ? "]" : "",
                     port_ == 0 ? std::string() : fmt::format(":{}", port_));
}

}  // namespace kerncast::cache
