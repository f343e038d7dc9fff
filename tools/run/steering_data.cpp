#include "tools/run/steering_data.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "runtime/util/nearest_name.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/run/bound_call.hpp"
#include "tools/run/op_run.hpp"
#include "tools/run/split_mix.hpp"
#include "tools/run/synthetic.hpp"

namespace kerncast::tools {
namespace {

constexpr double largest_exponent = 10;

bool holds_ids(std::string_view tensor) {
  return tensor == "ids";
}

bool holds_mask(std::string_view tensor) {
  return tensor == "masked_m";
}

std::vector<std::int32_t> integers_of(const std::vector<std::byte>& bytes) {
  std::vector<std::int32_t> values(bytes.size() / sizeof(std::int32_t));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(std::int32_t));
  return values;
}

/// The weight of each expert, by Zipf's law. The seed chooses which of them are popular.
std::vector<double> popularities(std::size_t experts, double exponent, SplitMix& random) {
  std::vector<double> weights(experts);
  for (std::size_t rank = 0; rank < experts; ++rank) {
    weights[rank] = std::pow(static_cast<double>(rank + 1), -exponent);
  }
  for (std::size_t i = experts; i > 1; --i) {
    std::swap(weights[i - 1], weights[random.bits() % i]);
  }
  return weights;
}

/// Draws experts by weight, different ones for each token.
class Router {
 public:
  Router(const std::vector<double>& weights, SplitMix& random) : random_(random), sums_(weights.size()) {
    std::partial_sum(weights.begin(), weights.end(), sums_.begin());
    by_weight_.resize(weights.size());
    std::iota(by_weight_.begin(), by_weight_.end(), 0);
    std::stable_sort(by_weight_.begin(), by_weight_.end(), [&](std::int32_t a, std::int32_t b) {
      return weights[static_cast<std::size_t>(a)] > weights[static_cast<std::size_t>(b)];
    });
  }

  void route(std::int32_t* ids, std::size_t slots) {
    for (std::size_t i = 0; i < slots; ++i) {
      ids[i] = next(ids, i);
    }
  }

 private:
  /// An expert that is not among the first `taken` of `ids`, if there is one.
  std::int32_t next(const std::int32_t* ids, std::size_t taken) {
    constexpr int attempts = 32;
    const auto is_taken = [&](std::int32_t expert) {
      return std::find(ids, ids + taken, expert) != ids + taken;
    };
    std::int32_t expert = 0;
    for (int i = 0; i < attempts; ++i) {
      const auto place = std::upper_bound(sums_.begin(), sums_.end(), random_.uniform() * sums_.back());
      expert = static_cast<std::int32_t>(std::min(place - sums_.begin(), std::ssize(sums_) - 1));
      if (!is_taken(expert)) {
        return expert;
      }
    }
    // The experts that are left weigh next to nothing, so the heaviest of them is as good as drawn.
    const auto left = std::find_if(by_weight_.begin(), by_weight_.end(),
                                   [&](std::int32_t candidate) { return !is_taken(candidate); });
    return left == by_weight_.end() ? expert : *left;
  }

  SplitMix& random_;
  std::vector<double> sums_;
  std::vector<std::int32_t> by_weight_;
};

std::vector<std::int32_t> drawn_ids(const TensorPlan& plan, double exponent, SplitMix& random) {
  const auto slots = static_cast<std::size_t>(plan.shape.back());
  std::vector<std::int32_t> ids(static_cast<std::size_t>(element_count(plan.shape)));
  const auto experts = static_cast<std::size_t>(std::max<std::int64_t>(plan.integers_below, 1));
  Router router(popularities(experts, exponent, random), random);
  for (std::size_t first = 0; first + slots <= ids.size() && slots > 0; first += slots) {
    router.route(ids.data() + first, slots);
  }
  return ids;
}

std::vector<std::int32_t> drawn_mask(const TensorPlan& plan, std::int64_t rows, const SteeringData& data,
                                     SplitMix& random) {
  std::vector<std::int32_t> counts(static_cast<std::size_t>(element_count(plan.shape)));
  const bool zipf = data.kind == SteeringData::Kind::zipf;
  const std::vector<double> weights = popularities(counts.size(), zipf ? data.exponent : 0, random);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double part = zipf ? std::round(static_cast<double>(rows) * weights[i])
                             : std::floor(static_cast<double>(rows + 1) * random.uniform());
    counts[i] = static_cast<std::int32_t>(part);
  }
  return counts;
}

const StoredTensor& recorded_tensor(const SteeringData& data, const OpDefinition& op,
                                    const TensorPlan& plan) {
  const auto found = std::find_if(data.recorded.begin(), data.recorded.end(),
                                  [&](const StoredTensor& tensor) { return tensor.name == plan.name; });
  if (found == data.recorded.end()) {
    std::vector<std::string> names;
    names.reserve(data.recorded.size());
    for (const StoredTensor& tensor : data.recorded) {
      names.push_back(tensor.name);
    }
    throw UsageError(fmt::format("{} has no tensor '{}', which steers the time of {}; it has {}", data.name,
                                 plan.name, op.name,
                                 names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "))));
  }
  if (found->dtype != plan.dtype || found->shape.size() != plan.shape.size() ||
      found->shape.back() != plan.shape.back() || element_count(found->shape) == 0) {
    throw UsageError(fmt::format("{}: tensor '{}' is {} [{}], and {} needs {} [{}]", data.name, plan.name,
                                 name_of(found->dtype), fmt::join(found->shape, ", "), op.name,
                                 name_of(plan.dtype), fmt::join(plan.shape, ", ")));
  }
  return *found;
}

std::vector<std::int32_t> recorded_values(const SteeringData& data, const OpDefinition& op,
                                          const TensorPlan& plan, std::int64_t rows) {
  const std::vector<std::int32_t> values = integers_of(recorded_tensor(data, op, plan).bytes);
  const std::int64_t most = holds_ids(plan.name) ? plan.integers_below - 1 : rows;
  const auto bad = std::find_if(values.begin(), values.end(),
                                [&](std::int32_t value) { return value < 0 || value > most; });
  if (bad != values.end()) {
    throw UsageError(
        holds_ids(plan.name)
            ? fmt::format("{}: ids holds expert {}, and the op has experts 0 to {}; give the number of "
                          "experts that was recorded",
                          data.name, *bad, most)
            : fmt::format("{}: masked_m counts {} rows of an expert, and the call has {}; give --rows {}",
                          data.name, *bad, rows, *std::max_element(values.begin(), values.end())));
  }
  std::vector<std::int32_t> fitted(static_cast<std::size_t>(element_count(plan.shape)));
  for (std::size_t i = 0; i < fitted.size(); ++i) {
    fitted[i] = values[i % values.size()];
  }
  return fitted;
}

double parse_exponent(const std::string& option, const std::string& text, const std::string& digits) {
  char* end = nullptr;
  const double value = std::strtod(digits.c_str(), &end);
  const bool number =
      !digits.empty() && digits.find_first_not_of("0123456789.") == std::string::npos && *end == '\0';
  if (!number || value <= 0 || value > largest_exponent) {
    throw UsageError(
        fmt::format("{} {}: the exponent of zipf is a number above 0 and at most {:g}, such as zipf:1.1",
                    option, text, largest_exponent));
  }
  return value;
}

/// A digest of names, shapes and bytes.
std::string digest_of(const std::vector<StoredTensor>& tensors) {
  std::uint64_t digest = 0;
  const auto add = [&digest](const void* bytes, std::size_t count) {
    digest = XXH3_64bits_withSeed(bytes, count, digest);
  };
  for (const StoredTensor& tensor : tensors) {
    add(tensor.name.data(), tensor.name.size());
    add(tensor.shape.data(), tensor.shape.size() * sizeof(tensor.shape.front()));
    add(tensor.bytes.data(), tensor.bytes.size());
  }
  return fmt::format("{:016x}", digest);
}

}  // namespace

std::string SteeringData::text() const {
  switch (kind) {
    case Kind::zipf:
      return fmt::format("zipf {:g}", exponent);
    case Kind::recorded:
      return fmt::format("recorded {} {}", name, digest);
    case Kind::uniform:
      break;
  }
  return "uniform";
}

SteeringData parse_steering_data(const std::string& option, const std::string& text) {
  SteeringData data;
  const std::size_t colon = text.find(':');
  const std::string kind = text.substr(0, colon);
  const std::string rest = colon == std::string::npos ? std::string() : text.substr(colon + 1);
  if (text == "uniform") {
    return data;
  }
  if (kind == "zipf") {
    data.kind = SteeringData::Kind::zipf;
    data.exponent = parse_exponent(option, text, rest);
    return data;
  }
  if (kind == "recorded" && !rest.empty()) {
    data.kind = SteeringData::Kind::recorded;
    data.name = std::filesystem::path(rest).filename().string();
    data.recorded = read_safetensors(rest);
    data.digest = digest_of(data.recorded);
    return data;
  }
  const std::string nearest = nearest_name(kind, {"uniform", "zipf", "recorded"});
  throw UsageError(fmt::format(
      "{} {} is no distribution{}; write uniform, zipf:1.1 or recorded:FILE", option, text,
      nearest.empty() || nearest == kind ? std::string() : fmt::format(" (did you mean {}?)", nearest)));
}

std::vector<std::string> steering_tensors(const OpDefinition& op) {
  std::vector<std::string> names;
  for (const TensorSpec& tensor : op.tensors) {
    if (tensor.direction == Direction::in && (holds_ids(tensor.name) || holds_mask(tensor.name))) {
      names.push_back(tensor.name);
    }
  }
  return names;
}

std::vector<HostTensor> steered_inputs(const OpDefinition& op,
                                       const std::vector<std::pair<std::string, std::string>>& params,
                                       const std::vector<std::pair<std::string, double>>& scalars,
                                       std::int64_t rows, const SteeringData& data, std::uint64_t seed) {
  std::vector<HostTensor> inputs = synthetic_inputs(op, params, scalars, rows);
  const std::vector<std::string> steering = steering_tensors(op);
  for (const TensorPlan& plan : op.plan_inputs(bindings_of(params, scalars), rows)) {
    if (std::find(steering.begin(), steering.end(), plan.name) == steering.end() ||
        plan.dtype != DType::i32) {
      continue;
    }
    SplitMix random(seed_of(fmt::format("{} {} {}", op.name, data.text(), seed), plan.name));
    std::vector<std::int32_t> values;
    if (data.kind == SteeringData::Kind::recorded) {
      values = recorded_values(data, op, plan, rows);
    } else if (holds_ids(plan.name)) {
      values = drawn_ids(plan, data.exponent, random);
    } else {
      values = drawn_mask(plan, rows, data, random);
    }
    const auto tensor = std::find_if(inputs.begin(), inputs.end(),
                                     [&](const HostTensor& input) { return input.name == plan.name; });
    std::memcpy(tensor->bytes.data(), values.data(),
                std::min(tensor->bytes.size(), values.size() * sizeof values[0]));
  }
  return inputs;
}

}  // namespace kerncast::tools
