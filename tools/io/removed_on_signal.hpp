#pragma once

#include <atomic>
#include <string>

namespace kerncast::tools {

/// While the object lives, the file at `path` is removed if Ctrl-C, SIGTERM or SIGHUP ends the process. A
/// signal that is ignored or handled otherwise, as by StopOnInterrupt, is left as it is. Of more than eight
/// files at a time only eight are removed.
class RemovedOnSignal {
 public:
  explicit RemovedOnSignal(std::string path);
  ~RemovedOnSignal();
  RemovedOnSignal(const RemovedOnSignal&) = delete;
  RemovedOnSignal& operator=(const RemovedOnSignal&) = delete;

 private:
  const std::string path_;
  std::atomic<const char*>* place_ = nullptr;
};

}  // namespace kerncast::tools
