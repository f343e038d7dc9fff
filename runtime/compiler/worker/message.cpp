#include "runtime/compiler/worker/message.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>

#include "cache/posix/byte_order.hpp"

namespace kerncast::compiler::worker {
namespace {

using cache::Reader;
using cache::Writer;

// Sources, logs and binaries are far smaller. A longer message is noise on the pipe.
constexpr std::uint64_t longest_payload = std::uint64_t{1} << 30;
constexpr std::size_t head_size = 12;

void put(Writer& out, const std::vector<std::string>& texts) {
  out.integer(static_cast<std::uint64_t>(texts.size()));
  for (const std::string& text : texts) {
    out.text(text);
  }
}

std::vector<std::string> texts(Reader& in) {
  std::vector<std::string> out;
  for (auto left = in.integer<std::uint64_t>(); left > 0 && in.ok(); --left) {
    out.emplace_back(in.text());
  }
  return out;
}

/// `value` if reading consumed exactly the payload, else nothing.
template <class Value>
std::optional<Value> whole(const Reader& in, Value value) {
  return in.done() ? std::optional<Value>(std::move(value)) : std::nullopt;
}

class Deadline {
 public:
  explicit Deadline(std::int64_t timeout_ms)
      : never_(timeout_ms < 0),
        at_(Clock::now() + std::chrono::milliseconds(std::max<std::int64_t>(timeout_ms, 0))) {}
  [[nodiscard]] int left_ms() const {
    if (never_) {
      return -1;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(at_ - Clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000));
  }

 private:
  using Clock = std::chrono::steady_clock;
  bool never_;
  Clock::time_point at_;
};

Exchange read_bytes(int fd, char* out, std::size_t size, const Deadline& deadline) {
  while (size > 0) {
    pollfd waiting{fd, POLLIN, 0};
    const int ready = poll(&waiting, 1, deadline.left_ms());
    if (ready == 0) {
      return Exchange::timed_out;
    }
    if (ready < 0) {
      if (errno == EINTR) {
        continue;
      }
      return Exchange::closed;
    }
    const ssize_t got = read(fd, out, size);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      return Exchange::closed;
    }
    out += got;
    size -= static_cast<std::size_t>(got);
  }
  return Exchange::done;
}

}  // namespace

std::string encode(const Greeting& greeting) {
  Writer out;
  out.integer(greeting.protocol);
  out.text(greeting.nvrtc);
  out.text(greeting.remedy);
  return out.take();
}

std::optional<Greeting> decode_greeting(std::string_view payload) {
  Reader in(payload);
  Greeting greeting;
  greeting.protocol = in.integer<std::uint32_t>();
  greeting.nvrtc = in.text();
  greeting.remedy = in.text();
  return whole(in, std::move(greeting));
}

std::string encode(const CompileRequest& request) {
  Writer out;
  out.text(request.what);
  out.text(request.source);
  put(out, request.kernels);
  out.integer(static_cast<std::uint64_t>(request.headers.size()));
  for (const auto& [name, text] : request.headers) {
    out.text(name);
    out.text(text);
  }
  put(out, request.options);
  return out.take();
}

std::optional<CompileRequest> decode_request(std::string_view payload) {
  Reader in(payload);
  CompileRequest request;
  request.what = in.text();
  request.source = in.text();
  request.kernels = texts(in);
  for (auto left = in.integer<std::uint64_t>(); left > 0 && in.ok(); --left) {
    std::string name(in.text());
    request.headers.emplace_back(std::move(name), in.text());
  }
  request.options = texts(in);
  return whole(in, std::move(request));
}

std::string encode(const CompileResult& result) {
  Writer out;
  out.text(result.cubin);
  out.text(result.ptx);
  put(out, result.lowered_names);
  out.text(result.log);
  const Resources& r = result.resources;
  for (const int value : {r.registers, r.stack_bytes, r.spill_store_bytes, r.spill_load_bytes, r.shared_bytes,
                          r.constant_bytes}) {
    out.integer(static_cast<std::int32_t>(value));
  }
  out.integer(std::bit_cast<std::uint64_t>(result.milliseconds));
  return out.take();
}

std::optional<CompileResult> decode_result(std::string_view payload) {
  Reader in(payload);
  CompileResult result;
  result.cubin = in.text();
  result.ptx = in.text();
  result.lowered_names = texts(in);
  result.log = in.text();
  Resources& r = result.resources;
  for (int* value : {&r.registers, &r.stack_bytes, &r.spill_store_bytes, &r.spill_load_bytes, &r.shared_bytes,
                     &r.constant_bytes}) {
    *value = in.integer<std::int32_t>();
  }
  result.milliseconds = std::bit_cast<double>(in.integer<std::uint64_t>());
  return whole(in, std::move(result));
}

std::string encode(const Failure& failure) {
  Writer out;
  out.integer(static_cast<std::uint8_t>(failure.code));
  out.text(failure.message);
  return out.take();
}

std::optional<Failure> decode_failure(std::string_view payload) {
  Reader in(payload);
  Failure failure;
  const auto code = in.integer<std::uint8_t>();
  const bool known = code >= static_cast<std::uint8_t>(ErrorCode::invalid_argument) &&
                     code <= static_cast<std::uint8_t>(ErrorCode::cache_miss);
  failure.code = known ? static_cast<ErrorCode>(code) : ErrorCode::internal;
  failure.message = in.text();
  return whole(in, std::move(failure));
}

Exchange write_message(int fd, Kind kind, std::string_view payload) {
  Writer out;
  out.integer(static_cast<std::uint32_t>(kind));
  out.integer(static_cast<std::uint64_t>(payload.size()));
  out.raw(payload);
  std::string_view left = out.bytes();
  while (!left.empty()) {
    // send() on a socket reports a closed peer as an error; write() would raise SIGPIPE in the host.
    const ssize_t sent = send(fd, left.data(), left.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) {
      continue;
    }
    if (sent <= 0) {
      return sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? Exchange::timed_out : Exchange::closed;
    }
    left.remove_prefix(static_cast<std::size_t>(sent));
  }
  return Exchange::done;
}

Exchange read_message(int fd, Message& message, std::int64_t timeout_ms) {
  const Deadline deadline(timeout_ms);
  char head[head_size];
  if (const Exchange got = read_bytes(fd, head, head_size, deadline); got != Exchange::done) {
    return got;
  }
  Reader in({head, head_size});
  const auto kind = in.integer<std::uint32_t>();
  const auto length = in.integer<std::uint64_t>();
  if (kind < static_cast<std::uint32_t>(Kind::greeting) || kind > static_cast<std::uint32_t>(Kind::failure) ||
      length > longest_payload) {
    return Exchange::malformed;
  }
  message.kind = static_cast<Kind>(kind);
  message.payload.resize(length);
  return read_bytes(fd, message.payload.data(), length, deadline);
}

}  // namespace kerncast::compiler::worker
