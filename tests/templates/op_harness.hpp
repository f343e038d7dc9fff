#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "kerncast/reference.hpp"
#include "kerncast/runtime.hpp"

namespace kerncast::test {

/// A tensor of a case. Outputs, gaps between rows and the guard bytes around an output and before an input
/// are poisoned; an input ends with its allocation.
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

/// Rows so far apart on the device that their offsets pass 2^31 elements; nothing between them is touched.
class SparseRows {
 public:
  /// `values` are the rows' elements; empty: an output, poisoned.
  SparseRows(DType type, std::int64_t rows, std::int64_t width, std::int64_t stride,
             const std::vector<std::byte>& values = {});
  ~SparseRows();
  SparseRows(const SparseRows&) = delete;
  SparseRows& operator=(const SparseRows&) = delete;

  /// [rows, width], strides [stride, 1].
  [[nodiscard]] TensorView view() const;
  /// The rows as they are now, without the gaps.
  [[nodiscard]] HostTensor download(std::string name) const;

 private:
  struct Memory;
  std::unique_ptr<Memory> memory_;
  DType type_;
  std::int64_t rows_;
  std::int64_t width_;
  std::int64_t stride_;
};

/// Offsets of rows 1 and 2 that no signed and no unsigned 32-bit integer holds.
constexpr std::int64_t huge_stride = (std::int64_t{1} << 31) + 64;

/// Waits for all work of the device.
void synchronize();

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
