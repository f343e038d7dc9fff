#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "kerncast/reference.hpp"
#include "tools/io/safetensors.hpp"

/// The data that steer the time of an op: the experts that tokens go to, and the number of rows of each
/// expert. Other tensors change the result of an op and not its time.
namespace kerncast::tools {

/// The distribution from which such data are drawn.
struct SteeringData {
  enum class Kind : std::uint8_t { uniform, zipf, recorded };

  Kind kind = Kind::uniform;
  double exponent = 0;  ///< of zipf: the expert of popularity rank r has the weight r^-exponent
  std::string name;     ///< of recorded: the file, without its folders
  std::vector<StoredTensor> recorded;
  std::string digest;  ///< of the content of that file, as 16 hex digits

  /// "uniform", "zipf 1.1" or "recorded NAME DIGEST", as tuned records state it.
  [[nodiscard]] std::string text() const;
};

/// Parses "uniform", "zipf:1.1" or "recorded:FILE", and reads the safetensors file. Throws UsageError, which
/// names `option` and the nearest valid value, and Error(io_error) for a file that cannot be read.
[[nodiscard]] SteeringData parse_steering_data(const std::string& option, const std::string& text);

/// The inputs of `op` that steer its time: expert ids and masks. Most ops have none.
[[nodiscard]] std::vector<std::string> steering_tensors(const OpDefinition& op);

/// Inputs as synthetic_inputs() makes them, but with the tensors of steering_tensors() drawn as `data` says;
/// the same `seed` gives the same values.
/// - "ids" [T, K]: each token goes to K different experts, drawn by weight one after another. Uniform gives
/// all the same
///   weight. With zipf, the seed chooses which expert has which rank.
/// - "masked_m" [E]: the rows of each expert. Uniform draws each count from 0 to `rows`. With zipf, the
/// expert of rank r
///   has rows * r^-exponent, rounded.
/// Recorded tensors have the names and types of the op's; the rows of recorded ids are repeated or cut to
/// fit. Throws UsageError for a recording that lacks a tensor or does not fit the call.
[[nodiscard]] std::vector<HostTensor> steered_inputs(
    const OpDefinition& op, const std::vector<std::pair<std::string, std::string>>& params,
    const std::vector<std::pair<std::string, double>>& scalars, std::int64_t rows, const SteeringData& data,
    std::uint64_t seed);

}  // namespace kerncast::tools
