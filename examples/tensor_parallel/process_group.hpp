#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

/// Processes that know each other, as torch's process groups and MPI give them to an engine.
namespace example {

/// One end of a pair of connected sockets.
class Socket {
 public:
  explicit Socket(int descriptor) noexcept : descriptor_(descriptor) {}
  ~Socket() {
    if (descriptor_ >= 0) {
      ::close(descriptor_);
    }
  }
  Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  /// Two ends that are connected.
  static std::array<Socket, 2> pair() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) != 0) {
      throw std::system_error(errno, std::generic_category(), "socketpair");
    }
    return {Socket(ends[0]), Socket(ends[1])};
  }
  /// False if the process at the other end is gone.
  [[nodiscard]] bool send(const void* from, std::size_t bytes) const {
    return transfer(bytes, [&](std::size_t done) {
      return ::send(descriptor_, static_cast<const std::byte*>(from) + done, bytes - done, MSG_NOSIGNAL);
    });
  }
  /// False if the process at the other end is gone.
  [[nodiscard]] bool receive(void* to, std::size_t bytes) const {
    return transfer(bytes, [&](std::size_t done) {
      return ::recv(descriptor_, static_cast<std::byte*>(to) + done, bytes - done, 0);
    });
  }

 private:
  template <class Move>
  static bool transfer(std::size_t bytes, const Move& move) {
    std::size_t done = 0;
    while (done < bytes) {
      const ssize_t moved = move(done);
      if (moved > 0) {
        done += static_cast<std::size_t>(moved);
      } else if (moved == 0 || errno != EINTR) {
        return false;
      }
    }
    return true;
  }

  int descriptor_;
};

/// The group as one of its processes sees it. Rank 0 has a socket to every other rank.
class ProcessGroup {
 public:
  /// `sockets` are those to ranks 1, 2, ... for rank 0, and the one to rank 0 for others.
  ProcessGroup(int rank, int world, std::vector<Socket> sockets)
      : rank_(rank), world_(world), sockets_(std::move(sockets)) {}

  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int world() const noexcept { return world_; }

  /// Gathers `bytes` bytes of every rank in `all`, in the order of the ranks. All ranks call it, and none
  /// returns before all have come. Throws std::runtime_error if a rank has ended.
  void all_gather(const void* mine, std::size_t bytes, void* all) const {
    const std::size_t total = bytes * static_cast<std::size_t>(world_);
    if (rank_ != 0) {
      require(sockets_[0].send(mine, bytes) && sockets_[0].receive(all, total), 0);
      return;
    }
    std::memcpy(all, mine, bytes);
    for (std::size_t i = 0; i < sockets_.size(); ++i) {
      require(sockets_[i].receive(static_cast<std::byte*>(all) + (i + 1) * bytes, bytes), i + 1);
    }
    for (std::size_t i = 0; i < sockets_.size(); ++i) {
      require(sockets_[i].send(all, total), i + 1);
    }
  }

  /// One value of every rank.
  template <class Value>
  [[nodiscard]] std::vector<Value> gathered(const Value& mine) const {
    std::vector<Value> all(static_cast<std::size_t>(world_));
    all_gather(&mine, sizeof mine, all.data());
    return all;
  }

 private:
  static void require(bool came, std::size_t rank) {
    if (!came) {
      throw std::runtime_error("rank " + std::to_string(rank) + " ended before the others");
    }
  }

  int rank_;
  int world_;
  std::vector<Socket> sockets_;
};

/// Runs `work` in `world` processes, which are forked from this one, and waits for them. This process must
/// not have called the driver or Kerncast before. A rank fails if its work returns false or throws, or if a
/// signal ends it; standard error has the reason. Returns the number of ranks that failed.
inline int run_ranks(int world, const std::function<bool(const ProcessGroup&)>& work) {
  std::vector<Socket> of_rank_0;
  std::vector<Socket> of_others;
  of_rank_0.reserve(static_cast<std::size_t>(world));
  of_others.reserve(static_cast<std::size_t>(world));
  for (int rank = 1; rank < world; ++rank) {
    auto [first, second] = Socket::pair();
    of_rank_0.push_back(std::move(first));
    of_others.push_back(std::move(second));
  }
  std::fflush(nullptr);  // so that no child prints what this process has buffered
  std::vector<pid_t> children;
  children.reserve(static_cast<std::size_t>(world));
  for (int rank = 0; rank < world; ++rank) {
    const pid_t child = ::fork();
    if (child < 0) {
      throw std::system_error(errno, std::generic_category(), "fork");
    }
    if (child > 0) {
      children.push_back(child);
      continue;
    }
    // Ends of other ranks that stay open here would hide that those ranks have ended.
    std::vector<Socket> own;
    if (rank == 0) {
      own = std::move(of_rank_0);
    } else {
      own.push_back(std::move(of_others[static_cast<std::size_t>(rank - 1)]));
    }
    of_rank_0.clear();
    of_others.clear();
    bool right = false;
    try {
      right = work(ProcessGroup(rank, world, std::move(own)));
    } catch (const std::exception& error) {
      std::fprintf(stderr, "rank %d: %s\n", rank, error.what());
    }
    std::exit(right ? 0 : 1);
  }
  of_rank_0.clear();
  of_others.clear();
  int failed = 0;
  for (int rank = 0; rank < world; ++rank) {
    int status = 0;
    if (::waitpid(children[static_cast<std::size_t>(rank)], &status, 0) < 0) {
      throw std::system_error(errno, std::generic_category(), "waitpid");
    }
    if (WIFSIGNALED(status)) {
      std::fprintf(stderr, "rank %d was ended by signal %d\n", rank, WTERMSIG(status));
    }
    failed += WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
  }
  return failed;
}

}  // namespace example
