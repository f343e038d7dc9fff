#include "cache/remote/lease/remote_queue.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace kerncast::cache {
namespace {

QueuePolicy::Time queue_now() {
  return std::chrono::duration_cast<QueuePolicy::Time>(std::chrono::steady_clock::now().time_since_epoch());
}

constexpr const char* life_in_use = "3600000";
constexpr const char* life_at_end = "60000";

/// The queue is a sorted set. The score of an item is the end of its term in ms, 0 if nobody has it, and
/// infinite if it has ended.
constexpr const char* make_script = R"lua(
if redis.call('EXISTS', KEYS[1]) == 0 then
  for item in string.gmatch(ARGV[1], '%S+') do redis.call('ZADD', KEYS[1], 0, item) end
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 'made')lua";

constexpr const char* ask_script = R"lua(
local queue = KEYS[1]
if redis.call('EXISTS', queue) == 0 then return 'absent' end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local term = string.format('%.0f', now + ARGV[1])
local function own(list, score)
  for item, held in string.gmatch(list, '(%S+):(%d+)') do
    if tonumber(redis.call('ZSCORE', queue, item) or -1) == tonumber(held) then
      redis.call('ZADD', queue, score, item)
    end
  end
end
for item in string.gmatch(ARGV[4], '%S+') do redis.call('ZADD', queue, 'XX', '+inf', item) end
own(ARGV[5], term)
own(ARGV[6], '0')
local taken = ''
if ARGV[7] == '1' then
  local free = redis.call('ZRANGEBYSCORE', queue, '-inf', string.format('%.0f', now), 'LIMIT', 0, 1)
  if free[1] then
    taken = free[1]
    redis.call('ZADD', queue, term, taken)
  end
end
local open = redis.call('ZCOUNT', queue, '-inf', '(+inf')
local next = 0
if open > 0 then
  next = math.max(0, tonumber(redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')[2]) - now)
end
redis.call('PEXPIRE', queue, open > 0 and ARGV[2] or ARGV[3])
return string.format('%d %s %.0f %s', open, term, next, taken))lua";

std::string queue_text(const std::vector<std::string>& items) {
  std::string out;
  for (const std::string& item : items) {
    out += item + ' ';
  }
  return out;
}

std::string queue_text(const std::vector<QueueHold>& holds) {
  std::string out;
  for (const QueueHold& hold : holds) {
    out += fmt::format("{}:{} ", hold.item, hold.end);
  }
  return out;
}

/// An item of a machine that is gone waits as long as a missing kernel may wait in all, which is four leases.
std::chrono::milliseconds term_of(const RemoteOptions& options) {
  return std::min<std::chrono::milliseconds>(4 * options.lease, std::chrono::seconds(60));
}

QueueTimes times_of(std::chrono::milliseconds term, std::chrono::milliseconds patience) {
  QueueTimes times;
  times.term = term;
  times.patience = patience + 2 * term;
  return times;
}

}  // namespace

RemoteQueue::RemoteQueue(RemoteServer& server, const RemoteOptions& options, WarnOnce& warnings,
                         Counters& counters, std::string name, const std::vector<std::string>& items,
                         std::chrono::milliseconds patience)
    : server_(server),
      options_(options),
      warnings_(warnings),
      counters_(counters),
      name_("queue:" + std::move(name)),
      term_(term_of(options)),
      policy_(times_of(term_, patience), items) {}

std::vector<std::string> RemoteQueue::take(std::size_t places) {
  std::vector<std::string> taken;
  while (true) {
    switch (policy_.step(queue_now(), places - taken.size())) {
      case QueueStep::make:
        make();
        break;
      case QueueStep::ask:
        ask(taken);
        break;
      default:
        return taken;
    }
  }
}

bool RemoteQueue::over() {
  const QueueStep step = policy_.step(queue_now(), 0);
  return step == QueueStep::finished || step == QueueStep::alone;
}

void RemoteQueue::leave() {
  if (over()) {
    return;
  }
  const QueueRequest request = policy_.farewell();
  std::string answer;
  static_cast<void>(ask(ask_script,
                        {std::to_string(term_.count()), life_in_use, life_at_end, queue_text(request.ended),
                         "", queue_text(request.returned), "0"},
                        answer));
}

void RemoteQueue::make() {
  std::string answer;
  if (ask(make_script, {queue_text(policy_.unfinished()), life_in_use}, answer)) {
    policy_.made();
  }
}

void RemoteQueue::ask(std::vector<std::string>& taken) {
  const QueueRequest request = policy_.request();
  std::string text;
  if (!ask(ask_script,
           {std::to_string(term_.count()), life_in_use, life_at_end, queue_text(request.ended),
            queue_text(request.renewed), "", request.takes ? "1" : "0"},
           text)) {
    return;
  }
  const std::optional<QueueAnswer> answer = parse_queue_answer(text);
  if (!answer) {
    policy_.failed("it answered with something other than an item");
  } else if (std::optional<std::string> item = policy_.answered(*answer, queue_now())) {
    taken.push_back(std::move(*item));
  }
  if (!policy_.reason().empty()) {
    warn("queue", policy_.reason());
  }
}

bool RemoteQueue::ask(const std::string& script, const std::vector<std::string>& arguments,
                      std::string& answer) {
  RemoteAnswer reply = server_.evaluate(script, name_, arguments, Deadline::after(options_.request_time()));
  if (reply.state == RemoteState::done) {
    answer = std::move(reply.bytes);
    return true;
  }
  constexpr std::size_t longest = 200;
  policy_.failed(reply.failure.empty() ? "it did not answer" : reply.failure.substr(0, longest));
  // Other requests warn of a server that is gone too, and one warning is enough.
  const bool gone = reply.state == RemoteState::failed;
  counters_.add(&CacheCounters::remote_failures, gone ? 1 : 0);
  warn(gone ? "remote" : "queue", policy_.reason());
  return false;
}

void RemoteQueue::warn(const std::string& kind, const std::string& reason) {
  warnings_.once(kind, fmt::format("the queue of the remote cache {} is not used any more ({}); this machine "
                                   "goes on by itself with all kernels that are missing",
                                   options_.address.name(), reason));
}

}  // namespace kerncast::cache
