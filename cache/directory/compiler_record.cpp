#include "cache/directory/compiler_record.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "cache/directory/reaper.hpp"
#include "cache/key.hpp"
#include "cache/layout.hpp"
#include "cache/posix/folder.hpp"
#include "runtime/util/split.hpp"

namespace kerncast::cache {
namespace {

// Changes with the format, so that no build takes the record of another format for damage.
constexpr std::string_view record_schema = "kerncast-compiler-1";
// A path is shorter than 4096 bytes, and the other lines are far shorter.
constexpr std::uint64_t most_record_bytes = 8192;
constexpr std::size_t record_lines = 4;

std::string name_of(const std::string& search) {
  KeyFields fields;
  fields.add("schema", std::string(record_schema));
  fields.add("search", search);
  return fields.key().hex() + std::string(layout::compiler_record_suffix);
}

/// The digest of the record and of what it is a record of.
std::string digest(const std::string& search, const CompilerRecord& record) {
  KeyFields fields;
  fields.add("schema", std::string(record_schema));
  fields.add("search", search);
  fields.add("version", record.version);
  fields.add("library", record.library);
  fields.add("identity", record.identity);
  return fields.key().hex();
}

std::string text_of(const std::string& search, const CompilerRecord& record) {
  return fmt::format("{}\n{}\n{}\n{}\n", digest(search, record), record.version, record.library,
                     record.identity);
}

bool fits_in_a_line(const std::string& text) {
  return !text.empty() && text.find('\n') == std::string::npos;
}

Folder folder_of_records(Store& store) {
  const Folder root = store.root().empty() ? Folder() : store.open_root();
  return root.valid() ? trusted(root.child(layout::compiler_records), store.trust()) : Folder();
}

}  // namespace

std::optional<CompilerRecord> recall_compiler(Store& store, const std::string& search) {
  const Folder folder = folder_of_records(store);
  if (!folder.valid()) {
    return std::nullopt;
  }
  const FileContent content = folder.read(name_of(search), most_record_bytes);
  if (content.state != FileContent::State::read || !reason_not_trusted(content.info, store.trust()).empty()) {
    return std::nullopt;
  }
  const std::vector<std::string> parts = split(content.bytes, '\n');
  if (parts.size() < record_lines) {
    return std::nullopt;
  }
  CompilerRecord record{parts[1], parts[2], parts[3]};
  return content.bytes == text_of(search, record) ? std::optional(std::move(record)) : std::nullopt;
}

bool record_compiler(Store& store, const std::string& search, const CompilerRecord& record) {
  if (!fits_in_a_line(record.version) || !fits_in_a_line(record.identity) ||
      !fits_in_a_line(record.library) || record.library.front() != '/') {
    return false;
  }
  if (recall_compiler(store, search) == record) {
    return true;
  }
  const Folder root = store.root().empty() ? Folder() : store.open_root();
  const Folder folder =
      root.valid() ? trusted(root.make_child(layout::compiler_records), store.trust()) : Folder();
  const std::string name = name_of(search);
  if (!folder.valid() || folder.publish(name, text_of(search, record))) {
    return false;
  }
  reap_temporaries(folder, abandoned_after, reaped_names);
  reap_surplus(folder, layout::compiler_record_suffix, name);
  return true;
}

}  // namespace kerncast::cache
