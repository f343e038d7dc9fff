#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kerncast::cache {

/// A page of the keys of a bucket, as ListObjectsV2 answers.
struct S3ListPage {
  std::vector<std::string> keys;
  std::string next;  ///< the continuation token of the next page; empty if this is the last one
};

/// Reads the XML of a page. It takes what such answers consist of: elements with attributes, text with
/// entities, and a declaration at the beginning. Anything else is refused, such as a document type, and so is
/// a page with more keys than any server is asked for. Empty, with the reason in `defect`, if it is refused.
[[nodiscard]] std::optional<S3ListPage> parse_s3_list_page(std::string_view xml, std::string& defect);

}  // namespace kerncast::cache
