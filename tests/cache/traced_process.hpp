#pragma once

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <iterator>

/// The harm to a traced child: at its `at`-th stop. There is one stop before and one after each system
/// call.
struct Harm {
  int at = 0;
  int error = 0;  ///< 0: the child is killed there; else the call that begins there fails with this errno
};

struct TracedOutcome {
  bool traced = true;    ///< false if this machine does not permit tracing
  bool reached = false;  ///< false if the child ended before the stop
  int code = -1;         ///< exit code, or 128 and more for the signal that ended it
};

#if defined(__x86_64__)

/// True for calls that may concern files. Making the others fail would test the C library.
inline bool is_about_files(long call) {
  constexpr long others[] = {SYS_mmap,           SYS_munmap,    SYS_brk,           SYS_mprotect,
                             SYS_exit_group,     SYS_getpid,    SYS_geteuid,       SYS_clock_gettime,
                             SYS_futex,          SYS_getrandom, SYS_rt_sigpending, SYS_rt_sigtimedwait,
                             SYS_rt_sigprocmask, SYS_madvise,   SYS_sigaltstack};
  return std::find(std::begin(others), std::end(others), call) == std::end(others);
}

/// Runs `work` in a child, whose result becomes the exit code, and does `harm` to it.
template <class Work>
TracedOutcome run_traced(Work&& work, const Harm& harm) {
  TracedOutcome out;
  const pid_t child = fork();
  if (child == 0) {
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) {
      _exit(126);
    }
    raise(SIGSTOP);
    _exit(work());
  }
  int status = 0;
  waitpid(child, &status, 0);
  out.traced = WIFSTOPPED(status) &&
               ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) == 0;
  int signal = 0;
  bool fail = false;
  for (int stop = 0; out.traced; ++stop) {
    if (ptrace(PTRACE_SYSCALL, child, nullptr, signal) != 0 || waitpid(child, &status, 0) != child ||
        !WIFSTOPPED(status)) {
      break;
    }
    signal = 0;
    if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
      signal = WSTOPSIG(status);
      --stop;
      continue;
    }
    user_regs_struct registers{};
    ptrace(PTRACE_GETREGS, child, nullptr, &registers);
    if (stop == harm.at) {
      out.reached = true;
      if (harm.error == 0) {
        break;
      }
      fail = stop % 2 == 0 && is_about_files(static_cast<long>(registers.orig_rax));
      if (fail) {
        // There is no such call, so the kernel does nothing.
        registers.orig_rax = ~0ULL;
        ptrace(PTRACE_SETREGS, child, nullptr, &registers);
      }
    } else if (fail) {
      fail = false;
      registers.rax = static_cast<unsigned long long>(-static_cast<long long>(harm.error));
      ptrace(PTRACE_SETREGS, child, nullptr, &registers);
    }
  }
  while (WIFSTOPPED(status)) {
    kill(child, SIGKILL);
    if (waitpid(child, &status, 0) != child) {
      break;
    }
  }
  out.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return out;
}

#else

template <class Work>
TracedOutcome run_traced(Work&&, const Harm&) {
  TracedOutcome out;
  out.traced = false;
  return out;
}

#endif
