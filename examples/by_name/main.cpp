// A call without the typed API: op, tensors, scalars and settings have names, as `kerncast ops OP` lists
// them. An engine that reads its graph from a file, or binds another language, calls so.
#include <cstdio>
#include <exception>
#include <kerncast/kerncast.hpp>
#include <string>
#include <vector>

#include "support/driver.hpp"

int main() try {
  kerncast::Runtime& runtime = kerncast::Runtime::instance();
  runtime.make_current(0);
  constexpr std::int64_t rows = 4;
  constexpr std::int64_t hidden = 1024;
  const example::DeviceFloats x(runtime, std::vector<float>(rows * hidden, 2.0F));
  const example::DeviceFloats y(runtime, rows * hidden);

  const kerncast::OpDefinition& op = kerncast::OpRegistry::instance().require("norm.rms_norm");
  kerncast::Bindings bindings;
  bindings.set_tensor("x", x.matrix(rows, hidden));
  bindings.set_tensor("y", y.matrix(rows, hidden));
  bindings.set_scalar("eps", 0);
  runtime.run(op, bindings, nullptr);
  const bool right = y.values() == std::vector<float>(rows * hidden, 1.0F);
  std::printf("norm.rms_norm by name: %s\n", right ? "right" : "wrong");

  // A name that the op does not have is refused before anything is enqueued.
  bindings.set_scalar("epsilon", 0);
  try {
    runtime.run(op, bindings, nullptr);
    return 1;
  } catch (const kerncast::Error& error) {
    std::printf("refused: %s\n", error.what());
    return right && error.code() == kerncast::ErrorCode::invalid_argument ? 0 : 1;
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
