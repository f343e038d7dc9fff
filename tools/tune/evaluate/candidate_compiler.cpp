#include "tools/tune/evaluate/candidate_compiler.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace kerncast::tools {

CandidateCompiler::CandidateCompiler(Runtime& runtime, std::size_t jobs) : runtime_(runtime) {
  // Two threads for each compiler: while one publishes its result, the kernel of the other is compiled.
  for (std::size_t i = 0; i < 2 * jobs; ++i) {
    threads_.emplace_back([this] { serve(); });
  }
}

CandidateCompiler::~CandidateCompiler() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    waiting_.clear();
    changed_.notify_all();
  }
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

CandidateCompiler::Work CandidateCompiler::work_of(const Point& point, const Candidate& candidate) {
  return {fmt::format("{} [{}] {} {}", point.op().name, point.spec_text, point.arch, candidate.text),
          &point.op(),
          point.spec,
          point.arch,
          point.rows_low,
          candidate.tunables};
}

void CandidateCompiler::prepare(const Point& point, std::span<const Candidate> candidates) {
  const std::lock_guard lock(mutex_);
  for (auto candidate = candidates.rbegin(); candidate != candidates.rend(); ++candidate) {
    put_first(work_of(point, *candidate));
  }
}

void CandidateCompiler::put_first(Work work) {
  if (done_.contains(work.name) || std::find(running_.begin(), running_.end(), work.name) != running_.end()) {
    return;
  }
  std::erase_if(waiting_, [&](const Work& other) { return other.name == work.name; });
  waiting_.push_front(std::move(work));
  changed_.notify_all();
}

Compiled CandidateCompiler::take(const Point& point, const Candidate& candidate) {
  const Work work = work_of(point, candidate);
  const std::string& name = work.name;
  std::unique_lock lock(mutex_);
  while (!done_.contains(name)) {
    // Another who waits for the same kernel may have taken a failure, after which it must be compiled again.
    put_first(work);
    changed_.wait(lock);
  }
  const Compiled& made = done_[name];
  Compiled taken = made;
  if (!made.error.empty() && !made.refused) {
    // The next one who asks may have more luck.
    done_.erase(name);
  }
  return taken;
}

std::vector<std::string> CandidateCompiler::in_flight() const {
  const std::lock_guard lock(mutex_);
  return running_;
}

Compiled CandidateCompiler::compile(const Work& work) const {
  Compiled made;
  try {
    const KernelReport report = runtime_.compile(*work.op, work.spec, work.arch, work.rows, work.tunables);
    made.registers = report.registers;
    made.spill_bytes = report.spill_store_bytes + report.spill_load_bytes;
    made.shared_bytes = report.shared_bytes;
  } catch (const Error& error) {
    made.error = error.what();
    made.refused = error.code() == ErrorCode::compile_failed || error.code() == ErrorCode::invalid_argument;
  } catch (const std::exception& error) {
    made.error = error.what();
  }
  return made;
}

void CandidateCompiler::serve() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return closed_ || !waiting_.empty(); });
    if (closed_) {
      return;
    }
    const Work work = std::move(waiting_.front());
    waiting_.pop_front();
    running_.push_back(work.name);
    lock.unlock();
    Compiled made = compile(work);
    lock.lock();
    running_.erase(std::find(running_.begin(), running_.end(), work.name));
    done_[work.name] = std::move(made);
    changed_.notify_all();
  }
}

}  // namespace kerncast::tools
