#include "cache/remote/server/redis_server.hpp"

#include <fmt/format.h>
#include <hiredis/hiredis.h>
#include <sys/time.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <iterator>
#include <mutex>
#include <utility>
#include <vector>

#include "cache/entry.hpp"
#include "cache/posix/signal_guard.hpp"
#include "cache/remote/address/resolve.hpp"

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
  std::chrono::milliseconds patience;          ///< of each wait for the server
  Deadline deadline;                           ///< of the whole request
  std::size_t longest_text = max_entry_bytes;  ///< of an answer, or of each name in it
};

/// Sets the time that the next call on the socket may take. False if there is none left.
bool set_patience(redisContext& connection, const Limits& limits) {
  const std::chrono::milliseconds time = std::min(limits.patience, limits.deadline.left());
  return time.count() > 0 && redisSetTimeout(&connection, to_timeval(time)) == REDIS_OK;
}

/// True if the reply that `reader` has begun has a string longer than `most` bytes.
bool is_too_long(const redisReader& reader, std::size_t most) {
  // The reader has taken the byte that says that a string follows, and waits at its length.
  const bool at_length = reader.pos > 0 && reader.pos < reader.len && reader.buf[reader.pos - 1] == '$';
  std::uint64_t length = 0;
  if (at_length) {
    std::from_chars(reader.buf + reader.pos, reader.buf + reader.len, length);
  }
  return reader.len > most || length > most;
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
      failure = connection.err == REDIS_ERR_OOM ? "its answer takes more memory than any that was asked for"
                                                : connection.errstr;
      return nullptr;
    }
    if (reply != nullptr) {
      return Reply(static_cast<redisReply*>(reply));
    }
    if (is_too_long(*connection.reader, limits.longest_text)) {
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

/// The text of an error reply, which may have none.
std::string error_of(const redisReply& reply) {
  return reply.len > 0 ? std::string(reply.str, reply.len) : "it answered with an error";
}

constexpr const char* page_size = "1000";   // A server may send somewhat more.
constexpr std::size_t most_names = 10'000;  ///< in a page
constexpr std::size_t longest_name = 1024;  ///< in a page
constexpr std::size_t longest_unread = std::size_t{1}
                                       << 20U;  ///< bytes of a page that are not yet understood

/// True if an array may be a part of a page of names: a cursor and an array of strings.
bool is_of_page(const redisReadTask& task, std::size_t elements) {
  return task.parent == nullptr ? elements == 2 : task.parent->parent == nullptr && elements <= most_names;
}

/// Makes replies, but of arrays only those that a page of names consists of. The length of an array takes
/// memory before its elements come, and cannot be believed.
redisReplyObjectFunctions& bounded_replies() {
  static const redisReplyObjectFunctions usual =
      *std::unique_ptr<redisReader, FreeReader>(redisReaderCreate())->fn;
  static redisReplyObjectFunctions functions = [] {
    redisReplyObjectFunctions out = usual;
    out.createArray = [](const redisReadTask* task, auto elements) -> void* {
      return is_of_page(*task, static_cast<std::size_t>(elements)) ? usual.createArray(task, elements)
                                                                   : nullptr;
    };
    out.createString = [](const redisReadTask* task, char* text, std::size_t size) -> void* {
      return task->parent == nullptr || size <= longest_name ? usual.createString(task, text, size) : nullptr;
    };
    return out;
  }();
  return functions;
}

/// The page of names in the reply to a SCAN, without what stands before each name.
RemotePage page_of(const redisReply& reply, std::string_view before) {
  constexpr const char* other = "it answered with something other than a list of names";
  RemotePage page;
  if (reply.type != REDIS_REPLY_ARRAY || reply.elements != 2) {
    page.failure = other;
    return page;
  }
  const redisReply& cursor = *reply.element[0];
  const redisReply& names = *reply.element[1];
  if (cursor.type != REDIS_REPLY_STRING || names.type != REDIS_REPLY_ARRAY) {
    page.failure = other;
    return page;
  }
  for (std::size_t i = 0; i < names.elements; ++i) {
    const redisReply& name = *names.element[i];
    const std::string_view text = name.type == REDIS_REPLY_STRING ? std::string_view(name.str, name.len) : "";
    if (!text.starts_with(before)) {
      page.failure = "it lists a name that it was not asked for";
      return page;
    }
    page.names.emplace_back(text.substr(before.size()));
  }
  page.state = RemoteState::done;
  page.next.assign(cursor.str, cursor.len);
  if (page.next == "0") {
    page.next.clear();
  }
  return page;
}

/// True if the error says that the user may not do this, or that nobody may.
bool forbids(std::string_view error) {
  return error.starts_with("NOPERM") || error.starts_with("READONLY");
}

constexpr int default_port = 6379;

/// The failure of an AUTH that was answered with `error`. Servers that do not know the command repeat its
/// arguments, so of the answer only a code that Redis has is told.
std::string refusal(std::string_view error) {
  constexpr std::string_view codes[] = {"WRONGPASS", "NOPERM", "NOAUTH", "ERR", "LOADING", "BUSY"};
  const std::string_view code = error.substr(0, error.find(' '));
  const bool known = std::find(std::begin(codes), std::end(codes), code) != std::end(codes);
  return fmt::format("it refuses user and password{}", known ? fmt::format(" ({})", code) : std::string());
}

class RedisServer : public RemoteServer {
 public:
  RedisServer(const RemoteOptions& options, Credentials credentials)
      : host_(options.address.host()),
        port_(options.address.port() == 0 ? default_port : options.address.port()),
        database_(options.address.path().substr(options.address.path().empty() ? 0 : 1)),
        credentials_(std::move(credentials)),
        timeout_(options.timeout) {}

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
    const Reply reply = ask_any({"SET", "kerncast:" + name}, bytes, deadline, answer.failure);
    if (reply != nullptr && reply->type == REDIS_REPLY_ERROR) {
      answer.failure = error_of(*reply);
      answer.state = forbids(answer.failure) ? RemoteState::refused : RemoteState::failed;
    } else if (reply != nullptr) {
      answer.state = RemoteState::done;
    }
    return answer;
  }

  RemoteAnswer has(const std::string& name, const Deadline& deadline) override {
    RemoteAnswer answer;
    const Reply reply = ask({"EXISTS", "kerncast:" + name}, {}, deadline, answer.failure);
    if (reply != nullptr && reply->type == REDIS_REPLY_INTEGER) {
      answer.state = reply->integer == 0 ? RemoteState::absent : RemoteState::done;
    } else if (reply != nullptr) {
      answer.failure = "it answered with something other than a number";
    }
    return answer;
  }

  RemoteAnswer remove(const std::string& name, const Deadline& deadline) override {
    RemoteAnswer answer;
    const Reply reply = ask_any({"DEL", "kerncast:" + name}, {}, deadline, answer.failure);
    if (reply != nullptr) {
      answer.state = reply->type == REDIS_REPLY_ERROR ? RemoteState::refused : RemoteState::done;
      answer.failure = reply->type == REDIS_REPLY_ERROR ? error_of(*reply) : std::string();
    }
    return answer;
  }

  RemotePage list(const std::string& prefix, const std::string& place, const Deadline& deadline) override {
    std::string failure;
    const Reply reply = ask_any(
        {"SCAN", place.empty() ? "0" : place, "MATCH", "kerncast:" + prefix + '*', "COUNT", page_size}, {},
        {timeout_, deadline, longest_unread}, failure);
    if (reply == nullptr) {
      return {RemoteState::failed, {}, {}, std::move(failure)};
    }
    return reply->type == REDIS_REPLY_ERROR ? RemotePage{RemoteState::refused, {}, {}, error_of(*reply)}
                                            : page_of(*reply, "kerncast:");
  }

  RemoteAnswer claim(const LeaseClaim& lease, const Deadline& deadline) override {
    std::vector<std::string> words{"SET", "kerncast:" + lease.name, lease.token, "PX",
                                   std::to_string(std::max<std::int64_t>(1, lease.duration.count()))};
    if (!lease.take_over) {
      words.emplace_back("NX");
    }
    RemoteAnswer answer;
    const Reply reply = ask_any(words, {}, deadline, answer.failure);
    return lease_answer(reply.get(), std::move(answer));
  }

  RemoteAnswer release(const std::string& name, const std::string& token, const Deadline& deadline) override {
    constexpr const char* remove_if_equal =
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";
    RemoteAnswer answer;
    const Reply reply =
        ask_any({"EVAL", remove_if_equal, "1", "kerncast:" + name, token}, {}, deadline, answer.failure);
    return lease_answer(reply.get(), std::move(answer));
  }

  RemoteAnswer evaluate(const std::string& script, const std::string& name,
                        const std::vector<std::string>& arguments, const Deadline& deadline) override {
    std::vector<std::string> words{"EVAL", script, "1", "kerncast:" + name};
    words.insert(words.end(), arguments.begin(), arguments.end());
    RemoteAnswer answer;
    const Reply reply = ask_any(words, {}, deadline, answer.failure);
    if (reply == nullptr) {
      return answer;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
      return {RemoteState::refused, {}, error_of(*reply)};
    }
    if (reply->type != REDIS_REPLY_STRING) {
      return {RemoteState::refused, {}, "it answered with something other than a string"};
    }
    return {RemoteState::done, std::string(reply->str, reply->len), {}};
  }

 private:
  /// The answer to a request about a lease. `answer` has the failure of a request that was not answered.
  static RemoteAnswer lease_answer(const redisReply* reply, RemoteAnswer answer) {
    if (reply == nullptr) {
      return answer;
    }
    answer.state = reply->type == REDIS_REPLY_NIL     ? RemoteState::taken
                   : reply->type == REDIS_REPLY_ERROR ? RemoteState::refused
                                                      : RemoteState::done;
    if (reply->type == REDIS_REPLY_ERROR) {
      answer.failure = error_of(*reply);
    }
    return answer;
  }

  /// Sends a command. Null, with the reason in `failure`, if there is no answer or the answer is an error.
  Reply ask(const std::vector<std::string>& words, std::string_view bytes, const Deadline& deadline,
            std::string& failure) {
    Reply reply = ask_any(words, bytes, deadline, failure);
    if (reply != nullptr && reply->type == REDIS_REPLY_ERROR) {
      failure = error_of(*reply);
      return nullptr;
    }
    return reply;
  }

  /// Sends a command. Null, with the reason in `failure`, if there is no answer.
  Reply ask_any(const std::vector<std::string>& words, std::string_view bytes, const Deadline& deadline,
                std::string& failure) {
    return ask_any(words, bytes, Limits{timeout_, deadline}, failure);
  }

  Reply ask_any(const std::vector<std::string>& words, std::string_view bytes, const Limits& limits,
                std::string& failure) {
    const SignalGuard guard(SIGPIPE);
    Words all(words.begin(), words.end());
    if (!bytes.empty()) {
      all.push_back(bytes);
    }
    if (Connection connection = take(); connection != nullptr) {
      // Servers close connections that are idle for long, so only the failure of a new connection counts.
      if (Reply reply = command(*connection, all, limits, failure); reply != nullptr) {
        return finish(std::move(connection), std::move(reply));
      }
      failure.clear();
    }
    Connection connection = connect(limits, failure);
    if (connection == nullptr) {
      return nullptr;
    }
    Reply reply = command(*connection, all, limits, failure);
    return reply == nullptr ? nullptr : finish(std::move(connection), std::move(reply));
  }

  Reply finish(Connection connection, Reply reply) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(connection));
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
    const std::vector<std::string> hosts = resolve(host_, limits.deadline, failure);
    for (const std::string& host : hosts) {
      const std::chrono::milliseconds time = std::min(limits.patience, limits.deadline.left());
      Connection connection(redisConnectWithTimeout(host.c_str(), port_, to_timeval(time)));
      if (connection == nullptr || connection->err != 0) {
        failure = connection == nullptr ? "out of memory" : connection->errstr;
        continue;
      }
      connection->reader->fn = &bounded_replies();
      return greet(std::move(connection), limits, failure);
    }
    return nullptr;
  }

  [[nodiscard]] Connection greet(Connection connection, const Limits& limits, std::string& failure) const {
    if (!credentials_.password.empty()) {
      const Reply reply =
          command(*connection,
                  credentials_.user.empty() ? Words{"AUTH", credentials_.password}
                                            : Words{"AUTH", credentials_.user, credentials_.password},
                  limits, failure);
      if (reply == nullptr) {
        return nullptr;
      }
      if (reply->type == REDIS_REPLY_ERROR) {
        failure = refusal({reply->str, reply->len});
        return nullptr;
      }
    }
    if (!database_.empty()) {
      const Reply reply = command(*connection, {"SELECT", database_}, limits, failure);
      if (reply == nullptr) {
        return nullptr;
      }
      if (reply->type == REDIS_REPLY_ERROR) {
        failure = error_of(*reply);
        return nullptr;
      }
    }
    return connection;
  }

  std::string host_;
  int port_;
  std::string database_;
  Credentials credentials_;
  std::chrono::milliseconds timeout_;
  std::mutex mutex_;
  std::vector<Connection> idle_;
};

}  // namespace

std::unique_ptr<RemoteServer> redis_server(const RemoteOptions& options, Credentials credentials) {
  return std::make_unique<RedisServer>(options, std::move(credentials));
}

}  // namespace kerncast::cache
