#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kerncast/error.hpp"
#include "runtime/compiler/compiler.hpp"

/// The protocol between a compile worker and its parent, over a socket pair on one machine. The greeting
/// shows the version of the protocol, so that the parent refuses a worker of another build.
///
///     message = kind u32, length u64, payload of that length
///     in a payload, texts and lists have their length before them as u64; integers are little-endian
namespace kerncast::compiler::worker {

constexpr std::uint32_t protocol_version = 1;

enum class Kind : std::uint32_t {
  greeting = 1,  ///< from the worker: Greeting, once, before it reads
  compile = 2,   ///< from the parent: CompileRequest
  result = 3,    ///< from the worker: CompileResult
  failure = 4,   ///< from the worker: Failure
};

struct Greeting {
  std::uint32_t protocol = protocol_version;
  std::string nvrtc;   ///< version of the worker's NVRTC; empty if it has none
  std::string remedy;  ///< if it has none, what to install
};

/// An Error that a compile in the worker threw.
struct Failure {
  ErrorCode code = ErrorCode::internal;
  std::string message;
};

struct Message {
  Kind kind = Kind::greeting;
  std::string payload;
};

/// Encoding and decoding of payloads. Decoding returns nothing if `payload` is not of the form that its kind
/// requires.
[[nodiscard]] std::string encode(const Greeting& greeting);
[[nodiscard]] std::string encode(const CompileRequest& request);
[[nodiscard]] std::string encode(const CompileResult& result);
[[nodiscard]] std::string encode(const Failure& failure);
[[nodiscard]] std::optional<Greeting> decode_greeting(std::string_view payload);
[[nodiscard]] std::optional<CompileRequest> decode_request(std::string_view payload);
[[nodiscard]] std::optional<CompileResult> decode_result(std::string_view payload);
[[nodiscard]] std::optional<Failure> decode_failure(std::string_view payload);

/// The outcome of an exchange.
enum class Exchange : std::uint8_t { done, closed, timed_out, malformed };

/// Writes one message to the socket `fd`. The result is `closed` if the reader is gone, and a time-out if it
/// does not read for as long as the socket's SO_SNDTIMEO.
[[nodiscard]] Exchange write_message(int fd, Kind kind, std::string_view payload);

/// Reads one message from the socket `fd`. Waits at most `timeout_ms`, or without limit if it is negative.
[[nodiscard]] Exchange read_message(int fd, Message& message, std::int64_t timeout_ms);

}  // namespace kerncast::compiler::worker
