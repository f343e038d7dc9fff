#pragma once

#include <string>

namespace kerncast::cache {

/// Where the objects of "s3://bucket/prefix" are, and with what requests for them are signed.
struct S3Address {
  std::string url;      ///< of the prefix, percent-encoded
  std::string signing;  ///< "aws:amz:REGION:s3", as CURLOPT_AWS_SIGV4 takes it
  std::string access_key;
  std::string secret_key;
  std::string session_token;  ///< empty: none
};

/// Takes `url` apart with what the environment says: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
/// AWS_SESSION_TOKEN, AWS_REGION (else AWS_DEFAULT_REGION, else us-east-1), and AWS_ENDPOINT_URL for a server
/// other than Amazon's, whose buckets are the first part of the path. False with `defect` where something is
/// missing or malformed.
[[nodiscard]] bool parse_s3_url(const std::string& url, S3Address& address, std::string& defect);

}  // namespace kerncast::cache
