#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

#include "cache/posix/descriptor.hpp"
#include "cache/signature/public_key.hpp"
#include "cache/signature/signing_key.hpp"
#include "kerncast/error.hpp"
#include "tools/commands/command.hpp"
#include "tools/io/output.hpp"
#include "tools/warm/signing.hpp"

namespace kerncast::tools {
namespace {

struct KeyOptions {
  std::string file;
};

/// Writes `text` to a new file that this user alone may read. Throws Error(io_error).
void write_secret(const std::string& path, const std::string& text) {
  const cache::Descriptor file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!file.valid()) {
    throw Error(ErrorCode::io_error, fmt::format("{} cannot be created: {}; a key is never overwritten", path,
                                                 std::generic_category().message(errno)));
  }
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      ::fsync(file.get()) != 0) {
    const int error = errno;
    ::unlink(path.c_str());
    throw Error(ErrorCode::io_error,
                fmt::format("{} cannot be written: {}", path, std::generic_category().message(error)));
  }
}

void show_public_key(const CommandContext& context, const std::string& file, const cache::SigningKey& key) {
  const std::string text = cache::format_public_key(key.public_key());
  if (context.json) {
    print_json({{"file", file}, {"public_key", text}});
  } else {
    print(text + "\n");
  }
}

int generate(CommandContext& context, const KeyOptions& options) {
  const std::optional<cache::SigningKey> key = cache::SigningKey::generate();
  if (!key) {
    throw Error(ErrorCode::io_error, "the system gives no random numbers, so no key can be made");
  }
  write_secret(options.file, key->file_text());
  show_public_key(context, options.file, *key);
  context.console.note(
      fmt::format("{} is secret: whoever has it can sign kernels. Name the public key in "
                  "KERNCAST_TRUSTED_KEYS where they are used",
                  options.file));
  return exit_fine;
}

int show(CommandContext& context, const KeyOptions& options) {
  show_public_key(context, options.file, read_signing_key(options.file));
  return exit_fine;
}

}  // namespace

void add_key_command(const Command& root, CommandContext& context) {
  const Command command = root.add("key", "Make and show the keys that sign compiled kernels");
  command.require_one();
  const auto add = [&](const char* name, const char* help, const char* file,
                       int (*work)(CommandContext&, const KeyOptions&)) {
    const Command sub = command.add(name, help);
    const auto options = std::make_shared<KeyOptions>();
    sub.option("file", options->file, file).required();
    sub.json_flag();
    sub.action([&context, options, work] { return work(context, *options); });
  };
  add("generate", "Make a key in a new file, and print its public key", "File to create", generate);
  add("show", "Print the public key of a key", "File of the key", show);
}

}  // namespace kerncast::tools
