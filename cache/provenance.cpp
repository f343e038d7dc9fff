#include "cache/provenance.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <ctime>
#include <utility>

namespace kerncast::cache {
namespace {

std::int64_t now_s() {
  return static_cast<std::int64_t>(std::time(nullptr));
}

void write_text(Writer& out, std::string_view text) {
  out.text(text.substr(0, max_provenance_text));
}

bool read_text(Reader& in, std::string& text) {
  text = in.text();
  return text.size() <= max_provenance_text;
}

}  // namespace

Provenance compiled_now(std::string build, std::string host) {
  const std::int64_t now = now_s();
  return {std::move(build), now, std::move(host), CopySource::compiled, {}, now};
}

Provenance copied_now(const std::optional<Provenance>& earlier, CopySource source, std::string_view from) {
  Provenance out = earlier.value_or(Provenance{});
  out.source = source;
  out.from = from;
  out.copied_s = now_s();
  return out;
}

std::optional<Provenance> without_copy(std::optional<Provenance> provenance) {
  if (provenance) {
    provenance->source = CopySource::unknown;
    provenance->from.clear();
    provenance->copied_s = 0;
  }
  return provenance;
}

std::string origin_text(const Provenance& provenance) {
  switch (provenance.source) {
    case CopySource::compiled:
      return "compiled here";
    case CopySource::layer:
      return fmt::format("the layer {}", provenance.from);
    case CopySource::server:
      return fmt::format("the server {}", provenance.from);
    case CopySource::pack:
      return fmt::format("the pack {}", provenance.from);
    case CopySource::unknown:
      break;
  }
  return "not known";
}

std::string host_name() {
  std::array<char, 256> name{};
  // The last byte stays zero, since a name that is cut off need not end in one.
  return ::gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data()) : std::string();
}

void write_provenance(Writer& out, const Provenance& provenance) {
  write_text(out, provenance.build);
  out.integer(provenance.compiled_s);
  write_text(out, provenance.host);
  out.integer(static_cast<std::uint8_t>(provenance.source));
  write_text(out, provenance.from);
  out.integer(provenance.copied_s);
}

bool read_provenance(Reader& in, Provenance& provenance) {
  bool bounded = read_text(in, provenance.build);
  provenance.compiled_s = in.integer<std::int64_t>();
  bounded = read_text(in, provenance.host) && bounded;
  const auto source = in.integer<std::uint8_t>();
  bounded = read_text(in, provenance.from) && bounded;
  provenance.copied_s = in.integer<std::int64_t>();
  if (!in.ok() || !bounded || source > static_cast<std::uint8_t>(CopySource::pack)) {
    return false;
  }
  provenance.source = static_cast<CopySource>(source);
  return true;
}

}  // namespace kerncast::cache
