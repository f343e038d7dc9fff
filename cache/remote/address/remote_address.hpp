#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kerncast::cache {

struct Credentials {
  std::string user;
  std::string password;
};

enum class RemoteScheme : std::uint8_t { http, https, s3, redis };

/// The address of a remote server: a URL, parsed once. Of its text only name() is for messages. The other
/// parts are for requests, and may be secret.
///
/// User and password may be percent-encoded. A character of them that would end them (/ ? #) has to be: a URL
/// with an @ behind its host is refused, since the part before the @ may belong to a password.
class RemoteAddress {
 public:
  /// No server.
  RemoteAddress() = default;
  explicit RemoteAddress(std::string_view url);

  [[nodiscard]] bool empty() const { return name_.empty(); }
  /// The reason why the URL cannot be used, without any part of it. Empty if it can.
  [[nodiscard]] const std::string& defect() const { return defect_; }
  /// The URL without user and password, with *** for its query and for the parameters of its path. Of a URL
  /// that cannot be used it is the scheme at most.
  [[nodiscard]] const std::string& name() const { return name_; }

  [[nodiscard]] RemoteScheme scheme() const { return scheme_; }
  [[nodiscard]] const Credentials& credentials() const { return credentials_; }
  /// The name or number of the host, an IPv6 address without brackets. Of s3:// the bucket.
  [[nodiscard]] const std::string& host() const { return host_; }
  [[nodiscard]] int port() const { return port_; }  ///< 0 if the URL has none
  /// Path of the URL, still percent-encoded. It is empty or begins with a slash.
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::string& query() const { return query_; }  ///< what follows the question mark
  /// Host and port as they stand in a URL.
  [[nodiscard]] std::string authority() const;

 private:
  bool parse(std::string_view scheme, std::string_view rest);
  bool parse_bucket(std::string_view rest);
  bool parse_authority(std::string_view text);
  bool parse_credentials(std::string_view text);
  bool refuse(const char* reason);

  std::string name_;
  std::string defect_;
  RemoteScheme scheme_ = RemoteScheme::http;
  Credentials credentials_;
  std::string host_;
  int port_ = 0;
  std::string path_;
  std::string query_;
};

}  // namespace kerncast::cache
