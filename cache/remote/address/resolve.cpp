#include "cache/remote/address/resolve.hpp"

#include <netdb.h>
#include <sys/socket.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

namespace kerncast::cache {
namespace {

struct Answer {
  std::vector<std::string> addresses;
  std::string failure;
};

struct FreeAddresses {
  void operator()(addrinfo* addresses) const { ::freeaddrinfo(addresses); }
};

Answer ask_system(const std::string& host, int flags) {
  Answer answer;
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &found); error != 0) {
    answer.failure = ::gai_strerror(error);
    return answer;
  }
  const std::unique_ptr<addrinfo, FreeAddresses> all(found);
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    char text[NI_MAXHOST] = {};
    if (::getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof(text), nullptr, 0, NI_NUMERICHOST) == 0) {
      answer.addresses.emplace_back(text);
    }
  }
  return answer;
}

/// Outlives the caller if the resolver is slower than its deadline.
struct Question {
  std::mutex mutex;
  std::condition_variable answered;
  bool done = false;
  Answer answer;
};

/// Leaves the question open if memory runs out, since nothing may leave a thread.
void answer(const std::shared_ptr<Question>& question, const std::string& host) noexcept {
  try {
    Answer found = ask_system(host, AI_ADDRCONFIG);
    const std::lock_guard lock(question->mutex);
    question->answer = std::move(found);
    question->done = true;
  } catch (...) {
    return;
  }
  question->answered.notify_all();
}

}  // namespace

std::vector<std::string> resolve(const std::string& host, const Deadline& deadline, std::string& failure) {
  // A number needs no resolver, and so no thread.
  if (Answer number = ask_system(host, AI_NUMERICHOST); !number.addresses.empty()) {
    return number.addresses;
  }
  const auto question = std::make_shared<Question>();
  try {
    std::thread(answer, question, host).detach();
  } catch (const std::system_error& error) {
    failure = error.what();
    return {};
  }
  std::unique_lock lock(question->mutex);
  if (!question->answered.wait_for(lock, deadline.left(), [&] { return question->done; })) {
    failure = "its name is not resolved in time";
    return {};
  }
  failure = question->answer.failure;
  return std::move(question->answer.addresses);
}

}  // namespace kerncast::cache
