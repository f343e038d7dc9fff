// Files of keys and passwords: which are read, and that a message holds no part of them.
#include "cache/posix/secret_file.hpp"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>

#include "tests/temporary_directory.hpp"

using namespace kerncast::cache;
using Catch::Matchers::Contains;

namespace {

std::string defect_of(const std::string& path, const Trust& trust = Trust::mine) {
  const SecretFile file(path, trust);
  CHECK(file.text().empty() != file.defect().empty());
  CHECK_THAT(file.defect(), !Contains("hunter2"));
  return file.defect();
}

}  // namespace

TEST_CASE("a secret is read from a regular file of its owner alone") {
  const TemporaryDirectory folder;
  const std::string path = folder.write("secret", "hunter2\n");
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
  CHECK(SecretFile(path, Trust::mine).text() == "hunter2\n");
  for (const mode_t mode : {0640U, 0604U, 0610U, 0622U}) {
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    CHECK_THAT(defect_of(path), Contains("others may"));
    CHECK(defect_of(path, Trust::everyone).empty());
  }
  REQUIRE(::chmod(path.c_str(), 0400) == 0);
  CHECK(defect_of(path).empty());
  CHECK_THAT(defect_of(folder.path()), Contains("not a regular file"));
  CHECK_THAT(defect_of(folder.file("absent")), Contains("No such file"));
  const std::string pipe = folder.file("pipe");
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THAT(defect_of(pipe), Contains("not a regular file"));
}

TEST_CASE("a secret that others could exchange, or that is too large, is not read") {
  const TemporaryDirectory folder;
  std::filesystem::create_directory(folder.file("open"));
  const std::string path = folder.write("open/secret", "hunter2");
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
  REQUIRE(::chmod(folder.file("open").c_str(), 0777) == 0);
  CHECK_THAT(defect_of(path), Contains("others may write to " + folder.file("open")));
  CHECK(defect_of(path, Trust::everyone).empty());

  const std::string large = folder.write("large", std::string(SecretFile::most_bytes, 'x'));
  REQUIRE(::chmod(large.c_str(), 0600) == 0);
  CHECK(SecretFile(large, Trust::mine).text().size() == SecretFile::most_bytes);
  std::filesystem::resize_file(large, SecretFile::most_bytes + 1);
  CHECK_THAT(defect_of(large), Contains("larger than 1 MiB"));
}
