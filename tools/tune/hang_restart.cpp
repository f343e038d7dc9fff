#include "tools/tune/hang_restart.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>
#include <vector>

#include "tools/io/command_context.hpp"
#include "tools/io/output.hpp"
#include "tools/io/own_path.hpp"
#include "tools/io/stop_on_interrupt.hpp"
#include "tools/tune/tune_run.hpp"

namespace kerncast::tools {
namespace {

/// The arguments of this process.
std::vector<std::string> own_arguments() {
  std::ifstream in("/proc/self/cmdline", std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  std::vector<std::string> arguments;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\0', begin);
    arguments.push_back(text.substr(begin, end - begin));
    begin = end == std::string::npos ? text.size() : end + 1;
  }
  return arguments;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) {
    pointers.push_back(text.data());
  }
  pointers.push_back(nullptr);
  return pointers;
}

/// Starts the command again in place of this process, with what is left of `budget`. Returns if it cannot.
void start_again(const TimeBudget& budget) {
  std::vector<std::string> arguments = own_arguments();
  std::vector<std::string> environment;
  for (char** one = environ; *one != nullptr; ++one) {
    environment.emplace_back(*one);
  }
  const std::string variable = std::string(HangRestart::budget_variable) + "=";
  std::erase_if(environment, [&](const std::string& one) { return one.starts_with(variable); });
  if (budget.limited()) {
    environment.push_back(variable + budget.text());
  }
  ::execve(own_path().c_str(), pointers_to(arguments).data(), pointers_to(environment).data());
}

}  // namespace

HangRestart::HangRestart(std::chrono::seconds limit, std::function<Conditions(const Point&)> conditions,
                         std::function<std::string(const Point&)> templates,
                         std::function<std::unique_ptr<TrialStore>()> make_store, const TimeBudget& budget,
                         Console& console)
    : limit_(limit),
      conditions_(std::move(conditions)),
      templates_(std::move(templates)),
      make_store_(std::move(make_store)),
      budget_(budget),
      console_(console),
      guard_(limit, [this](const std::string& work) { restart(work); }) {}

void HangRestart::watch(const EvaluationRequest& request, const Candidate* candidate) {
  if (candidate != nullptr) {
    // The guard must not take this candidate for the one before.
    guard_.watch({});
    const std::lock_guard lock(mutex_);
    launched_ = {*request.point, request.rows, candidate->text, request.is_final};
  }
  guard_.watch(candidate == nullptr ? std::string() : candidate->text);
}

void HangRestart::restart(const std::string& work) {
  const std::lock_guard lock(mutex_);
  if (launched_.tunables != work) {
    return;
  }
  Trial trial;
  trial.tunables = launched_.tunables;
  trial.outcome = Outcome::timed_out;
  trial.why = fmt::format("it did not end within {} s", limit_.count());
  trial.is_final = launched_.is_final;
  trial.at_us = now_us();
  const Point& point = launched_.point;
  const std::unique_ptr<TrialStore> store = make_store_();
  store->append(search_fields(point, launched_.rows, space_of(point), conditions_(point), templates_(point)),
                {&trial, 1});
  const std::string lost = store->finish();
  console_.warning(fmt::format("{}: {} {}; the device is given up and taken again", describe(point),
                               trial.tunables, trial.why));
  static_cast<void>(flush_output());
  if (StopOnInterrupt::requested().load()) {
    ::_exit(exit_interrupted);
  }
  if (lost.empty()) {
    start_again(budget_);
  }
  console_.error(lost.empty()
                     ? fmt::format("the command cannot be started again ({}); start it by hand, it goes on "
                                   "from the stored trials",
                                   std::generic_category().message(errno))
                     : lost +
                           "; it would hang there again, so the command ends: see that the cache directory "
                           "can be written, and start it again");
  ::_exit(exit_failed);
}

}  // namespace kerncast::tools
