#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kerncast/error.hpp"
#include "runtime/compiler/compiler.hpp"

/// What a compile worker and its parent say to each other over a socket pair. Both run on one machine, and a
/// worker of another build is refused by its greeting.
///
///     message = kind u32, length u64, payload of that length
///     texts and lists in a payload follow their length as u64; integers are little-endian
namespace kerncast::compiler::worker {

constexpr std::uint32_t protocol_version = 1;

enum class Kind : std::uint32_t {
  greeting = 1,  ///< worker: Greeting, once, before it reads
  compile = 2,   ///< parent: CompileRequest
  result = 3,    ///< worker: CompileResult
  failure = 4,   ///< worker: Failure
};

struct Greeting {
  std::uint32_t protocol = protocol_version;
  std::string nvrtc;   ///< its version; empty where there is none
  std::string remedy;  ///< then what to install
};

/// An Error of the worker's compile.
struct Failure {
  ErrorCode code = ErrorCode::internal;
  std::string message;
};

struct Message {
  Kind kind = Kind::greeting;
  std::string payload;
};

/// Payloads, and what they were made of: empty where `payload` is not what its kind demands.
[[nodiscard]] std::string encode(const Greeting& greeting);
[[nodiscard]] std::string encode(const CompileRequest& request);
[[nodiscard]] std::string encode(const CompileResult& result);
[[nodiscard]] std::string encode(const Failure& failure);
[[nodiscard]] std::optional<Greeting> decode_greeting(std::string_view payload);
[[nodiscard]] std::optional<CompileRequest> decode_request(std::string_view payload);
[[nodiscard]] std::optional<CompileResult> decode_result(std::string_view payload);
[[nodiscard]] std::optional<Failure> decode_failure(std::string_view payload);

/// How an exchange ended.
enum class Exchange : std::uint8_t { done, closed, timed_out, malformed };

/// Writes one message to the socket `fd`: closed where the reader is gone, timed out where it does not read
/// for as long as the socket's SO_SNDTIMEO.
[[nodiscard]] Exchange write_message(int fd, Kind kind, std::string_view payload);

/// Reads one message from the socket `fd`, for at most `timeout_ms` (negative: for ever).
[[nodiscard]] Exchange read_message(int fd, Message& message, std::int64_t timeout_ms);

}  // namespace kerncast::compiler::worker
