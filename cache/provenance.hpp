#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cache/posix/byte_order.hpp"

namespace kerncast::cache {

/// The kind of place that a copy of an entry was taken from.
enum class CopySource : std::uint8_t {
  unknown,
  compiled,  ///< nowhere: the entry was compiled for the directory that holds it
  layer,     ///< a read-only layer
  server,    ///< the remote server
  pack,      ///< a pack that was imported
};

/// The history of one copy of an entry. It says nothing about the kernel itself: key, content and signatures
/// do not depend on it, and anybody who can write an entry can write another history into it.
struct Provenance {
  std::string build;            ///< version of Kerncast that compiled the entry; empty: not known
  std::int64_t compiled_s = 0;  ///< time of the compile, in seconds since the Unix epoch; 0: not known
  std::string host;             ///< name of the machine that compiled it; empty unless that was asked for
  CopySource source = CopySource::unknown;
  std::string from;           ///< path of the layer or pack, or the server's name for messages
  std::int64_t copied_s = 0;  ///< time at which this copy was made, in seconds since the Unix epoch

  [[nodiscard]] bool operator==(const Provenance&) const = default;
};

/// Longest text of a provenance in bytes. A longer one is cut off when it is written and refused when it is
/// read.
constexpr std::size_t max_provenance_text = 4096;

/// The provenance of what `build` has compiled now, on `host`.
[[nodiscard]] Provenance compiled_now(std::string build, std::string host);
/// The provenance of a copy that is made now, of an entry that had the provenance `earlier`.
[[nodiscard]] Provenance copied_now(const std::optional<Provenance>& earlier, CopySource source,
                                    std::string_view from);
/// `provenance` without the history of the copy, which may hold a path of this machine.
[[nodiscard]] std::optional<Provenance> without_copy(std::optional<Provenance> provenance);

/// The place that the copy came from, in words: "compiled here", "the server https://host".
[[nodiscard]] std::string origin_text(const Provenance& provenance);
/// The name of this machine. Empty if the system gives none.
[[nodiscard]] std::string host_name();

/// Writes a provenance as entry.hpp states it.
void write_provenance(Writer& out, const Provenance& provenance);
/// Reads what write_provenance writes. False if the bytes are no provenance.
[[nodiscard]] bool read_provenance(Reader& in, Provenance& provenance);

}  // namespace kerncast::cache
