#include "cache/remote/redis_server.hpp"

#include <hiredis/hiredis.h>
#include <sys/time.h>

#include <charconv>
#include <csignal>
#include <mutex>
#include <utility>
#include <vector>

#include "cache/entry.hpp"
#include "cache/posix/signal_guard.hpp"

namespace kerncast::cache {
namespace {

struct FreeContext {
  void operator()(redisContext* context) const { redisFree(context); }
};
struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Connection = std::unique_ptr<redisContext, FreeContext>;
using Reply = std::unique_ptr<redisReply, FreeReply>;
using Words = std::vector<std::string_view>;

Reply command(const Connection& connection, const Words& words) {
  std::vector<const char*> texts;
  std::vector<std::size_t> sizes;
  for (const std::string_view word : words) {
    texts.push_back(word.data());
    sizes.push_back(word.size());
  }
  return Reply(static_cast<redisReply*>(
      redisCommandArgv(connection.get(), static_cast<int>(words.size()), texts.data(), sizes.data())));
}

class RedisServer : public RemoteServer {
 public:
  RedisServer(const RemoteOptions& options, RedisAddress address)
      : address_(std::move(address)), timeout_(options.timeout) {}

  RemoteAnswer get(const std::string& name) override {
    RemoteAnswer answer;
    const Reply reply = ask({"GET", "kerncast:" + name}, {}, answer.failure);
    if (reply != nullptr && reply->type == REDIS_REPLY_NIL) {
      answer.state = RemoteState::absent;
    } else if (reply != nullptr && reply->type == REDIS_REPLY_STRING && reply->len <= max_entry_bytes) {
      answer.state = RemoteState::done;
      answer.bytes.assign(reply->str, reply->len);
    } else if (reply != nullptr) {
      answer.failure = "it answered with something other than an entry";
    }
    return answer;
  }

  RemoteAnswer put(const std::string& name, std::string_view bytes) override {
    RemoteAnswer answer;
    const Reply reply = ask({"SET", "kerncast:" + name}, bytes, answer.failure);
    if (reply != nullptr) {
      answer.state = RemoteState::done;
    }
    return answer;
  }

 private:
  /// Sends a command. Null, with the reason in `failure`, if there is no answer or the answer is an error.
  Reply ask(const std::vector<std::string>& words, std::string_view bytes, std::string& failure) {
    const SignalGuard guard(SIGPIPE);
    Words all(words.begin(), words.end());
    if (!bytes.empty()) {
      all.push_back(bytes);
    }
    Connection connection = take();
    if (connection != nullptr) {
      // Servers close connections that are idle for long, so only the failure of a new connection counts.
      if (Reply reply = command(connection, all); reply != nullptr) {
        return finish(std::move(connection), std::move(reply), failure);
      }
    }
    connection = connect(failure);
    if (connection == nullptr) {
      return nullptr;
    }
    Reply reply = command(connection, all);
    if (reply == nullptr) {
      failure = connection->errstr;
      return nullptr;
    }
    return finish(std::move(connection), std::move(reply), failure);
  }

  Reply finish(Connection connection, Reply reply, std::string& failure) {
    {
      const std::lock_guard lock(mutex_);
      idle_.push_back(std::move(connection));
    }
    if (reply->type == REDIS_REPLY_ERROR) {
      failure.assign(reply->str, reply->len);
      return nullptr;
    }
    return reply;
  }

  Connection take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) {
      return nullptr;
    }
    Connection connection = std::move(idle_.back());
    idle_.pop_back();
    return connection;
  }

  [[nodiscard]] Connection connect(std::string& failure) const {
    timeval time{};
    time.tv_sec = static_cast<time_t>(timeout_.count() / 1000);
    time.tv_usec = static_cast<suseconds_t>(timeout_.count() % 1000 * 1000);
    Connection connection(redisConnectWithTimeout(address_.host.c_str(), address_.port, time));
    if (connection == nullptr || connection->err != 0) {
      failure = connection == nullptr ? "out of memory" : connection->errstr;
      return nullptr;
    }
    redisSetTimeout(connection.get(), time);
    std::vector<Words> greetings;
    if (!address_.password.empty()) {
      greetings.push_back(address_.user.empty() ? Words{"AUTH", address_.password}
                                                : Words{"AUTH", address_.user, address_.password});
    }
    if (!address_.database.empty()) {
      greetings.push_back({"SELECT", address_.database});
    }
    for (const Words& greeting : greetings) {
      const Reply reply = command(connection, greeting);
      if (reply == nullptr || reply->type == REDIS_REPLY_ERROR) {
        failure = reply == nullptr ? connection->errstr : std::string(reply->str, reply->len);
        return nullptr;
      }
    }
    return connection;
  }

  RedisAddress address_;
  std::chrono::milliseconds timeout_;
  std::mutex mutex_;
  std::vector<Connection> idle_;
};

}  // namespace

bool parse_redis_url(const std::string& url, RedisAddress& address) {
  constexpr std::string_view scheme = "redis://";
  if (!url.starts_with(scheme)) {
    return false;
  }
  std::string rest = url.substr(scheme.size());
  if (const std::size_t slash = rest.find('/'); slash != std::string::npos) {
    address.database = rest.substr(slash + 1);
    rest.resize(slash);
  }
  if (const std::size_t at = rest.rfind('@'); at != std::string::npos) {
    const std::string credentials = rest.substr(0, at);
    rest.erase(0, at + 1);
    const std::size_t colon = credentials.find(':');
    address.user = colon == std::string::npos ? std::string() : credentials.substr(0, colon);
    address.password = colon == std::string::npos ? credentials : credentials.substr(colon + 1);
  }
  if (const std::size_t colon = rest.rfind(':'); colon != std::string::npos && !rest.ends_with(']')) {
    const char* const end = rest.data() + rest.size();
    const auto [stop, error] = std::from_chars(rest.data() + colon + 1, end, address.port);
    if (error != std::errc() || stop != end || address.port < 1 || address.port > 65535) {
      return false;
    }
    rest.resize(colon);
  }
  if (rest.starts_with('[') && rest.ends_with(']')) {
    rest = rest.substr(1, rest.size() - 2);
  }
  address.host = rest;
  return !rest.empty() && address.database.find_first_not_of("0123456789") == std::string::npos;
}

std::unique_ptr<RemoteServer> redis_server(const RemoteOptions& options, const RedisAddress& address) {
  return std::make_unique<RedisServer>(options, address);
}

}  // namespace kerncast::cache
