#include "cache/remote/server/s3_list_url.hpp"

#include <fmt/format.h>

#include "cache/remote/address/percent_encoded.hpp"

namespace kerncast::cache {

std::string s3_list_url(const S3Address& address, std::string_view prefix, std::string_view place) {
  // The signature needs the parameters in the order of their names.
  const std::string token =
      place.empty() ? std::string() : fmt::format("continuation-token={}&", percent_encoded(place, "-_.~"));
  return fmt::format("{}?{}list-type=2&max-keys=1000&prefix={}", address.bucket_url, token,
                     percent_encoded(address.prefix + std::string(prefix), "-_.~"));
}

}  // namespace kerncast::cache
