#include "cache/remote/redis_server.hpp"

#include <hiredis/hiredis.h>
#include <sys/time.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <mutex>
#include <utility>
#include <vector>

#include "cache/entry.hpp"
#include "cache/posix/signal_guard.hpp"
#include "cache/remote/resolve.hpp"

namespace kerncast::cache {
namespace {

struct FreeContext {
  void operator()(redisContext* context) const { redisFree(context); }
};
struct FreeReader {
  void operator()(redisReader* reader) const { redisReaderFree(reader); }
};
struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};

timeval to_timeval(std::chrono::milliseconds time) {
  timeval out{};
  out.tv_sec = static_cast<time_t>(time.count() / 1000);
  out.tv_usec = static_cast<suseconds_t>(time.count() % 1000 * 1000);
  return out;
}

using Connection = std::unique_ptr<redisContext, FreeContext>;
using Reply = std::unique_ptr<redisReply, FreeReply>;
using Words = std::vector<std::string_view>;

/// Limits of a request.
struct Limits {
  std::chrono::milliseconds patience;  ///< of each wait for the server
  Deadline deadline;                   ///< of the whole request
};

/// Sets the time that the next call on the socket may take. False if there is none left.
bool set_patience(redisContext& connection, const Limits& limits) {
  const std::chrono::milliseconds time = std::min(limits.patience, limits.deadline.left());
  return time.count() > 0 && redisSetTimeout(&connection, to_timeval(time)) == REDIS_OK;
}

/// True if the reply that `reader` has begun is a string longer than any entry.
bool is_too_long(const redisReader& reader) {
  // The reader has taken the byte that says that a string follows, and waits at its length.
  const bool at_length = reader.pos > 0 && reader.pos < reader.len && reader.buf[reader.pos - 1] == '$';
  std::uint64_t length = 0;
  if (at_length) {
    std::from_chars(reader.buf + reader.pos, reader.buf + reader.len, length);
  }
  return reader.len > max_entry_bytes || length > max_entry_bytes;
}

/// Sends a command and receives its reply. Null, with the reason in `failure`, if that fails. The connection
/// cannot be used again then.
Reply command(redisContext& connection, const Words& words, const Limits& limits, std::string& failure) {
  std::vector<const char*> texts;
  std::vector<std::size_t> sizes;
  for (const std::string_view word : words) {
    texts.push_back(word.data());
    sizes.push_back(word.size());
  }
  if (redisAppendCommandArgv(&connection, static_cast<int>(words.size()), texts.data(), sizes.data()) !=
      REDIS_OK) {
    failure = connection.errstr;
    return nullptr;
  }
  constexpr const char* too_slow = "its answer takes too long";
  for (int written = 0; written == 0;) {
    if (!set_patience(connection, limits)) {
      failure = too_slow;
      return nullptr;
    }
    if (redisBufferWrite(&connection, &written) != REDIS_OK) {
      failure = connection.errstr;
      return nullptr;
    }
  }
  while (true) {
    void* reply = nullptr;
    if (redisGetReplyFromReader(&connection, &reply) != REDIS_OK) {
      failure = connection.errstr;
      return nullptr;
    }
    if (reply != nullptr) {
      return Reply(static_cast<redisReply*>(reply));
    }
    if (is_too_long(*connection.reader)) {
      failure = "its answer is too long";
      return nullptr;
    }
    if (!set_patience(connection, limits)) {
      failure = too_slow;
      return nullptr;
    }
    if (redisBufferRead(&connection) != REDIS_OK) {
      failure = connection.errstr;
      return nullptr;
    }
  }
}

redisReplyObjectFunctions& replies_without_arrays() {
  static redisReplyObjectFunctions functions = [] {
    const std::unique_ptr<redisReader, FreeReader> reader(redisReaderCreate());
    redisReplyObjectFunctions out = *reader->fn;
    out.createArray = [](const redisReadTask*, auto) -> void* { return nullptr; };
    return out;
  }();
  return functions;
}

class RedisServer : public RemoteServer {
 public:
  RedisServer(const RemoteOptions& options, RedisAddress address)
      : address_(std::move(address)), timeout_(options.timeout) {}

  RemoteAnswer get(const std::string& name, const Deadline& deadline) override {
    RemoteAnswer answer;
    const Reply reply = ask({"GET", "kerncast:" + name}, {}, deadline, answer.failure);
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

  RemoteAnswer put(const std::string& name, std::string_view bytes, const Deadline& deadline) override {
    RemoteAnswer answer;
    const Reply reply = ask({"SET", "kerncast:" + name}, bytes, deadline, answer.failure);
    if (reply != nullptr) {
      answer.state = RemoteState::done;
    }
    return answer;
  }

 private:
  /// Sends a command. Null, with the reason in `failure`, if there is no answer or the answer is an error.
  Reply ask(const std::vector<std::string>& words, std::string_view bytes, const Deadline& deadline,
            std::string& failure) {
    const SignalGuard guard(SIGPIPE);
    const Limits limits{timeout_, deadline};
    Words all(words.begin(), words.end());
    if (!bytes.empty()) {
      all.push_back(bytes);
    }
    if (Connection connection = take(); connection != nullptr) {
      // Servers close connections that are idle for long, so only the failure of a new connection counts.
      if (Reply reply = command(*connection, all, limits, failure); reply != nullptr) {
        return finish(std::move(connection), std::move(reply), failure);
      }
    }
    Connection connection = connect(limits, failure);
    if (connection == nullptr) {
      return nullptr;
    }
    Reply reply = command(*connection, all, limits, failure);
    return reply == nullptr ? nullptr : finish(std::move(connection), std::move(reply), failure);
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

  [[nodiscard]] Connection connect(const Limits& limits, std::string& failure) const {
    const std::vector<std::string> hosts = resolve(address_.host, limits.deadline, failure);
    for (const std::string& host : hosts) {
      const std::chrono::milliseconds time = std::min(limits.patience, limits.deadline.left());
      Connection connection(redisConnectWithTimeout(host.c_str(), address_.port, to_timeval(time)));
      if (connection == nullptr || connection->err != 0) {
        failure = connection == nullptr ? "out of memory" : connection->errstr;
        continue;
      }
      // A reply that is an array answers none of the commands used here, and its length cannot be believed.
      connection->reader->fn = &replies_without_arrays();
      return greet(std::move(connection), limits, failure);
    }
    return nullptr;
  }

  [[nodiscard]] Connection greet(Connection connection, const Limits& limits, std::string& failure) const {
    std::vector<Words> greetings;
    if (!address_.password.empty()) {
      greetings.push_back(address_.user.empty() ? Words{"AUTH", address_.password}
                                                : Words{"AUTH", address_.user, address_.password});
    }
    if (!address_.database.empty()) {
      greetings.push_back({"SELECT", address_.database});
    }
    for (const Words& greeting : greetings) {
      const Reply reply = command(*connection, greeting, limits, failure);
      if (reply == nullptr) {
        return nullptr;
      }
      if (reply->type == REDIS_REPLY_ERROR) {
        failure.assign(reply->str, reply->len);
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
