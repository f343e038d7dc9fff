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
  std::vector<std::byte> bytes = {};       ///< elements of an input in logical order; empty for an output
  std::int64_t storage = 0;                ///< elements allocated for the view; 0: as many as it reaches
  std::int64_t offset = 0;                 ///< elements from an address aligned to 256 bytes
  bool owns_padding = false;               ///< the op may write all of the storage
  std::string alias = {};                  ///< name of the input whose memory the tensor shares
};

using Views = std::map<std::string, TensorView>;

struct OpCase {
  std::string op;
  std::vector<TensorCase> tensors;
  std::vector<std::pair<std::string, std::string>> params = {};
  std::vector<std::pair<std::string, double>> scalars = {};
  /// Replaces the call by names, for example by a typed call.
  std::function<void(Runtime&, const Views&)> launch = nullptr;
};

struct Outcome {
  ReferenceInput input;     ///< the case after the call, as the reference takes it
  ReferenceResult verdict;  ///< verdict of the op's reference
  std::string stray;        ///< first change of memory that the op does not own; empty: none
};

/// Rows so far apart on the device that their offsets pass 2^31 elements; nothing between them is touched.
class SparseRows {
 public:
  /// `values` are the elements of the rows; if empty, the rows are an output and poisoned.
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

/// Waits until the device has no more work.
void synchronize();

/// The runtime of the tests' device, with a kernel cache of its own. The device is the machine's, else the
/// virtual one.
Runtime& runtime();

/// The tensors of `views` with the scalars and settings of `test`.
[[nodiscard]] Bindings bindings_of(const OpCase& test, const Views& views);

/// Uploads, launches, waits, downloads, compares with the reference. Throws what the op throws.
Outcome run_case(const OpCase& test);

/// run_case, asserting that the verdict is good and nothing strayed.
Outcome require_good(const OpCase& test);

/// The verdict of the op's reference on `outcome` after `bit` of element `element` of output `tensor` is
/// flipped.
ReferenceResult verdict_after_flip(const std::string& op, const Outcome& outcome, const std::string& tensor,
                                   std::size_t byte, unsigned bit);

/// A view of `test` at `data`.
TensorView view_of(const TensorCase& test, void* data);

}  // namespace kerncast::test
