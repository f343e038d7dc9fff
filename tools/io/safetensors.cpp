#include "tools/io/safetensors.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "kerncast/error.hpp"
#include "kerncast/tensor.hpp"
#include "tools/io/file.hpp"
#include "tools/io/json_text.hpp"
#include "tools/io/output.hpp"

namespace kerncast::tools {
namespace {

constexpr std::uint64_t prefix_bytes = 8;
constexpr std::uint64_t max_header_bytes = 100'000'000;  // the format's own limit

struct NamedType {
  std::string_view name;
  DType type;
};

constexpr NamedType named_types[] = {
    {"F32", DType::f32},
    {"F16", DType::f16},
    {"BF16", DType::bf16},
    {"F8_E4M3", DType::fp8_e4m3},
    {"F8_E5M2", DType::fp8_e5m2},
    {"F8_E8M0", DType::ue8m0},
    {"I8", DType::i8},
    {"U8", DType::u8},
    {"I32", DType::i32},
    {"I64", DType::i64},
    {"F64", DType::f64},
};

struct Entry {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::string unusable;  ///< why nothing here can hold it
};

[[noreturn]] void refuse(const std::string& origin, const std::string& what) {
  throw Error(ErrorCode::io_error, fmt::format("{}: not a valid safetensors file: {}", origin, what));
}

/// The dtype, or the reason in `unusable` if it is not known here.
DType read_dtype(const nlohmann::json& value, const std::string& origin, const std::string& tensor,
                 std::string& unusable) {
  if (!value.is_string()) {
    refuse(origin, fmt::format("dtype of tensor {} is not a string", tensor));
  }
  const auto& name = value.get_ref<const std::string&>();
  for (const NamedType& known : named_types) {
    if (known.name == name) {
      return known.type;
    }
  }
  std::vector<std::string_view> names;
  for (const NamedType& known : named_types) {
    names.push_back(known.name);
  }
  unusable = fmt::format("has the unknown dtype {}; known are {}", name, fmt::join(names, ", "));
  return DType::u8;
}

std::uint64_t read_unsigned(const nlohmann::json& value, const std::string& origin, const std::string& what) {
  if (!value.is_number_unsigned()) {
    refuse(origin,
           fmt::format("{} must be a non-negative integer, not {}", what, value.dump().substr(0, 40)));
  }
  return value.get<std::uint64_t>();
}

const nlohmann::json& member(const nlohmann::json& object, const char* name, const std::string& origin,
                             const std::string& tensor) {
  const auto found = object.find(name);
  if (found == object.end()) {
    refuse(origin, fmt::format("tensor {} has no {}", tensor, name));
  }
  return *found;
}

/// Refuses members that the format does not have, such as strides: what they say would be ignored.
void check_members(const std::string& name, const nlohmann::json& value, const std::string& origin) {
  for (const auto& [member, unused] : value.items()) {
    if (member != "dtype" && member != "shape" && member != "data_offsets") {
      refuse(origin,
             fmt::format("tensor {} has a member {}, which the format does not have; it holds contiguous "
                         "tensors only",
                         name, member));
    }
  }
}

/// The kind of a file of another format, such as "a NumPy file". Empty if its begin is that of none.
std::string_view other_format(std::string_view bytes) {
  if (bytes.starts_with("\x93NUMPY")) {
    return "a NumPy file";
  }
  return bytes.starts_with("PK\x03\x04") ? "a zip archive, as .npz and .pt files are" : "";
}

Entry read_entry(const std::string& name, const nlohmann::json& value, std::uint64_t data_bytes,
                 const std::string& origin) {
  if (!value.is_object()) {
    refuse(origin, fmt::format("the header's entry for tensor {} is not an object", name));
  }
  check_members(name, value, origin);
  Entry entry;
  entry.name = name;
  entry.dtype = read_dtype(member(value, "dtype", origin, name), origin, name, entry.unusable);
  const nlohmann::json& shape = member(value, "shape", origin, name);
  if (!shape.is_array()) {
    refuse(origin, fmt::format("shape of tensor {} is not a list", name));
  }
  if (shape.size() > static_cast<std::size_t>(TensorView::max_rank)) {
    entry.unusable =
        fmt::format("has {} dimensions; at most {} are supported", shape.size(), TensorView::max_rank);
  }
  for (const nlohmann::json& dim : shape) {
    const std::uint64_t extent = read_unsigned(dim, origin, fmt::format("a dimension of tensor {}", name));
    if (extent > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      refuse(origin, fmt::format("tensor {} has a dimension of {}", name, extent));
    }
    entry.shape.push_back(static_cast<std::int64_t>(extent));
  }
  const nlohmann::json& offsets = member(value, "data_offsets", origin, name);
  if (!offsets.is_array() || offsets.size() != 2) {
    refuse(origin, fmt::format("data_offsets of tensor {} is not a pair", name));
  }
  entry.begin = read_unsigned(offsets[0], origin, fmt::format("data_offsets of tensor {}", name));
  entry.end = read_unsigned(offsets[1], origin, fmt::format("data_offsets of tensor {}", name));
  if (entry.begin > entry.end || entry.end > data_bytes) {
    refuse(origin,
           fmt::format("data_offsets [{}, {}] of tensor {} lie outside the {} bytes of data; the file is "
                       "truncated or its header is wrong",
                       entry.begin, entry.end, name, data_bytes));
  }
  if (!entry.unusable.empty()) {
    return entry;
  }
  const std::int64_t elements = element_count(entry.shape);
  const std::uint64_t bytes = entry.end - entry.begin;
  const auto size = static_cast<std::uint64_t>(size_of(entry.dtype));
  if (elements < 0 || static_cast<std::uint64_t>(elements) > bytes / size ||
      static_cast<std::uint64_t>(elements) * size != bytes) {
    refuse(origin, fmt::format("tensor {} of shape [{}] and dtype {} does not fill its {} bytes of data",
                               name, fmt::join(entry.shape, ", "), safetensors_name(entry.dtype), bytes));
  }
  return entry;
}

std::vector<Entry> read_entries(std::string_view header, std::uint64_t data_bytes,
                                const std::string& origin) {
  const nlohmann::json root = parse_json(header, origin + " (header)");
  if (!root.is_object()) {
    refuse(origin, "its header is not a JSON object");
  }
  std::vector<Entry> entries;
  for (const auto& [name, value] : root.items()) {
    if (name != "__metadata__") {
      entries.push_back(read_entry(name, value, data_bytes, origin));
    }
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t expected = 0;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].begin < expected) {
      refuse(origin, fmt::format("tensors {} and {} overlap", entries[i - 1].name, entries[i].name));
    }
    if (entries[i].begin > expected) {
      refuse(origin, fmt::format("{} bytes before tensor {} belong to no tensor", entries[i].begin - expected,
                                 entries[i].name));
    }
    expected = entries[i].end;
  }
  if (expected != data_bytes) {
    refuse(origin, fmt::format("{} bytes at its end belong to no tensor", data_bytes - expected));
  }
  return entries;
}

std::uint64_t read_little_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = prefix_bytes; i-- > 0;) {
    value = value << 8U | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

}  // namespace

std::string_view safetensors_name(DType type) {
  for (const NamedType& known : named_types) {
    if (known.type == type) {
      return known.name;
    }
  }
  return "UNKNOWN";
}

std::int64_t element_count(const std::vector<std::int64_t>& shape) {
  constexpr std::int64_t limit = std::int64_t{1} << 62;
  if (std::any_of(shape.begin(), shape.end(), [](std::int64_t dim) { return dim < 0; })) {
    return -1;
  }
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) {
    return 0;
  }
  std::int64_t count = 1;
  for (const std::int64_t dim : shape) {
    if (dim > limit / count) {
      return -1;
    }
    count *= dim;
  }
  return count;
}

std::vector<StoredTensor> parse_safetensors(std::string_view bytes, const std::string& origin,
                                            std::vector<SkippedTensor>* skipped) {
  if (const std::string_view format = other_format(bytes); !format.empty()) {
    refuse(origin, fmt::format("it is {}; write contiguous arrays with safetensors.numpy.save_file or "
                               "safetensors.torch.save_file",
                               format));
  }
  if (bytes.size() < prefix_bytes) {
    refuse(origin, fmt::format("it has {} bytes, too few for a header", bytes.size()));
  }
  const std::uint64_t header_bytes = read_little_endian(bytes);
  if (header_bytes > max_header_bytes) {
    refuse(origin,
           fmt::format("its header claims {} bytes; at most {} are allowed", header_bytes, max_header_bytes));
  }
  if (header_bytes > bytes.size() - prefix_bytes) {
    refuse(origin, fmt::format("its header claims {} bytes, but only {} follow; the file is truncated",
                               header_bytes, bytes.size() - prefix_bytes));
  }
  const std::string_view data = bytes.substr(prefix_bytes + header_bytes);
  std::vector<StoredTensor> tensors;
  for (Entry& entry : read_entries(bytes.substr(prefix_bytes, header_bytes), data.size(), origin)) {
    if (!entry.unusable.empty() && skipped == nullptr) {
      throw Error(ErrorCode::io_error, fmt::format("{}: tensor {} {}", origin, entry.name, entry.unusable));
    }
    if (!entry.unusable.empty()) {
      skipped->push_back({std::move(entry.name), std::move(entry.unusable)});
      continue;
    }
    StoredTensor tensor{std::move(entry.name), entry.dtype, std::move(entry.shape), {}};
    const auto* first = reinterpret_cast<const std::byte*>(data.data());
    tensor.bytes.assign(first + entry.begin, first + entry.end);
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

std::vector<StoredTensor> read_safetensors(const std::string& path, std::vector<SkippedTensor>* skipped) {
  constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max();
  return parse_safetensors(read_file(path, no_limit), path, skipped);
}

void write_safetensors(const std::string& path, const std::vector<StoredTensor>& tensors) {
  // Tensors with the widest elements come first, so that each is aligned to its element.
  std::vector<const StoredTensor*> order;
  order.reserve(tensors.size());
  for (const StoredTensor& tensor : tensors) {
    order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(), [](const StoredTensor* a, const StoredTensor* b) {
    return std::pair(-size_of(a->dtype), std::string_view(a->name)) <
           std::pair(-size_of(b->dtype), std::string_view(b->name));
  });
  Json header = Json::object();
  std::uint64_t offset = 0;
  for (const StoredTensor* tensor : order) {
    const std::int64_t elements = element_count(tensor->shape);
    if (elements < 0 ||
        static_cast<std::uint64_t>(elements * size_of(tensor->dtype)) != tensor->bytes.size()) {
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("cannot write {}: tensor {} of shape [{}] has {} bytes", path, tensor->name,
                              fmt::join(tensor->shape, ", "), tensor->bytes.size()));
    }
    if (header.contains(tensor->name)) {
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("cannot write {}: two tensors named {}", path, tensor->name));
    }
    header[tensor->name] = {{"dtype", safetensors_name(tensor->dtype)},
                            {"shape", tensor->shape},
                            {"data_offsets", {offset, offset + tensor->bytes.size()}}};
    offset += tensor->bytes.size();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  char prefix[prefix_bytes];
  for (std::size_t i = 0; i < prefix_bytes; ++i) {
    prefix[i] = static_cast<char>(text.size() >> 8 * i & 0xFFU);
  }
  AtomicOutput file(path);
  file.write(prefix, sizeof prefix);
  file.write(text.data(), text.size());
  for (const StoredTensor* tensor : order) {
    file.write(tensor->bytes.data(), tensor->bytes.size());
  }
  file.commit();
}

}  // namespace kerncast::tools
