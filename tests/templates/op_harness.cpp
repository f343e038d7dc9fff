#include "tests/templates/op_harness.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "runtime/dispatch/runtime_impl.hpp"
#include "runtime/driver/context.hpp"
#include "tests/templates/kernel_cache.hpp"

namespace kerncast::test {
namespace {

constexpr std::size_t guard_bytes = 512;
constexpr std::byte poison{0xcd};
/// Elements between two rows in the host's image of rows that lie far apart.
constexpr std::int64_t row_gap = 64;

struct Device {
  Device() {
    RuntimeOptions options;
    options.cache_directory = cache.path();
    made = std::make_unique<Runtime>(options);
    context = std::make_unique<driver::PrimaryContext>(
        std::shared_ptr<const driver::Driver>(std::shared_ptr<void>(), &implementation_of(*made).driver()),
        0);
  }
  ~Device() {
    context.reset();
    made.reset();
  }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  KernelCache cache;
  std::unique_ptr<Runtime> made;
  std::unique_ptr<driver::PrimaryContext> context;
};

Device& device() {
  static Device instance;
  return instance;
}

std::vector<std::int64_t> strides_of(const TensorCase& test) {
  if (!test.strides.empty()) {
    return test.strides;
  }
  std::vector<std::int64_t> strides(test.shape.size());
  std::int64_t stride = 1;
  for (std::size_t i = test.shape.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= test.shape[i];
  }
  return strides;
}

/// Offsets of all elements, in logical order.
std::vector<std::int64_t> offsets_of(const TensorCase& test) {
  std::vector<std::int64_t> offsets{0};
  const std::vector<std::int64_t> strides = strides_of(test);
  for (std::size_t i = 0; i < test.shape.size(); ++i) {
    std::vector<std::int64_t> next;
    next.reserve(offsets.size() * static_cast<std::size_t>(test.shape[i]));
    for (const std::int64_t offset : offsets) {
      for (std::int64_t k = 0; k < test.shape[i]; ++k) {
        next.push_back(offset + k * strides[i]);
      }
    }
    offsets = std::move(next);
  }
  return offsets;
}

/// `test` with its rows as near to one another as their elements and a gap between them allow.
TensorCase with_near_rows(const TensorCase& test) {
  TensorCase near = test;
  std::int64_t reach = 1;
  for (std::size_t i = 1; i < test.shape.size(); ++i) {
    reach += (test.shape[i] - 1) * test.strides[i];
  }
  near.strides.front() = reach + row_gap;
  return near;
}

/// True if the rows of `test` lie too far apart for a copy of the whole storage.
bool has_far_rows(const TensorCase& test) {
  return !test.strides.empty() && test.strides.front() >= huge_stride;
}

/// A tensor's memory: guard, offset, storage, guard. Of rows that lie far apart, the host keeps an image in
/// which they lie near one another; what is between them on the device is neither written nor looked at, but
/// for half a gap on both sides of a row.
struct Placed {
  TensorCase test;  ///< as the host's image has it
  std::size_t element;
  std::vector<std::int64_t> offsets;
  std::size_t start;
  std::size_t storage;
  std::size_t between = 0;  ///< bytes from row to row on the device beyond those in the image
  std::vector<std::byte> before;
  std::unique_ptr<driver::DeviceBuffer> buffer;

  explicit Placed(const TensorCase& of)
      : test(has_far_rows(of) ? with_near_rows(of) : of),
        element(static_cast<std::size_t>(size_of(of.dtype))),
        offsets(offsets_of(test)),
        start(guard_bytes + static_cast<std::size_t>(of.offset) * element) {
    std::int64_t reach = test.storage;
    for (const std::int64_t offset : offsets) {
      reach = std::max(reach, offset + 1);
    }
    storage = static_cast<std::size_t>(reach) * element;
    // Past an input there is nothing, so that the virtual GPU faults whoever reads beyond it.
    before.assign(start + storage + (test.bytes.empty() ? guard_bytes : 0), poison);
    if (!test.bytes.empty()) {
      REQUIRE(test.bytes.size() == offsets.size() * element);
      for (std::size_t i = 0; i < offsets.size(); ++i) {
        std::memcpy(before.data() + start + static_cast<std::size_t>(offsets[i]) * element,
                    test.bytes.data() + i * element, element);
      }
    }
    std::size_t size = before.size();
    if (has_far_rows(of)) {
      between = static_cast<std::size_t>(of.strides.front() - test.strides.front()) * element;
      size += between * static_cast<std::size_t>(of.shape.front() - 1);
    }
    buffer = std::make_unique<driver::DeviceBuffer>(device().context->api(), size);
    for_each_piece([&](std::size_t from, std::size_t bytes, std::size_t at) {
      buffer->upload(before.data() + from, bytes, at);
    });
  }

  /// The image as the device has it now.
  [[nodiscard]] std::vector<std::byte> download() const {
    std::vector<std::byte> image(before.size());
    for_each_piece([&](std::size_t from, std::size_t bytes, std::size_t at) {
      buffer->download(image.data() + from, bytes, at);
    });
    return image;
  }

  [[nodiscard]] void* data() const { return static_cast<std::byte*>(buffer->data()) + start; }

  [[nodiscard]] HostTensor host(const std::vector<std::byte>& image, const TensorCase& as) const {
    HostTensor made;
    made.name = as.name;
    made.dtype = as.dtype;
    made.shape = as.shape;
    made.strides = between == 0 ? strides_of(as) : test.strides;
    const auto first = image.begin() + static_cast<std::ptrdiff_t>(start);
    made.bytes.assign(first, first + static_cast<std::ptrdiff_t>(storage));
    return made;
  }

  /// Describes the first changed byte that the op may not write; empty if there is none.
  [[nodiscard]] std::string stray(const std::vector<std::byte>& after, bool written) const {
    std::vector<bool> owned(before.size(), false);
    if (written) {
      if (test.owns_padding) {
        std::fill_n(owned.begin() + static_cast<std::ptrdiff_t>(start), storage, true);
      }
      for (const std::int64_t offset : offsets) {
        std::fill_n(owned.begin() + static_cast<std::ptrdiff_t>(start) +
                        offset * static_cast<std::ptrdiff_t>(element),
                    element, true);
      }
    }
    for (std::size_t i = 0; i < before.size(); ++i) {
      if (!owned[i] && before[i] != after[i]) {
        return fmt::format("byte {} of '{}' (storage of {} bytes) was written",
                           static_cast<std::int64_t>(i) - static_cast<std::int64_t>(start), test.name,
                           storage);
      }
    }
    return {};
  }

 private:
  /// Calls `copy` with the place in the image, the size and the place on the device of all that lies
  /// together.
  template <class Copy>
  void for_each_piece(const Copy& copy) const {
    if (between == 0) {
      copy(std::size_t{0}, before.size(), std::size_t{0});
      return;
    }
    const std::size_t row = static_cast<std::size_t>(test.strides.front()) * element;
    const auto rows = static_cast<std::size_t>(test.shape.front());
    const std::size_t half_gap = static_cast<std::size_t>(row_gap) / 2 * element;
    for (std::size_t i = 0; i < rows; ++i) {
      const std::size_t first = i == 0 ? 0 : start + i * row - half_gap;
      const std::size_t last = i + 1 == rows ? before.size() : start + (i + 1) * row - half_gap;
      copy(first, last - first, first + i * between);
    }
  }
};

}  // namespace

Runtime& runtime() {
  return *device().made;
}

TensorView view_of(const TensorCase& test, void* data) {
  TensorView view;
  view.data = data;
  view.dtype = test.dtype;
  view.rank = static_cast<int>(test.shape.size());
  const std::vector<std::int64_t> strides = strides_of(test);
  std::copy(test.shape.begin(), test.shape.end(), view.shape.begin());
  std::copy(strides.begin(), strides.end(), view.strides.begin());
  return view;
}

struct SparseRows::Memory {
  explicit Memory(std::size_t bytes) : buffer(device().context->api(), bytes) {}
  driver::DeviceBuffer buffer;
};

SparseRows::SparseRows(DType type, std::int64_t rows, std::int64_t width, std::int64_t stride,
                       const std::vector<std::byte>& values)
    : type_(type), rows_(rows), width_(width), stride_(stride) {
  const auto element = static_cast<std::size_t>(size_of(type));
  const std::size_t row_bytes = static_cast<std::size_t>(width) * element;
  memory_ = std::make_unique<Memory>(static_cast<std::size_t>((rows - 1) * stride + width) * element);
  const std::vector<std::byte> poisoned(row_bytes, poison);
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto at = static_cast<std::size_t>(row);
    memory_->buffer.upload(values.empty() ? poisoned.data() : values.data() + at * row_bytes, row_bytes,
                           at * static_cast<std::size_t>(stride) * element);
  }
}

SparseRows::~SparseRows() = default;

TensorView SparseRows::view() const {
  TensorView view = TensorView::contiguous(memory_->buffer.data(), type_, {rows_, width_});
  view.strides[0] = stride_;
  return view;
}

HostTensor SparseRows::download(std::string name) const {
  const auto element = static_cast<std::size_t>(size_of(type_));
  const std::size_t row_bytes = static_cast<std::size_t>(width_) * element;
  HostTensor made{std::move(name), type_, {rows_, width_}, {width_, 1}, {}};
  made.bytes.resize(static_cast<std::size_t>(rows_) * row_bytes);
  for (std::int64_t row = 0; row < rows_; ++row) {
    const auto at = static_cast<std::size_t>(row);
    memory_->buffer.download(made.bytes.data() + at * row_bytes, row_bytes,
                             at * static_cast<std::size_t>(stride_) * element);
  }
  return made;
}

void synchronize() {
  device().context->synchronize();
}

Bindings bindings_of(const OpCase& test, const Views& views) {
  Bindings bindings;
  for (const auto& [name, view] : views) {
    // A name for a tensor after the call is no argument of the op.
    const bool is_after =
        std::any_of(test.tensors.begin(), test.tensors.end(), [&, own = name](const auto& t) {
          return t.name == own && !t.alias.empty() && t.name == t.alias + "_out";
        });
    if (!is_after) {
      bindings.set_tensor(name, view);
    }
  }
  for (const auto& [name, value] : test.scalars) {
    bindings.set_scalar(name, value);
  }
  for (const auto& [name, value] : test.params) {
    bindings.set_param(name, value);
  }
  return bindings;
}

Outcome run_case(const OpCase& test) {
  Runtime& on = runtime();
  std::map<std::string, Placed> placed;
  std::map<std::string, bool> written;
  Views views;
  for (const TensorCase& tensor : test.tensors) {
    if (tensor.alias.empty()) {
      placed.emplace(tensor.name, Placed(tensor));
      views[tensor.name] = view_of(tensor, placed.at(tensor.name).data());
    } else {
      views[tensor.name] = view_of(tensor, placed.at(tensor.alias).data());
    }
    written[tensor.alias.empty() ? tensor.name : tensor.alias] = tensor.bytes.empty();
  }

  const OpDefinition& op = OpRegistry::instance().require(test.op);
  const Bindings bindings = bindings_of(test, views);
  Outcome outcome;
  outcome.input.spec = op.bind(bindings).spec;
  outcome.input.scalars = test.scalars;
  if (test.launch) {
    test.launch(on, views);
  } else {
    on.run(op, bindings, nullptr);
  }
  device().context->synchronize();

  std::map<std::string, std::vector<std::byte>> after;
  for (const auto& [name, memory] : placed) {
    std::vector<std::byte> image = memory.download();
    if (outcome.stray.empty()) {
      outcome.stray = memory.stray(image, written.at(name));
    }
    after.emplace(name, std::move(image));
  }
  for (const TensorCase& tensor : test.tensors) {
    const std::string& owner = tensor.alias.empty() ? tensor.name : tensor.alias;
    const Placed& memory = placed.at(owner);
    outcome.input.tensors.push_back(
        memory.host(tensor.bytes.empty() ? after.at(owner) : memory.before, tensor));
  }
  outcome.verdict = find_reference(test.op)(outcome.input);
  return outcome;
}

Outcome require_good(const OpCase& test) {
  Outcome outcome = run_case(test);
  INFO(format_specialisation(OpRegistry::instance().require(test.op), outcome.input.spec));
  INFO(outcome.verdict.detail);
  REQUIRE(outcome.verdict.ok);
  REQUIRE(outcome.stray.empty());
  return outcome;
}

ReferenceResult verdict_after_flip(const std::string& op, const Outcome& outcome, const std::string& tensor,
                                   std::size_t byte, unsigned bit) {
  ReferenceInput changed = outcome.input;
  for (HostTensor& item : changed.tensors) {
    if (item.name == tensor) {
      item.bytes.at(byte) ^= static_cast<std::byte>(1U << bit);
    }
  }
  return find_reference(op)(changed);
}

}  // namespace kerncast::test
