#include "cache/remote/server/s3_address.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "cache/remote/address/characters.hpp"
#include "cache/remote/address/percent_encoded.hpp"
#include "cache/remote/address/remote_address.hpp"
#include "cache/remote/address/remote_credentials.hpp"
#include "runtime/util/environment.hpp"

namespace kerncast::cache {
namespace {

bool is_host_part(const std::string& text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_lower_or_digit(c) || c == '-'; });
}

/// The keys of the environment, else those of the file of credentials.
bool find_keys(const RemoteOptions& options, S3Address& address, std::string& defect) {
  address.access_key = environment("AWS_ACCESS_KEY_ID");
  address.secret_key = environment("AWS_SECRET_ACCESS_KEY");
  address.session_token = environment("AWS_SESSION_TOKEN");
  if (address.access_key.empty() && address.secret_key.empty() && !options.credentials_file.empty()) {
    FoundCredentials found =
        find_credentials(options.credentials_file, options.credentials_trust, options.address);
    if (!found.credentials) {
      defect = std::move(found.defect);
      return false;
    }
    address.access_key = std::move(found.credentials->user);
    address.secret_key = std::move(found.credentials->password);
    address.session_token.clear();
  }
  if (address.access_key.empty() || address.secret_key.empty()) {
    defect =
        options.credentials_file.empty()
            ? "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set"
            : "neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY nor the credentials file give both keys";
    return false;
  }
  return true;
}

}  // namespace

bool find_s3_address(const RemoteOptions& options, S3Address& address, std::string& defect) {
  const std::string& bucket = options.address.host();
  std::string prefix = options.address.path();
  while (prefix.ends_with('/')) {
    prefix.pop_back();
  }
  if (!find_keys(options, address, defect)) {
    return false;
  }
  std::string region = environment("AWS_REGION");
  region = region.empty() ? environment("AWS_DEFAULT_REGION") : region;
  region = region.empty() ? "us-east-1" : region;
  if (!is_host_part(region)) {
    defect = "AWS_REGION is not a region";
    return false;
  }
  const RemoteAddress server(environment("AWS_ENDPOINT_URL"));
  const bool over_http = server.scheme() == RemoteScheme::http || server.scheme() == RemoteScheme::https;
  if (!server.defect().empty() || !over_http) {
    defect = "AWS_ENDPOINT_URL is neither http://host nor https://host";
    return false;
  }
  if (!server.credentials().user.empty() || !server.credentials().password.empty() ||
      !server.query().empty()) {
    defect = "AWS_ENDPOINT_URL has a user, a password or a query, which requests to S3 do not have";
    return false;
  }
  std::string endpoint;
  if (!server.empty()) {
    endpoint = fmt::format("{}://{}{}", server.scheme() == RemoteScheme::http ? "http" : "https",
                           server.authority(), server.path());
  }
  while (endpoint.ends_with('/')) {
    endpoint.pop_back();
  }
  if (endpoint.empty() && bucket.find('.') == std::string::npos) {
    address.url = fmt::format("https://{}.s3.{}.amazonaws.com", bucket, region);
  } else if (endpoint.empty()) {
    // The certificate for *.s3.REGION.amazonaws.com does not cover bucket names that contain a dot.
    address.url = fmt::format("https://s3.{}.amazonaws.com/{}", region, bucket);
  } else {
    address.url = endpoint + '/' + bucket;
  }
  address.bucket_url = address.url;
  address.prefix = prefix.empty() ? std::string() : prefix.substr(1) + '/';
  address.url += percent_encoded(prefix, "/-_.~");
  address.signing = fmt::format("aws:amz:{}:s3", region);
  return true;
}

}  // namespace kerncast::cache
