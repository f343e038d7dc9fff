#include "cache/quarantine.hpp"

#include <catch2/catch.hpp>
#include <fstream>

#include "cache/posix/file.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;
namespace fs = std::filesystem;

namespace {

struct Fixture {
  Fixture()
      : entries(Folder::make(folder.path() + "/entries")), aside(Folder::make(folder.path() + "/aside")) {}

  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder.path() + "/" + name, std::ios::trunc) << bytes;
  }
  [[nodiscard]] std::optional<std::string> text(const std::string& name) const {
    return read_file(folder.path() + "/" + name);
  }

  TemporaryDirectory folder;
  Folder entries;
  Folder aside;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "the bad file is kept under its name") {
  write("entries/e", "bad");
  write("aside/kept", "an older one");
  const FileContent bad = entries.read("e", 100);
  CHECK(set_aside(entries, "e", bad.held, aside, "kept") == SetAside::moved);
  CHECK(!text("entries/e"));
  CHECK(text("aside/kept") == "bad");
}

TEST_CASE_METHOD(Fixture, "a file published meanwhile stays") {
  write("entries/e", "bad");
  const FileContent bad = entries.read("e", 100);
  REQUIRE(!entries.publish("e", "good"));
  CHECK(set_aside(entries, "e", bad.held, aside, "kept") == SetAside::replaced);
  CHECK(text("entries/e") == "good");
  CHECK(fs::is_empty(folder.path() + "/aside"));
}

TEST_CASE_METHOD(Fixture, "a file removed meanwhile is nobody's") {
  write("entries/e", "bad");
  const FileContent bad = entries.read("e", 100);
  fs::remove(folder.path() + "/entries/e");
  CHECK(set_aside(entries, "e", bad.held, aside, "kept") == SetAside::replaced);
}

TEST_CASE_METHOD(Fixture, "without a quarantine the bad file stays where it is") {
  write("entries/e", "bad");
  const FileContent bad = entries.read("e", 100);
  CHECK(set_aside(entries, "e", bad.held, Folder::open(folder.path() + "/none"), "kept") == SetAside::failed);
  CHECK(text("entries/e") == "bad");
}

TEST_CASE_METHOD(Fixture, "a name taken by what cannot be replaced is made longer") {
  fs::create_directories(folder.path() + "/aside/kept/inner");
  write("entries/e", "bad");
  const FileContent bad = entries.read("e", 100);
  CHECK(set_aside(entries, "e", bad.held, aside, "kept") == SetAside::moved);
  int files = 0;
  for (const auto& item : fs::directory_iterator(folder.path() + "/aside")) {
    if (item.is_regular_file()) {
      ++files;
      CHECK(item.path().filename().string().starts_with("kept-"));
      CHECK(item.path().extension() == ".kce");
    }
  }
  CHECK(files == 1);
}
