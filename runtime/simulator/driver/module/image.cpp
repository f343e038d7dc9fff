#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstring>
#include <optional>

#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/report.hpp"
#include "runtime/simulator/driver/context/state.hpp"
#include "runtime/simulator/driver/module/fat_binary.hpp"
#include "runtime/simulator/driver/module/module.hpp"

namespace kerncast::simulator::api {
namespace {

/// The newest version of PTX that the driver's version goes with.
constexpr int latest_ptx = 92;

/// The operand of the first `directive` outside comments, up to a comma, blank or line end; empty if there is
/// none.
std::string_view operand_of(std::string_view text, std::string_view directive) {
  std::size_t at = 0;
  while (at < text.size()) {
    if (text.substr(at).starts_with("//")) {
      at = std::min(text.find('\n', at), text.size());
    } else if (text.substr(at).starts_with("/*")) {
      const std::size_t end = text.find("*/", at + 2);
      at = end == std::string_view::npos ? text.size() : end + 2;
    } else if (text.substr(at).starts_with(directive)) {
      const std::size_t first = text.find_first_not_of(" \t", at + directive.size());
      if (first == std::string_view::npos) {
        return {};
      }
      return text.substr(first, text.find_first_of(", \t\r\n/", first) - first);
    } else if (text[at] == '{') {
      return {};  // both directives stand before any code
    } else {
      ++at;
    }
  }
  return {};
}

/// True if a device of compute capability `sm` runs code for `target`. Plain code also runs on later devices,
/// architecture-specific code ('a') only on that one, family-specific code ('f') on later ones of the same
/// major number.
bool runs_on(std::string_view target, int sm) {
  if (!target.starts_with("sm_")) {
    return true;  // the decoder has the words for what is no target
  }
  target.remove_prefix(3);
  int wanted = 0;
  const auto [end, error] = std::from_chars(target.data(), target.data() + target.size(), wanted);
  if (error != std::errc{}) {
    return true;
  }
  const std::string_view suffix = target.substr(static_cast<std::size_t>(end - target.data()));
  if (suffix == "a") {
    return sm == wanted;
  }
  if (suffix == "f") {
    return sm >= wanted && sm / 10 == wanted / 10;
  }
  return sm >= wanted;
}

int parse_version(std::string_view text) {
  int major = 0;
  int minor = 0;
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), text.data() + text.size(), major);
  if (first.ec != std::errc{} || first.ptr == end || *first.ptr != '.') {
    return 0;
  }
  std::from_chars(first.ptr + 1, end, minor);
  return major * 10 + std::min(minor, 9);
}

/// Examines a text that is passed as code.
Image examine_text(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.empty() ? '\0' : text.front());
  if (first == 0 || (std::isprint(first) == 0 && std::isspace(first) == 0)) {
    throw Failure(CUDA_ERROR_INVALID_IMAGE, "the code is neither PTX text nor a device binary");
  }
  Image image;
  image.text = text;
  const std::string_view version = operand_of(image.text, ".version");
  if (version.empty()) {
    throw Failure(CUDA_ERROR_INVALID_IMAGE, "the code is no PTX: it has no .version directive");
  }
  image.version = parse_version(version);
  if (image.version > latest_ptx) {
    throw Failure(CUDA_ERROR_UNSUPPORTED_PTX_VERSION,
                  fmt::format("the PTX has .version {}; a driver of CUDA 13.2 takes up to {}.{}", version,
                              latest_ptx / 10, latest_ptx % 10));
  }
  const std::string_view target = operand_of(image.text, ".target");
  if (!runs_on(target, state().arch.sm)) {
    throw Failure(CUDA_ERROR_NO_BINARY_FOR_GPU,
                  fmt::format("the PTX is for {}; the device is sm_{}", target, state().arch.sm));
  }
  return image;
}

/// The contents of a fat binary, in the words of nvcc's -gencode.
std::string contents_of(const std::vector<FatBinaryEntry>& entries) {
  std::string words;
  for (const FatBinaryEntry& entry : entries) {
    words += fmt::format("{}{}_{}", words.empty() ? "" : ", ", entry.is_ptx ? "compute" : "sm", entry.sm);
  }
  return words.empty() ? "nothing" : words;
}

/// Picks the PTX for the newest architecture that the device has, as a driver does.
Image examine_fat_binary(const void* code) {
  std::vector<FatBinaryEntry> entries = fat_binary_entries(code);
  const std::string contents = contents_of(entries);
  const int sm = state().arch.sm;
  std::stable_sort(entries.begin(), entries.end(),
                   [](const FatBinaryEntry& a, const FatBinaryEntry& b) { return a.sm > b.sm; });
  std::optional<Failure> refusal;
  for (const FatBinaryEntry& entry : entries) {
    if (!entry.is_ptx || entry.sm > sm) {
      continue;
    }
    const auto unpacked = std::make_shared<const std::string>(unpacked_ptx(entry));
    try {
      Image image = examine_text(*unpacked);
      image.unpacked = unpacked;
      return image;
    } catch (const Failure& failure) {
      if (!refusal) {
        refusal = failure;
      }
    }
  }
  if (refusal) {
    throw Failure(*refusal);
  }
  throw Failure(
      CUDA_ERROR_NO_BINARY_FOR_GPU,
      fmt::format("the fat binary holds no PTX for sm_{0} or older, which the virtual GPU would execute; it "
                  "has {1}. Build the program with -gencode arch=compute_{0},code=compute_{0}",
                  sm, contents));
}

}  // namespace

Image examine_image(const void* code) {
  require(code, "code");
  if (is_fat_binary(code)) {
    return examine_fat_binary(code);
  }
  constexpr std::array<unsigned char, 4> elf = {0x7f, 'E', 'L', 'F'};
  // The bytes are compared one by one, as a short text may end before the fourth.
  if (std::equal(elf.begin(), elf.end(), static_cast<const unsigned char*>(code))) {
    throw Failure(CUDA_ERROR_NO_BINARY_FOR_GPU,
                  "the virtual GPU executes PTX; it has no use for device binaries");
  }
  return examine_text(static_cast<const char*>(code));
}

std::shared_ptr<Module> decode_image(std::string_view text, int device) {
  try {
    return Module::decode(text, state().arch.sm, state().memory, device);
  } catch (const DecodeError& error) {
    throw Failure(CUDA_ERROR_INVALID_PTX, error.what());
  }
}

JitLog::JitLog(unsigned int count, const CUjit_option* options, void** values) {
  if (count == 0) {
    return;
  }
  require(options, "options");
  require(static_cast<const void*>(values), "values");
  for (unsigned int i = 0; i < count; ++i) {
    switch (options[i]) {
      case CU_JIT_ERROR_LOG_BUFFER:
        error_ = static_cast<char*>(values[i]);
        break;
      case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
        error_size_ = reinterpret_cast<std::uintptr_t>(values[i]);
        error_written_ = &values[i];
        break;
      case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
        info_written_ = &values[i];
        break;
      default:
        break;  // the others tune a compiler that is not there
    }
  }
}

void JitLog::write(std::string_view text) {
  if (!text.empty() && error_ == nullptr) {
    report(fmt::format("a module is refused: {}", text));
  }
  std::size_t written = 0;
  if (error_ != nullptr && error_size_ > 0) {
    written = std::min(text.size(), error_size_ - 1);
    if (written > 0) {
      std::memcpy(error_, text.data(), written);
    }
    error_[written] = '\0';
  }
  if (error_written_ != nullptr) {
    *error_written_ = reinterpret_cast<void*>(written);
  }
  if (info_written_ != nullptr) {
    *info_written_ = nullptr;
  }
}

}  // namespace kerncast::simulator::api
