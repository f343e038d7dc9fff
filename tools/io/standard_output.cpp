#include "tools/io/standard_output.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <string_view>
#include <system_error>

#include "kerncast/error.hpp"

namespace kerncast::tools {
namespace {

int reserved = STDOUT_FILENO;

}  // namespace

bool is_standard_output(const std::string& path) {
  constexpr std::string_view names[] = {"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"};
  return std::find(std::begin(names), std::end(names), path) != std::end(names);
}

void reserve_standard_output() {
  if (reserved != STDOUT_FILENO) {
    return;
  }
  const int kept = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (kept < 0 || ::dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
    throw Error(ErrorCode::io_error,
                fmt::format("cannot write to standard output: {}", std::generic_category().message(errno)));
  }
  reserved = kept;
}

int standard_output() {
  return reserved;
}

}  // namespace kerncast::tools
