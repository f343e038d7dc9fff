#include "tools/commands/tune/in_child.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <system_error>

#include "kerncast/error.hpp"
#include "tools/io/output.hpp"
#include "tools/io/stop_on_interrupt.hpp"
#include "tools/io/usage_error.hpp"

namespace kerncast::tools {
namespace {

Error no_process(const std::string& subject, int cause) {
  return Error(
      ErrorCode::internal,
      fmt::format("no process can be started for {}: {}; tune for it in a command of its own, or when "
                  "the machine has fewer processes",
                  subject, std::generic_category().message(cause)));
}

/// Runs the work as a command does.
int run(CommandContext& context, const std::string& subject,
        const std::function<int(std::string& answer)>& work, std::string& answer) {
  try {
    return work(answer);
  } catch (const UsageError& error) {
    context.console.error(error.what());
    return exit_usage;
  } catch (const std::exception& error) {
    context.console.error(fmt::format("{}: {}", subject, error.what()));
    return exit_failed;
  }
}

void write_all(int file, const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t count = ::write(file, text.data() + done, text.size() - done);
    if (count < 0 && errno != EINTR) {
      return;
    }
    done += count > 0 ? static_cast<std::size_t>(count) : 0;
  }
}

/// Lets an interrupt of this process reach the child. Whoever stops this process may not know the child,
/// which keeps what it has done and ends by itself.
void pass_on(pid_t child) {
  if (StopOnInterrupt::requested().load()) {
    ::kill(child, SIGTERM);
  }
}

std::string read_all(int file, pid_t child) {
  std::string text;
  char buffer[4096];
  for (ssize_t count = 1; count != 0;) {
    count = ::read(file, buffer, sizeof buffer);
    if (count < 0 && errno != EINTR) {
      break;
    }
    if (count < 0) {
      pass_on(child);
    } else {
      text.append(buffer, static_cast<std::size_t>(count));
    }
  }
  return text;
}

}  // namespace

int in_child(CommandContext& context, const std::string& subject,
             const std::function<int(std::string& answer)>& work, std::string& answer) {
  static_cast<void>(flush_output());
  const StopOnInterrupt guard;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    throw no_process(subject, errno);
  }
  const pid_t child = ::fork();
  if (child < 0) {
    const int cause = errno;
    ::close(ends[0]);
    ::close(ends[1]);
    throw no_process(subject, cause);
  }
  if (child == 0) {
    ::close(ends[0]);
    const int code = run(context, subject, work, answer);
    static_cast<void>(flush_output());
    write_all(ends[1], answer);
    ::_exit(code);
  }
  ::close(ends[1]);
  answer = read_all(ends[0], child);
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    pass_on(child);
  }
  if (WIFEXITED(status)) {
    return WEXITSTATUS(status);
  }
  context.console.error(fmt::format(
      "the process for {} was ended by signal {} ({}); its trials are kept, and the same command goes on",
      subject, WTERMSIG(status), ::strsignal(WTERMSIG(status))));
  return exit_failed;
}

}  // namespace kerncast::tools
