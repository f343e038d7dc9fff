#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>

#include "cache/signature/public_key.hpp"
#include "cache/signature/signing_key.hpp"
#include "kerncast/error.hpp"
#include "tools/commands/command.hpp"
#include "tools/io/file.hpp"
#include "tools/io/output.hpp"
#include "tools/io/standard_output.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/warm/signing.hpp"

namespace kerncast::tools {
namespace {

struct KeyOptions {
  std::string file;
};

void show_public_key(const CommandContext& context, const std::string& file, const cache::SigningKey& key) {
  const std::string text = cache::format_public_key(key.public_key());
  if (context.json) {
    print_json({{"file", file}, {"public_key", text}});
  } else {
    print(text + "\n");
  }
}

int generate(CommandContext& context, const KeyOptions& options) {
  if (is_standard_output(options.file)) {
    throw UsageError(
        fmt::format("{} is standard output, and a secret key is kept in a file of its own; name a new file",
                    options.file));
  }
  const std::optional<cache::SigningKey> key = cache::SigningKey::generate();
  if (!key) {
    throw Error(ErrorCode::io_error, "the system gives no random numbers, so no key can be made");
  }
  const std::string text = key->file_text();
  AtomicOutput file(options.file, Nameless::if_offered, Publishing::new_secret);
  file.write(text.data(), text.size());
  file.commit();
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
