#include "cache/remote/lease/queue_policy.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace kerncast::cache {
namespace {

/// Takes the number before the next space off `text`. False if there is none.
bool take_queue_number(std::string_view& text, std::uint64_t& value) {
  const std::size_t space = text.find(' ');
  const std::string_view digits = text.substr(0, space);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
  return error == std::errc() && end == digits.data() + digits.size();
}

}  // namespace

std::optional<QueueAnswer> parse_queue_answer(std::string_view text) {
  constexpr std::size_t longest = 200;
  if (text == "absent") {
    return QueueAnswer{};
  }
  QueueAnswer answer;
  answer.exists = true;
  std::uint64_t next = 0;
  if (text.size() > longest || !take_queue_number(text, answer.open) ||
      !take_queue_number(text, answer.end) || !take_queue_number(text, next)) {
    return std::nullopt;
  }
  answer.next = std::chrono::milliseconds(std::min<std::uint64_t>(next, 3'600'000));
  answer.item = text;
  return answer;
}

QueuePolicy::QueuePolicy(const QueueTimes& times, const std::vector<std::string>& items)
    : times_(times), open_(items.size()), pause_(times.shortest_pause) {
  for (const std::string& item : items) {
    items_.try_emplace(item);
  }
}

QueueStep QueuePolicy::step(Time now, std::size_t places) {
  if (!reason_.empty()) {
    return QueueStep::alone;
  }
  if (finished_) {
    return held_ == 0 ? QueueStep::finished : QueueStep::rest;
  }
  if (must_make_) {
    return QueueStep::make;
  }
  takes_ = places > 0 && (now >= ask_at_ || !to_report_.empty());
  const bool renews = held_ > 0 && now >= renew_at_;
  return takes_ || renews || !to_report_.empty() ? QueueStep::ask : QueueStep::rest;
}

QueueRequest QueuePolicy::request() const {
  return {to_report_, held(), {}, takes_};
}

QueueRequest QueuePolicy::farewell() const {
  return {to_report_, {}, held(), false};
}

std::vector<std::string> QueuePolicy::unfinished() const {
  std::vector<std::string> out;
  for (const auto& [name, item] : items_) {
    if (item.state != State::ended) {
      out.push_back(name);
    }
  }
  return out;
}

std::vector<QueueHold> QueuePolicy::held() const {
  std::vector<QueueHold> out;
  if (held_ == 0) {
    return out;
  }
  for (const auto& [name, item] : items_) {
    if (item.state == State::held) {
      out.push_back({name, item.end});
    }
  }
  return out;
}

std::optional<std::string> QueuePolicy::answered(const QueueAnswer& answer, Time now) {
  constexpr int most_absences = 8;
  to_report_.clear();
  if (!answer.exists) {
    must_make_ = true;
    if (++absences_ > most_absences) {
      failed("it loses the queue again and again");
    }
    return std::nullopt;
  }
  if (answer.open > items_.size()) {
    failed("its queue is not of this plan");
    return std::nullopt;
  }
  if (held_ > 0) {
    for (auto& [name, item] : items_) {
      item.end = item.state == State::held ? answer.end : item.end;
    }
  }
  renew_at_ = now + times_.term / 3;
  if (!progress_ || held_ > 0 || answer.open != open_) {
    progress_ = now;
  }
  open_ = answer.open;
  finished_ = answer.open == 0;
  if (!answer.item.empty()) {
    pause_ = times_.shortest_pause;
    return taken(answer);
  }
  if (takes_ && !finished_) {
    wait(answer, now);
  }
  return std::nullopt;
}

std::optional<std::string> QueuePolicy::taken(const QueueAnswer& answer) {
  const auto found = takes_ ? items_.find(answer.item) : items_.end();
  if (found == items_.end()) {
    failed("it handed out what was not asked for");
    return std::nullopt;
  }
  Item& item = found->second;
  if (item.state == State::fresh) {
    item = {State::held, answer.end};
    ++held_;
    return answer.item;
  }
  // The queue was made anew by a machine that does not know what has ended here, or the own term was over.
  if (++repeats_ > 2 * items_.size()) {
    failed("it hands out the same again and again");
  } else if (item.state == State::ended) {
    to_report_.push_back(answer.item);
  } else {
    item.end = answer.end;
  }
  return std::nullopt;
}

void QueuePolicy::wait(const QueueAnswer& answer, Time now) {
  ask_at_ = now + std::clamp(answer.next, times_.shortest_pause, pause_);
  pause_ = std::min(2 * pause_, times_.longest_pause);
  if (held_ == 0 && now - *progress_ > times_.patience) {
    failed("no machine has ended a kernel of the queue for too long");
  }
}

void QueuePolicy::failed(std::string reason) {
  reason_ = std::move(reason);
}

void QueuePolicy::ended(const std::string& item) {
  const auto found = items_.find(item);
  if (found == items_.end() || found->second.state != State::held) {
    return;
  }
  found->second.state = State::ended;
  --held_;
  to_report_.push_back(item);
}

}  // namespace kerncast::cache
