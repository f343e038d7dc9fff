#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cache/posix/descriptor.hpp"

/// A server on this machine that answers each connection with the same bytes, whatever it is asked: at first
/// `prompt`, then `rest` over and over, a byte each 20 ms, until the client goes.
class ScriptedServer {
 public:
  ScriptedServer(std::string prompt, std::string rest)
      : prompt_(std::move(prompt)),
        rest_(std::move(rest)),
        socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0 &&
        listen(socket_.get(), 16) == 0 &&
        getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0) {
      port_ = ntohs(address.sin_port);
      thread_ = std::thread([this] { serve(); });
    }
  }
  ~ScriptedServer() {
    stop_ = true;
    shutdown(socket_.get(), SHUT_RDWR);
    if (thread_.joinable()) {
      thread_.join();
    }
  }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  [[nodiscard]] int port() const { return port_; }
  /// Number of connections so far.
  [[nodiscard]] int connections() const { return connections_; }
  /// The first bytes that each connection sent.
  [[nodiscard]] std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  using Descriptor = kerncast::cache::Descriptor;

  void serve() {
    while (!stop_) {
      const Descriptor client(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (client.valid()) {
        ++connections_;
        answer(client.get());
      }
    }
  }

  void answer(int client) {
    std::array<char, 4096> request{};
    const ssize_t size = recv(client, request.data(), request.size(), 0);
    if (size > 0) {
      const std::lock_guard lock(mutex_);
      requests_.emplace_back(request.data(), static_cast<std::size_t>(size));
    }
    if (size <= 0 || send(client, prompt_.data(), prompt_.size(), MSG_NOSIGNAL) < 0) {
      return;
    }
    for (std::size_t i = 0; !stop_ && !rest_.empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      if (send(client, &rest_[i % rest_.size()], 1, MSG_NOSIGNAL) <= 0) {
        return;
      }
    }
  }

  std::string prompt_;
  std::string rest_;
  Descriptor socket_;
  int port_ = 0;
  std::atomic<bool> stop_{false};
  std::atomic<int> connections_{0};
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};
