#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kerncast::cache {

/// The next step of a machine that works on a queue.
enum class QueueStep : std::uint8_t {
  make,      ///< create the queue with unfinished(), unless there is one
  ask,       ///< send request()
  rest,      ///< ask nothing for now
  finished,  ///< every item has ended, here or elsewhere
  alone,     ///< go on without the queue, because of reason()
};

/// An item that this machine holds until `end` by the clock of the server. Since a later holder has a later
/// end, the end also tells whose the item is.
struct QueueHold {
  std::string item;
  std::uint64_t end = 0;  ///< in ms
};

/// A message to the queue: what a machine tells it and asks of it, all at once.
struct QueueRequest {
  std::vector<std::string> ended;   ///< items that need no more work
  std::vector<QueueHold> renewed;   ///< items whose term begins anew
  std::vector<QueueHold> returned;  ///< items that others may take at once
  bool takes = false;               ///< asks for one more item
};

/// The answer to a QueueRequest.
struct QueueAnswer {
  bool exists = false;                ///< false if there is no such queue (any more)
  std::uint64_t open = 0;             ///< items that have not ended
  std::uint64_t end = 0;              ///< of the terms that begin now, in ms by the clock of the server
  std::chrono::milliseconds next{0};  ///< time until the next term is over, if no item was taken
  std::string item;                   ///< the item that was taken; empty if none
};

/// Reads "absent", or "OPEN END NEXT ITEM", where ITEM may be missing. Nothing if it is neither.
[[nodiscard]] std::optional<QueueAnswer> parse_queue_answer(std::string_view text);

/// Times of a policy. All are spans on the machine's own monotonic clock, except that the term is also sent
/// to the server.
struct QueueTimes {
  std::chrono::milliseconds term{30'000};  ///< after which an item of a machine that is gone is free again
  std::chrono::milliseconds shortest_pause{100};
  std::chrono::milliseconds longest_pause{2000};
  /// The longest wait for other machines in which not one item ends.
  std::chrono::milliseconds patience{600'000};
};

/// Decides what a machine asks of a queue that it shares with others. It knows neither sockets nor clocks:
/// the caller does each step() and reports the answer and the time.
///
/// A machine takes an item for a term, which it renews while it works on it. An item whose term is over is
/// handed out again. An item that has ended stays in the queue, so that a late machine sees that nothing is
/// left to do. Since the items are work that may be done twice, a queue that vanishes is made anew, and a
/// server that fails, contradicts itself or makes no progress is left. Not thread-safe.
class QueuePolicy {
 public:
  /// A time on the machine's monotonic clock.
  using Time = std::chrono::milliseconds;

  /// `items` are the same for all machines, each once.
  QueuePolicy(const QueueTimes& times, const std::vector<std::string>& items);

  /// The step to do at `now` by a machine that has room for `places` more items.
  [[nodiscard]] QueueStep step(Time now, std::size_t places);
  /// The message of the step ask.
  [[nodiscard]] QueueRequest request() const;
  /// The items that have not ended here.
  [[nodiscard]] std::vector<std::string> unfinished() const;
  /// The message of a machine that ends before its items do.
  [[nodiscard]] QueueRequest farewell() const;

  /// Reports that the step make was done.
  void made() { must_make_ = false; }
  /// Reports the answer to request(). Returns the item to work on now, if there is one.
  [[nodiscard]] std::optional<std::string> answered(const QueueAnswer& answer, Time now);
  /// Reports that the queue cannot be used, because of `reason`.
  void failed(std::string reason);
  /// Reports that this machine is done with an item that answered() returned.
  void ended(const std::string& item);

  [[nodiscard]] const std::string& reason() const { return reason_; }
  /// The items that had not ended anywhere at the last answer.
  [[nodiscard]] std::uint64_t open() const { return open_; }

 private:
  enum class State : std::uint8_t { fresh, held, ended };
  struct Item {
    State state = State::fresh;
    std::uint64_t end = 0;
  };
  [[nodiscard]] std::vector<QueueHold> held() const;
  [[nodiscard]] std::optional<std::string> taken(const QueueAnswer& answer);
  void wait(const QueueAnswer& answer, Time now);

  QueueTimes times_;
  std::map<std::string, Item> items_;
  std::vector<std::string> to_report_;  ///< items that have ended since the last answer
  std::string reason_;
  std::size_t held_ = 0;
  std::size_t repeats_ = 0;  ///< items that were handed out though they had ended
  int absences_ = 0;         ///< how often the queue was not there
  std::uint64_t open_ = 0;
  std::optional<Time> progress_;  ///< when an item ended or began last
  Time ask_at_{0};
  Time renew_at_{0};
  Time pause_;
  bool takes_ = false;
  bool must_make_ = false;
  bool finished_ = false;
};

}  // namespace kerncast::cache
