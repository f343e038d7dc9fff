#include "cache/directory/compiler_marks.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "cache/layout.hpp"
#include "cache/posix/descriptor.hpp"

namespace kerncast::cache {
namespace {

constexpr std::string_view unmarked = "unmarked";
// Far above the number of NVRTC releases. More names than that were not written by this library.
constexpr std::size_t most_marks = 1000;

bool is_version(std::string_view text) {
  return !text.empty() && text.size() < 32 &&
         text.find_first_not_of("0123456789.") == std::string_view::npos && text.front() != '.';
}

bool create(const Folder& folder, std::string_view name) {
  const Descriptor file(::openat(folder.fd(), std::string(name).c_str(),
                                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  return file.valid() || (errno == EEXIST && folder.kind(name) == FileKind::regular);
}

}  // namespace

std::string compiler_of(const Entry& entry) {
  const auto found = std::find_if(entry.key_fields.begin(), entry.key_fields.end(),
                                  [](const auto& field) { return field.first == "nvrtc"; });
  return found == entry.key_fields.end() ? std::string() : found->second;
}

bool mark_compiler(const Folder& root, std::string_view version) {
  if (!is_version(version)) {
    return root.valid() && create(root.make_child(layout::compilers), unmarked);
  }
  const bool first = !root.kind(layout::compilers);
  const bool older = first && root.kind(layout::entries);
  const Folder folder = root.make_child(layout::compilers);
  return folder.valid() && (!older || create(folder, unmarked)) && create(folder, version);
}

Compilers marked_compilers(const Folder& root) {
  const Folder folder = root.child(layout::compilers);
  if (!folder.valid()) {
    return root.kind(layout::entries) ? std::nullopt : Compilers(std::in_place);
  }
  Compilers versions(std::in_place);
  bool all = true;
  folder.for_each(most_marks, [&](const std::string& name) {
    all = all && name != unmarked;
    if (is_version(name)) {
      versions->push_back(name);
    }
  });
  return all && !versions->empty() ? versions : std::nullopt;
}

}  // namespace kerncast::cache
