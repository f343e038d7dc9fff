#include "tools/measure/op_bench.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace kerncast::tools {
namespace {

std::string_view kind_text(Contender::Kind kind) {
  switch (kind) {
    case Contender::Kind::given:
      return "the given tunables";
    case Contender::Kind::defaults:
      return "the op's own tunables";
    case Contender::Kind::chosen:
      break;
  }
  return "the chosen tunables";
}

/// The tunables of a contender; empty if the runtime chooses.
std::optional<Tunables> tunables_of(Runtime& runtime, const BenchRequest& request, const Call& call,
                                    const Contender& contender) {
  switch (contender.kind) {
    case Contender::Kind::given:
      return contender.tunables;
    case Contender::Kind::defaults:
      return request.op->default_tunables(call.spec, runtime.traits(call.device), call.rows);
    case Contender::Kind::chosen:
      break;
  }
  return std::nullopt;
}

/// A subject for each contender. One that cannot be prepared gets a subject that tells why.
std::vector<Subject> prepare_subjects(Runtime& runtime, DeviceTimer& timer, const BenchRequest& request,
                                      BenchResult& result) {
  std::vector<Subject> subjects;
  for (std::size_t i = 0; i < request.contenders.size(); ++i) {
    const std::string name(kind_text(request.contenders[i].kind));
    try {
      const std::optional<Tunables> tunables =
          tunables_of(runtime, request, timer.call(), request.contenders[i]);
      result.times[i].report = runtime.ensure(*request.op, timer.call(), tunables);
      subjects.push_back(timer.subject(name, tunables));
    } catch (const Error& error) {
      if (error.code() == ErrorCode::driver_error) {
        throw;  // a fault: nothing else runs in this context
      }
      subjects.push_back({name, [error]() -> double { throw Error(error); }});
    }
  }
  return subjects;
}

}  // namespace

BenchResult bench_call(DeviceSession& session, const DeviceMonitor& monitor, const BenchRequest& request) {
  BenchResult result;
  result.times.resize(request.contenders.size());
  TimedCall call;
  call.op = request.op;
  call.params = request.params;
  call.scalars = request.scalars;
  call.inputs = steered_inputs(*request.op, request.params, request.scalars, request.rows, request.data,
                               request.rounds.seed);
  DeviceTimer timer(session.runtime(), session.device(), std::move(call), request.timing);
  const std::vector<Subject> subjects = prepare_subjects(session.runtime(), timer, request, result);
  result.before = monitor.look();
  std::vector<Measured> measured = measure_rounds(subjects, request.rounds, &result.end);
  result.after = monitor.look();
  for (std::size_t i = 0; i < measured.size(); ++i) {
    result.times[i].measured = std::move(measured[i]);
  }
  result.disturbed = disturbance(result.before, result.after);
  result.plan = timer.plan();
  result.bytes = timer.bytes_moved();
  result.note = timer.note();
  return result;
}

}  // namespace kerncast::tools
