#include "cache/remote/server/remote_listing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "cache/layout.hpp"

namespace kerncast::cache {
namespace {

constexpr std::size_t longest_place = 4096;

/// The beginning of the names of all entries, "v1-".
std::string entry_prefix() {
  return fmt::format("{}-", layout::entries);
}

/// The key of the entry that is called `name`. Empty if that is no name of an entry.
std::optional<Key> key_in(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix) || !name.ends_with(layout::entry_suffix)) {
    return std::nullopt;
  }
  name.remove_prefix(prefix.size());
  name.remove_suffix(std::string_view(layout::entry_suffix).size());
  return Key::from_hex(name);
}

/// The reason why no sound server lists `name`; null if one may.
const char* defect_of(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) {
    return "it lists a name that it was not asked for";
  }
  if (std::any_of(name.begin(), name.end(), [](char c) { return (c >= 0 && c < ' ') || c == '\x7f'; })) {
    return "it lists a name with a control character";
  }
  return name.find("..") != std::string_view::npos ? "it lists a name with .. in it" : nullptr;
}

RemoteListing ended(RemoteState state, std::string failure) {
  return {state, {}, std::move(failure)};
}

}  // namespace

RemoteListing listed_keys(RemoteServer& server, const RemoteOptions& options, const ListingLimits& limits) {
  const Deadline end = Deadline::after(limits.time);
  const std::string prefix = entry_prefix();
  std::set<Key> keys;
  std::unordered_set<std::size_t> places;  // Hashes take less memory than what a server may send.
  std::string place;
  for (std::size_t pages = 0; pages < limits.pages; ++pages) {
    if (end.expired()) {
      return ended(RemoteState::failed, fmt::format("its list has no end after {} s",
                                                    std::chrono::duration<double>(limits.time).count()));
    }
    RemotePage page =
        server.list(prefix, place, Deadline::after(std::min(options.request_time(), end.left())));
    if (page.state != RemoteState::done) {
      return ended(page.state == RemoteState::refused ? RemoteState::refused : RemoteState::failed,
                   std::move(page.failure));
    }
    for (const std::string& name : page.names) {
      if (const char* const defect = defect_of(name, prefix); defect != nullptr) {
        return ended(RemoteState::failed, defect);
      }
      if (const std::optional<Key> key = key_in(name, prefix)) {
        keys.insert(*key);
      }
    }
    if (keys.size() > limits.keys) {
      return ended(RemoteState::failed, fmt::format("it lists more than {} entries", limits.keys));
    }
    if (page.next.empty()) {
      return {RemoteState::done, {keys.begin(), keys.end()}, {}};
    }
    if (page.next.size() > longest_place || !places.insert(std::hash<std::string>()(page.next)).second) {
      return ended(RemoteState::failed, "its list goes in a circle: a page begins where another one began");
    }
    place = std::move(page.next);
  }
  return ended(RemoteState::failed, fmt::format("its list has more than {} pages", limits.pages));
}

}  // namespace kerncast::cache
