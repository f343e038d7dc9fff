#include <catch2/catch.hpp>
#include <set>

#include "tests/tools/commands/command_process.hpp"

namespace {

using nlohmann::json;

TEST_CASE("inspect shows source, PTX, resources and the key's fields") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const std::vector<std::string> inspect = {"inspect",    "norm.rms_norm", "--set",
                                            "hidden=256", "--arch",        "sm_90a"};
  const auto with = [&](const char* flag) {
    std::vector<std::string> words = inspect;
    words.emplace_back(flag);
    return place.run(words);
  };
  const json report = with("--json").json();
  CHECK(report.at("arch") == "sm_90a");
  CHECK(report.at("registers").get<int>() > 0);
  CHECK(report.at("cubin_bytes").get<int>() > 0);
  CHECK_THAT(report.at("source").get<std::string>(), Catch::Contains("hidden = 256"));
  CHECK_THAT(report.at("ptx").get<std::string>(), Catch::Contains(".target sm_90a"));
  std::set<std::string> labels;
  for (const json& field : report.at("key_fields")) {
    labels.insert(field.at("label"));
    CHECK((field.contains("value") || field.contains("digest")));
  }
  CHECK(labels.count("arch") == 1);
  CHECK(labels.count("source") == 1);
  CHECK(with("--source").out == report.at("source").get<std::string>());
  CHECK(with("--ptx").out == report.at("ptx").get<std::string>());
  const Outcome text = place.run(inspect);
  CHECK_THAT(text.out, Catch::Contains("registers") && Catch::Contains("spills") &&
                           Catch::Contains(report.at("key").get<std::string>()));
  // Inspecting does not change the cache.
  CHECK(place.run({"cache", "stat", "--json"}).json().at("entries") == 0);
}

TEST_CASE("texts of inspect are told apart, and an extracted cubin does not hide what else is asked for") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const auto inspect = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"inspect", "norm.rms_norm", "--set", "hidden=64"});
    return place.run(more);
  };
  const std::string source = inspect({"--source"}).out;
  const std::string ptx = inspect({"--ptx"}).out;
  CHECK(inspect({"--source", "--ptx"}).out ==
        "// ======== source ========\n" + source + "// ======== PTX ========\n" + ptx);
  CHECK(inspect({"--extract", "a.cubin", "--ptx"}).out == ptx);
  CHECK(inspect({"--extract", "b.cubin", "--json"}).json().at("ptx") == ptx);
  CHECK(place.directory.read("a.cubin") == place.directory.read("b.cubin"));
  CHECK(inspect({"--extract", "c.cubin"}).out.empty());
}

TEST_CASE("an architecture beyond the compiler is answered with those it knows") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const json known = place.run({"doctor", "--json"}).json().at("nvrtc").at("archs");
  REQUIRE_FALSE(known.empty());
  const Outcome outcome =
      place.run({"warm", "norm.rms_norm", "--set", "hidden=64", "--arch", "sm_999", "--rows", "1"});
  CHECK(outcome.code == 2);
  CHECK_THAT(outcome.err, Catch::Contains("does not compile for sm_999"));
  for (const json& arch : known) {
    CHECK_THAT(outcome.err, Catch::Contains("sm_" + std::to_string(arch.get<int>())));
  }
}

TEST_CASE("every architecture that the compiler knows is compiled for") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  std::string archs;
  std::size_t count = 0;
  const json known = place.run({"doctor", "--json"}).json().at("nvrtc").at("archs");
  for (const json& arch : known) {
    const int sm = arch.get<int>();
    if (sm >= 75) {
      archs += (count++ == 0 ? "sm_" : ",sm_") + std::to_string(sm) + (sm >= 90 ? "a" : "");
    }
  }
  const Outcome outcome = place.run({"warm", "quant.per_token_group", "--set", "hidden=128",
                                     "scale_format=ue8m0", "--arch", archs, "--rows", "1", "--json"});
  INFO(archs << ": " << outcome.err);
  CHECK(outcome.code == 0);
  CHECK(count > 0);
  CHECK(outcome.events("kernel").size() == count);
}

}  // namespace
