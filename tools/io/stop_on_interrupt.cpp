#include "tools/io/stop_on_interrupt.hpp"

#include <cstddef>
#include <iterator>

namespace kerncast::tools {
namespace {

constexpr int signals[] = {SIGINT, SIGTERM, SIGHUP};
std::atomic<bool> interrupted{false};

}  // namespace

StopOnInterrupt::StopOnInterrupt() {
  interrupted.store(false);
  struct sigaction action{};
  action.sa_handler = [](int) { interrupted.store(true); };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (std::size_t i = 0; i < std::size(signals); ++i) {
    sigaction(signals[i], nullptr, &before_[i]);
    // After nohup the end of the terminal stops nothing.
    if (signals[i] != SIGHUP || before_[i].sa_handler != SIG_IGN) {
      sigaction(signals[i], &action, nullptr);
    }
  }
}

StopOnInterrupt::~StopOnInterrupt() {
  for (std::size_t i = 0; i < std::size(signals); ++i) {
    sigaction(signals[i], &before_[i], nullptr);
  }
}

const std::atomic<bool>& StopOnInterrupt::requested() {
  return interrupted;
}

}  // namespace kerncast::tools
