#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "kerncast/reference.hpp"
#include "kerncast/runtime.hpp"

namespace kerncast::test {

/// A tensor of a case. Its memory lies between guard bytes; outputs, gaps between rows and guards are
/// poisoned.
struct TensorCase {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides = {};  ///< empty: contiguous
  std::vector<std::byte> bytes = {};       ///< an input's elements in logical order; empty for an output
  std::int64_t storage = 0;                ///< elements allocated for the view; 0: as far as it reaches
  std::int64_t offset = 0;                 ///< elements from an address aligned to 256 bytes
  bool owns_padding = false;               ///< the op may write all of the storage
  std::string alias = {};                  ///< lies in the memory of the input of that name
};

using Views = std::map<std::string, TensorView>;

struct OpCase {
  std::string op;
  std::vector<TensorCase> tensors;
  std::vector<std::pair<std::string, std::string>> params = {};
  std::vector<std::pair<std::string, double>> scalars = {};
  /// Replaces the call by names: a typed API.
  std::function<void(Runtime&, const Views&)> launch = nullptr;
};

struct Outcome {
  ReferenceInput input;     ///< as the reference takes it
  ReferenceResult verdict;  ///< of the op's reference
  std::string stray;        ///< what changed that the op must leave alone; empty: nothing
};

/// The device that the tests run on, with a kernel cache of its own: the machine's, else the virtual one.
Runtime& runtime();

/// Uploads, launches, waits, downloads, compares with the reference. Throws what the op throws.
Outcome run_case(const OpCase& test);

/// run_case, asserting that the verdict is good and nothing strayed.
Outcome require_good(const OpCase& test);

/// The verdict of the op's reference on `outcome` after `bit` of element `element` of output `tensor` is
/// flipped.
ReferenceResult verdict_after_flip(const std::string& op, const Outcome& outcome, const std::string& tensor,
                                   std::size_t byte, unsigned bit);

/// A view of `test` over host or no memory, for checks that launch nothing.
TensorView view_of(const TensorCase& test, void* data);

}  // namespace kerncast::test
