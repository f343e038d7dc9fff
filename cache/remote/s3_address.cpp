#include "cache/remote/s3_address.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "runtime/util/environment.hpp"

namespace kerncast::cache {
namespace {

constexpr std::string_view scheme = "s3://";

bool is_lower_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_host_part(const std::string& text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_lower_or_digit(c) || c == '-'; });
}

bool is_bucket(const std::string& name) {
  return name.size() >= 3 && name.size() <= 63 && is_lower_or_digit(name.front()) &&
         is_lower_or_digit(name.back()) && std::all_of(name.begin(), name.end(), [](char c) {
           return is_lower_or_digit(c) || c == '-' || c == '.';
         });
}

/// Percent-encodes `path`. The signature covers the encoded path, so the encoding must not be left to
/// libcurl.
std::string percent_encoded(const std::string& path) {
  std::string out;
  for (const char c : path) {
    const bool plain = is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') ||
                       std::string_view("/-_.~").find(c) != std::string_view::npos;
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace

bool parse_s3_url(const std::string& url, S3Address& address, std::string& defect) {
  const std::string rest = url.starts_with(scheme) ? url.substr(scheme.size()) : std::string();
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  const std::string bucket = rest.substr(0, slash);
  std::string prefix = rest.substr(slash);
  while (prefix.ends_with('/')) {
    prefix.pop_back();
  }
  if (!is_bucket(bucket)) {
    defect = "its URL is not s3://bucket/prefix";
    return false;
  }
  address.access_key = environment("AWS_ACCESS_KEY_ID");
  address.secret_key = environment("AWS_SECRET_ACCESS_KEY");
  address.session_token = environment("AWS_SESSION_TOKEN");
  if (address.access_key.empty() || address.secret_key.empty()) {
    defect = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set";
    return false;
  }
  std::string region = environment("AWS_REGION");
  region = region.empty() ? environment("AWS_DEFAULT_REGION") : region;
  region = region.empty() ? "us-east-1" : region;
  if (!is_host_part(region)) {
    defect = fmt::format("AWS_REGION={} is not a region", region);
    return false;
  }
  std::string endpoint = environment("AWS_ENDPOINT_URL");
  while (endpoint.ends_with('/')) {
    endpoint.pop_back();
  }
  if (!endpoint.empty() && !endpoint.starts_with("http://") && !endpoint.starts_with("https://")) {
    defect = "AWS_ENDPOINT_URL is neither http:// nor https://";
    return false;
  }
  if (endpoint.empty() && bucket.find('.') == std::string::npos) {
    address.url = fmt::format("https://{}.s3.{}.amazonaws.com", bucket, region);
  } else if (endpoint.empty()) {
    // The certificate for *.s3.REGION.amazonaws.com does not cover bucket names that contain a dot.
    address.url = fmt::format("https://s3.{}.amazonaws.com/{}", region, bucket);
  } else {
    address.url = endpoint + '/' + bucket;
  }
  address.url += percent_encoded(prefix);
  address.signing = fmt::format("aws:amz:{}:s3", region);
  return true;
}

}  // namespace kerncast::cache
