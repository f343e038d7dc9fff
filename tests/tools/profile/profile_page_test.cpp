#include "tools/profile/profile_page.hpp"

#include <catch2/catch.hpp>
#include <cstddef>
#include <regex>

#include "tests/tools/profile/hand_made_launch.hpp"

namespace {

using namespace kerncast::tools;

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) {
    ++found;
  }
  return found;
}

/// Checks that the tags of `page` are properly nested.
bool well_nested(const std::string& page) {
  static const std::regex tag("<(/?)([a-z][a-z0-9]*)[^>]*>");
  std::vector<std::string> open;
  for (std::sregex_iterator at(page.begin(), page.end(), tag); at != std::sregex_iterator(); ++at) {
    const std::string name = (*at)[2];
    if (name == "meta") {
      continue;
    }
    if ((*at)[1].length() == 0) {
      open.push_back(name);
    } else if (open.empty() || open.back() != name) {
      return false;
    } else {
      open.pop_back();
    }
  }
  return open.empty();
}

TEST_CASE(
    "the page has the estimate of a dependent launch beside that of one alone, on devices that have it") {
  const ProfileReport report = hand_made_report();
  const std::string page = profile_page({report});
  std::size_t dependent = 0;
  for (const auto& estimate : report.estimates) {
    const bool has = estimate.fits && estimate.dependent_us < estimate.total_us;
    CAPTURE(estimate.device->name);
    CHECK(has == (estimate.device->sm >= 90));
    dependent += has ? 1 : 0;
    if (has) {
      CHECK_THAT(page, Catch::Contains(microseconds(estimate.total_us) + " µs (" +
                                       microseconds(estimate.dependent_us) + " µs as a dependent launch)"));
    }
  }
  REQUIRE(dependent > 0);
  // The page's own device stands in its header too.
  CHECK(count(page, "as a dependent launch") == dependent + 1);
}

TEST_CASE("the page says what was profiled and shows every chart") {
  const std::string page = profile_page({hand_made_report()});
  for (const char* part :
       {"<!DOCTYPE html>", "<title>Profile of quant.toy</title>", "quant.toy", "hidden=64", "1,280 rows",
        "NVIDIA H100 SXM, 80 GB", "in the model: mlp", "Estimate: <strong>",
        "limited by <strong>launch overhead", "Warp instructions by class", "sectors of 32 bytes",
        "wavefronts", "Estimated time by device", "By factor", "not a measurement", "Heat map by source line",
        "prefers-color-scheme: dark", "width=device-width"}) {
    INFO(part);
    CHECK_THAT(page, Catch::Contains(part));
  }
  CHECK(well_nested(page));
  // The bar of the most frequent class fills its track, and the next is in proportion. Loads moved four times
  // the least.
  CHECK_THAT(page, Catch::Contains("<span>float</span><span class=\"track\" aria-hidden=\"true\"><span "
                                   "class=\"bar\" style=\"width:100.00%\">"));
  CHECK_THAT(page, Catch::Contains("<span>store</span><span class=\"track\" aria-hidden=\"true\"><span "
                                   "class=\"bar\" style=\"width:60.00%\">"));
  CHECK_THAT(page,
             Catch::Contains("<span class=\"bar\" style=\"width:100.00%\"></span><span class=\"bar least\" "
                             "style=\"width:25.00%\"></span></span><span class=\"value\">640 / 160 = 4.000"));
  CHECK_THAT(page, Catch::Contains("120 / 80 = 1.500"));
  for (const kerncast::devices::DeviceDescription& device : kerncast::devices::device_descriptions()) {
    CHECK_THAT(page, Catch::Contains(device.title));
  }
  CHECK(count(page, "class=\"bar limit\"") == kerncast::devices::device_descriptions().size());
}

TEST_CASE("the page loads nothing and runs nothing") {
  const std::string page = profile_page({hand_made_report(), hand_made_report("b200")});
  for (const char* part :
       {"http", "<script", "<link", "<img", "src=", "href=", "url(", "@import", "javascript"}) {
    INFO(part);
    CHECK(count(page, part) == 0);
  }
  CHECK(count(page, "<article>") == 2);
  CHECK(well_nested(page));
  CHECK(profile_page({hand_made_report()}) == profile_page({hand_made_report()}));
}

TEST_CASE("text of kernels and settings is escaped") {
  ProfileReport report = hand_made_report();
  report.profile.report.spec = "x=<script>alert('\"&\"')</script>";
  report.label = "<b>";
  report.profile.verdict.ok = false;
  report.profile.verdict.detail = "<i>";
  report.profile.launch.instructions[0].unit = "<u>";
  report.profile.launch.instructions[1].source_file = "<s>.cuh";
  const std::string page = profile_page({report});
  for (const char* part : {"<script", "<b>", "<i>", "<u>", "<s>"}) {
    INFO(part);
    CHECK(count(page, part) == 0);
  }
  CHECK_THAT(page, Catch::Contains("x=&lt;script&gt;alert(&#39;&quot;&amp;&quot;&#39;)&lt;/script&gt;"));
  CHECK_THAT(page, Catch::Contains("float x = in[i] &lt; 1;"));
  CHECK(well_nested(page));
}

TEST_CASE("the heat map has the lines that ran, their neighbours, and their shares") {
  const std::string page = profile_page({hand_made_report()});
  // Line 5 has 80 of 560 warp instructions, and line 7 has 240. Of 960 sectors, line 5 has 640, the most of
  // all lines. Of 120 wavefronts, line 5 has 40 and line 7 has 80.
  CHECK_THAT(page, Catch::Contains("<tr><td>5</td>"
                                   "<td style=\"--heat:0.333\" title=\"14.3 % of the launch\">80</td>"
                                   "<td style=\"--heat:1.000\" title=\"66.7 % of the launch\">640</td>"
                                   "<td style=\"--heat:0.500\" title=\"33.3 % of the launch\">40</td>"
                                   "<td class=\"code\">float x = in[i] &lt; 1;</td></tr>"));
  CHECK_THAT(page, Catch::Contains("<tr class=\"idle\"><td>3</td>") &&
                       Catch::Contains("<tr class=\"idle\"><td>11</td>"));
  CHECK(count(page, "<td>2</td>") == 0);
  CHECK(count(page, "<td>12</td>") == 0);
  // Instructions without line info are listed under PTX.
  CHECK_THAT(page, Catch::Contains("<summary>PTX"));
}

TEST_CASE("without line info the heat map is of the PTX") {
  ProfileReport report = hand_made_report();
  for (ProfiledInstruction& instruction : report.profile.launch.instructions) {
    instruction.source_line = 0;
    instruction.source_file.clear();
  }
  report.profile.launch.instructions[0].ptx_line = 2;
  const std::string page = profile_page({report});
  CHECK_THAT(page, Catch::Contains("Heat map by PTX line"));
  CHECK_THAT(page, Catch::Contains("<td class=\"code\">two</td>"));
  CHECK(well_nested(page));
}

}  // namespace
