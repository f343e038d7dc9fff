#include "tools/io/removed_on_signal.hpp"

#include <unistd.h>

#include <array>
#include <csignal>
#include <utility>

namespace kerncast::tools {
namespace {

std::array<std::atomic<const char*>, 8> doomed{};
static_assert(std::atomic<const char*>::is_always_lock_free);

/// Removes the files and ends the process as the signal would have done. Only calls that a handler may make.
void remove_all(int signal) {
  for (std::atomic<const char*>& path : doomed) {
    if (const char* const name = path.exchange(nullptr); name != nullptr) {
      ::unlink(name);
    }
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void install() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before{};
    if (::sigaction(signal, nullptr, &before) == 0 && before.sa_handler == SIG_DFL) {
      struct sigaction action{};
      action.sa_handler = remove_all;
      ::sigaction(signal, &action, nullptr);
    }
  }
}

}  // namespace

RemovedOnSignal::RemovedOnSignal(std::string path) : path_(std::move(path)) {
  install();
  for (std::atomic<const char*>& place : doomed) {
    const char* none = nullptr;
    if (place.compare_exchange_strong(none, path_.c_str())) {
      place_ = &place;
      return;
    }
  }
}

RemovedOnSignal::~RemovedOnSignal() {
  // A handler that has taken the name reads it, and then ends the process.
  while (place_ != nullptr && place_->exchange(nullptr) == nullptr) {
    ::pause();
  }
}

}  // namespace kerncast::tools
