#pragma once

#include <sys/wait.h>
#include <unistd.h>

/// Forks and runs `work` in the child, whose result becomes the exit code. SIGALRM ends the child after
/// `seconds`. exit_code() gives the exit code, or 128 plus the number of the signal that ended the child.
template <class Work>
pid_t start_child(Work&& work, unsigned seconds = 120) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(seconds);
    _exit(work());
  }
  return child;
}

inline int exit_code(pid_t child) {
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

template <class Work>
int run_child(Work&& work, unsigned seconds = 120) {
  return exit_code(start_child(work, seconds));
}
