#include "runtime/dispatch/observe/request_recorder.hpp"

#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <kerncast/ops/norm/rms_norm.hpp>
#include "tests/cache/child_process.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast;

namespace {

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    lines.push_back(line);
  }
  return lines;
}

Specialisation rms_norm_of(const std::string& hidden) {
  return specialise(definition_of<norm::RmsNorm>(), {{"hidden", hidden}});
}

}  // namespace

TEST_CASE("each requested kernel is one line for all row counts of a bucket") {
  const TemporaryDirectory folder;
  const std::string path = folder.path() + "/record";
  std::vector<std::string> warnings;
  RequestRecorder recorder(path, [&](std::string_view text) { warnings.emplace_back(text); });
  const OpDefinition& op = definition_of<norm::RmsNorm>();
  recorder.note(op, rms_norm_of("64"), "sm_90a", 132, 17);
  recorder.note(op, rms_norm_of("64"), "sm_90a", 132, 32);
  recorder.note(op, rms_norm_of("64"), "sm_90a", 132, 33);
  recorder.note(op, rms_norm_of("64"), "sm_90a", 114, 17);
  recorder.note(op, rms_norm_of("128"), "sm_80", 108, 1);
  CHECK(lines_of(path) ==
        std::vector<std::string>{
            R"({"op": "norm.rms_norm", "set": "hidden=64", "arch": "sm_90a", "sms": 132, "rows": 17})",
            R"({"op": "norm.rms_norm", "set": "hidden=64", "arch": "sm_90a", "sms": 132, "rows": 33})",
            R"({"op": "norm.rms_norm", "set": "hidden=64", "arch": "sm_90a", "sms": 114, "rows": 17})",
            R"({"op": "norm.rms_norm", "set": "hidden=128", "arch": "sm_80", "sms": 108, "rows": 1})"});
  CHECK(warnings.empty());
}

TEST_CASE("many processes append to one file, and every line is whole") {
  const TemporaryDirectory folder;
  const std::string path = folder.path() + "/record";
  constexpr int processes = 8;
  constexpr int kernels = 50;
  std::vector<pid_t> children;
  for (int process = 0; process < processes; ++process) {
    children.push_back(start_child([&] {
      RequestRecorder recorder(path, [](std::string_view) {});
      for (int i = 1; i <= kernels; ++i) {
        recorder.note(definition_of<norm::RmsNorm>(), rms_norm_of(std::to_string(8 * i)), "sm_90a", 132,
                      process + 1);
      }
      return 0;
    }));
  }
  for (const pid_t child : children) {
    CHECK(exit_code(child) == 0);
  }
  const std::vector<std::string> lines = lines_of(path);
  CHECK(lines.size() == std::size_t{processes} * kernels);
  CHECK(std::all_of(lines.begin(), lines.end(), [](const std::string& line) {
    return line.starts_with("{\"op\": \"norm.rms_norm\", ") && line.ends_with('}') &&
           std::count(line.begin(), line.end(), '{') == 1;
  }));
}

TEST_CASE("a file that cannot be written is one warning, and no path is no record") {
  std::vector<std::string> warnings;
  const auto warn = [&](std::string_view text) { warnings.emplace_back(text); };
  RequestRecorder nowhere("", warn);
  nowhere.note(definition_of<norm::RmsNorm>(), rms_norm_of("64"), "sm_90a", 132, 1);
  CHECK(warnings.empty());
  RequestRecorder recorder("/proc/no/such/place", warn);
  recorder.note(definition_of<norm::RmsNorm>(), rms_norm_of("64"), "sm_90a", 132, 1);
  recorder.note(definition_of<norm::RmsNorm>(), rms_norm_of("128"), "sm_90a", 132, 1);
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Catch::Contains("/proc/no/such/place") && Catch::Contains("No such file"));
}

TEST_CASE("a host's op of any name is recorded as JSON") {
  const TemporaryDirectory folder;
  const std::string path = folder.path() + "/record";
  OpDefinition op;
  op.name = "my \"own\"\\\n";
  RequestRecorder recorder(path, [](std::string_view) {});
  recorder.note(op, {}, "sm_90a", 132, 1);
  CHECK(lines_of(path) ==
        std::vector<std::string>{
            R"({"op": "my \"own\"\\\u000a", "set": "", "arch": "sm_90a", "sms": 132, "rows": 1})"});
}

TEST_CASE("requests are recorded through a link of this user's, and of nobody else's") {
  const TemporaryDirectory folder;
  const std::string link = folder.path() + "/link";
  std::filesystem::create_symlink("record", link);
  const OpDefinition& op = definition_of<norm::RmsNorm>();
  std::vector<std::string> warnings;
  const auto record = [&] {
    RequestRecorder recorder(link, [&](std::string_view text) { warnings.emplace_back(text); });
    recorder.note(op, rms_norm_of("64"), "sm_90a", 132, 17);
  };
  record();
  CHECK(lines_of(folder.path() + "/record").size() == 1);
  CHECK(warnings.empty());
  if (::lchown(link.c_str(), 4321, static_cast<gid_t>(-1)) != 0) {
    WARN("skipped: only root can give a link away");
    return;
  }
  record();
  CHECK(lines_of(folder.path() + "/record").size() == 1);
  CHECK(warnings.size() == 1);
}
