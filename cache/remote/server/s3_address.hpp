#pragma once

#include <string>

#include "cache/remote/server/remote_server.hpp"

namespace kerncast::cache {

/// URL of the objects of "s3://bucket/prefix", and the credentials that sign requests for them.
struct S3Address {
  std::string url;         ///< URL of the prefix, percent-encoded
  std::string bucket_url;  ///< URL of the bucket
  std::string prefix;      ///< what stands before the names of objects: empty, or ending with a slash
  std::string signing;     ///< "aws:amz:REGION:s3", as CURLOPT_AWS_SIGV4 takes it
  std::string access_key;
  std::string secret_key;
  std::string session_token;  ///< empty: none
};

/// Derives the address from that of the options and the environment: AWS_ACCESS_KEY_ID,
/// AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION (else AWS_DEFAULT_REGION, else us-east-1), and
/// AWS_ENDPOINT_URL for a server that is not Amazon's. On such a server the bucket is the first part of the
/// path. Without keys in the environment, those of the credentials file are taken. False, with the reason in
/// `defect`, if something is missing or malformed.
[[nodiscard]] bool find_s3_address(const RemoteOptions& options, S3Address& address, std::string& defect);

}  // namespace kerncast::cache
