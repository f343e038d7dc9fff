// The answers of ListObjectsV2 are read strictly.
#include <catch2/catch.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/remote/server/s3_list_page.hpp"

using namespace kerncast::cache;

namespace {

const std::string sound =
    "\xEF\xBB\xBF<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>bucket</Name><Prefix/>"
    "<KeyCount>2</KeyCount><IsTruncated>true</IsTruncated>\n"
    "  <Contents><Key>a&amp;b&lt;&gt;&quot;&apos;&#65;&#x42;&#xE9;&#x20AC;&#x1F600;</Key><Size>5</Size>"
    "<Owner note=\"a > b\"><ID>x</ID></Owner></Contents>"
    "<Contents><ETag>&quot;x&quot;</ETag><Key>second</Key></Contents>"
    "<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>"
    "<NextContinuationToken>1ue/+=&amp;</NextContinuationToken ></ListBucketResult>\n";

std::string page(const std::string& inside) {
  return "<ListBucketResult><IsTruncated>false</IsTruncated>" + inside + "</ListBucketResult>";
}

bool is_refused(const std::string& xml) {
  std::string defect;
  const bool refused = !parse_s3_list_page(xml, defect);
  CHECK(refused != defect.empty());
  return refused;
}

}  // namespace

TEST_CASE("keys and the token of the next page are read, with their entities") {
  std::string defect;
  const auto listed = parse_s3_list_page(sound, defect);
  INFO(defect);
  REQUIRE(listed);
  CHECK(listed->keys == std::vector<std::string>{"a&b<>\"'AB\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "second"});
  CHECK(listed->next == "1ue/+=&");
  const auto last = parse_s3_list_page(page("<NextContinuationToken>x</NextContinuationToken>"), defect);
  REQUIRE(last);
  CHECK(last->keys.empty());
  CHECK(last->next.empty());
}

TEST_CASE("no beginning of a page is a page") {
  for (std::size_t i = 0; i + 1 < sound.size(); ++i) {
    INFO(i);
    CHECK(is_refused(sound.substr(0, i)));
  }
}

TEST_CASE("what is no page is refused") {
  const std::string many = [] {
    std::string out;
    for (int i = 0; i < 10'001; ++i) {
      out += "<Contents><Key>k</Key></Contents>";
    }
    return out;
  }();
  const std::string bad[] = {"",
                             "text",
                             "<Error><Code>NoSuchBucket</Code></Error>",
                             "<!DOCTYPE x [<!ENTITY a \"b\">]>" + page(""),
                             page("<!-- note -->"),
                             page("<![CDATA[x]]>"),
                             page("<?php ?>"),
                             page("<Contents><Key>&a;</Key></Contents>"),
                             page("<Contents><Key>&#0;</Key></Contents>"),
                             page("<Contents><Key>&#xD800;</Key></Contents>"),
                             page("<Contents><Key>&#x110000;</Key></Contents>"),
                             page("<Contents><Key>&#99999999999;</Key></Contents>"),
                             page("<Contents><Key>&#;</Key></Contents>"),
                             page("<Contents><Key>&amp</Key></Contents>"),
                             page("<Contents><Key>a<b/>c</Key></Contents>"),
                             page("<Contents><Key>a</Contents></Key>"),
                             page("<Contents><Key>" + std::string(5000, 'k') + "</Key></Contents>"),
                             page("<a><b><c><d><e><f><g><h/></g></f></e></d></c></b></a>"),
                             page("<IsTruncated>false</IsTruncated>"),
                             page(many),
                             page("") + page(""),
                             page("") + "text",
                             "<ListBucketResult></ListBucketResult>",
                             "<ListBucketResult/>",
                             "<ListBucketResult><IsTruncated>perhaps</IsTruncated></ListBucketResult>",
                             "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"};
  for (const std::string& xml : bad) {
    INFO(xml.substr(0, 200));
    CHECK(is_refused(xml));
  }
}
