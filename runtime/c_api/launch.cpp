#include "kerncast/runtime.hpp"

#include <memory>
#include <utility>

#include "runtime/c_api/error.hpp"
#include "runtime/c_api/given_tunables.hpp"
#include "runtime/c_api/handles.hpp"

using kerncast::c_api::guarded;
using kerncast::c_api::need;

namespace kerncast::c_api {
namespace {

Call checked_call(const kerncast_arguments& arguments) {
  check_names(*arguments.op, arguments.bindings);
  return arguments.op->bind(arguments.bindings);
}

}  // namespace
}  // namespace kerncast::c_api

kerncast_status kerncast_run(kerncast_runtime* runtime, const kerncast_arguments* arguments,
                             kerncast_stream stream, kerncast_error** error) {
  return guarded(error, [&] {
    const kerncast_arguments& given = need(arguments, "kerncast_run", "arguments");
    need(runtime, "kerncast_run", "runtime").runtime->run(*given.op, given.bindings, stream);
  });
}

kerncast_status kerncast_prepare(kerncast_runtime* runtime, const kerncast_arguments* arguments,
                                 const char* tunables, kerncast_prepared** prepared, kerncast_error** error) {
  return guarded(error, [&] {
    constexpr const char* function = "kerncast_prepare";
    const kerncast_arguments& given = need(arguments, function, "arguments");
    kerncast_prepared*& place = need(prepared, function, "prepared");
    auto made = std::make_unique<kerncast_prepared>();
    made->runtime = need(runtime, function, "runtime").runtime;
    made->op = given.op;
    made->launch = made->runtime->prepare(*given.op, kerncast::c_api::checked_call(given),
                                          kerncast::c_api::given_tunables(*given.op, tunables, function));
    place = made.release();
  });
}

kerncast_status kerncast_prepared_launch(const kerncast_prepared* prepared, kerncast_stream stream,
                                         kerncast_error** error) {
  return guarded(error,
                 [&] { need(prepared, "kerncast_prepared_launch", "prepared").launch.launch(stream); });
}

kerncast_status kerncast_prepared_rebind(kerncast_prepared* prepared, const kerncast_arguments* arguments,
                                         kerncast_error** error) {
  return guarded(error, [&] {
    constexpr const char* function = "kerncast_prepared_rebind";
    const kerncast_arguments& given = need(arguments, function, "arguments");
    kerncast_prepared& target = need(prepared, function, "prepared");
    target.launch.rebind(*given.op, kerncast::c_api::checked_call(given));
  });
}

void kerncast_prepared_free(kerncast_prepared* prepared) {
  delete prepared;
}

kerncast_status kerncast_ensure(kerncast_runtime* runtime, const kerncast_arguments* arguments,
                                const char* tunables, kerncast_report** report, kerncast_error** error) {
  return guarded(error, [&] {
    constexpr const char* function = "kerncast_ensure";
    const kerncast_arguments& given = need(arguments, function, "arguments");
    kerncast::Runtime& target = *need(runtime, function, "runtime").runtime;
    kerncast::KernelReport made =
        target.ensure(*given.op, kerncast::c_api::checked_call(given),
                      kerncast::c_api::given_tunables(*given.op, tunables, function));
    if (report != nullptr) {
      *report = new kerncast_report{std::move(made)};
    }
  });
}
