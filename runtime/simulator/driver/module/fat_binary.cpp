#include "runtime/simulator/driver/module/fat_binary.hpp"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/module/lz4_block.hpp"

namespace kerncast::simulator::api {
namespace {

constexpr std::uint32_t wrapper_magic = 0x466243b1;
constexpr std::uint32_t container_magic = 0xba55ed50;

/// The struct that the compiler puts around a fat binary; fatbinary_section.h of the toolkit declares it.
struct Wrapper {
  std::uint32_t magic;
  std::uint32_t version;
  const void* data;
  const void* filename_or_fatbins;
};

struct ContainerHeader {
  std::uint32_t magic;
  std::uint16_t version;
  std::uint16_t header_size;
  std::uint64_t size;  ///< bytes of all entries
};

/// The members of an entry's header that matter here; the rest is skipped by its size. What they mean was
/// seen in the fat binaries that nvcc writes with and without compression.
struct EntryHeader {
  std::uint16_t kind;  ///< 1: PTX, 2: device binary
  std::uint16_t unused;
  std::uint32_t header_size;
  std::uint64_t padded_size;  ///< bytes of the payload with its padding
  std::uint32_t packed_size;  ///< bytes of a compressed payload without its padding
  std::uint32_t unused2[2];
  std::uint32_t sm;
  std::uint64_t unused3;
  std::uint64_t flags;
  std::uint64_t unused4;
  std::uint64_t unpacked_size;
};
static_assert(sizeof(ContainerHeader) == 16 && sizeof(EntryHeader) == 64);

constexpr std::uint16_t kind_ptx = 1;
constexpr std::uint64_t flag_lz4 = 0x2000;
constexpr std::uint64_t flag_zstd = 0x8000;

/// Far more than the PTX of any module; a larger size is a broken one.
constexpr std::uint64_t largest_ptx = std::uint64_t{1} << 30;

std::uint32_t magic_of(const void* code) {
  std::uint32_t magic = 0;
  // The bytes are compared one by one, as a short text may end before the fourth.
  for (unsigned int i = 0; i < 4; ++i) {
    const std::uint32_t byte = static_cast<const unsigned char*>(code)[i];
    magic |= byte << (8 * i);
    if (byte == 0) {
      break;
    }
  }
  return magic;
}

[[noreturn]] void refuse(std::string_view why) {
  throw Failure(CUDA_ERROR_INVALID_IMAGE, fmt::format("the fat binary is damaged: {}", why));
}

template <class Header>
Header read(const char* from) {
  Header header;
  std::memcpy(&header, from, sizeof(header));
  return header;
}

}  // namespace

bool is_fat_binary(const void* code) {
  const std::uint32_t magic = magic_of(code);
  return magic == wrapper_magic || magic == container_magic;
}

void require_whole_fat_binary(std::string_view file) {
  const std::string begin(file.substr(0, sizeof(ContainerHeader)));
  if (!is_fat_binary(begin.c_str())) {
    return;
  }
  // A wrapper holds an address, which has no meaning in a file.
  if (magic_of(begin.c_str()) == wrapper_magic || begin.size() < sizeof(ContainerHeader)) {
    refuse("the file has no container");
  }
  const auto container = read<ContainerHeader>(begin.data());
  const std::size_t rest = file.size() - std::min<std::size_t>(file.size(), container.header_size);
  if (container.size > rest) {
    refuse(fmt::format("its entries take {} bytes, and the file has {}", container.size, rest));
  }
}

std::vector<FatBinaryEntry> fat_binary_entries(const void* code) {
  if (magic_of(code) == wrapper_magic) {
    code = read<Wrapper>(static_cast<const char*>(code)).data;
    if (code == nullptr || magic_of(code) != container_magic) {
      refuse("there is nothing inside");
    }
  }
  const char* at = static_cast<const char*>(code);
  const auto container = read<ContainerHeader>(at);
  if (container.version != 1 || container.header_size < sizeof(ContainerHeader)) {
    refuse(fmt::format("it has version {}", container.version));
  }
  at += container.header_size;
  std::uint64_t left = container.size;
  std::vector<FatBinaryEntry> entries;
  while (left > 0) {
    if (left < sizeof(EntryHeader)) {
      refuse("an entry ends before its header does");
    }
    const auto header = read<EntryHeader>(at);
    if (header.header_size < sizeof(EntryHeader) || header.header_size > left ||
        header.padded_size > left - header.header_size || header.packed_size > header.padded_size) {
      refuse("an entry is longer than the whole");
    }
    const bool packed = (header.flags & (flag_lz4 | flag_zstd)) != 0;
    entries.push_back(
        {header.kind == kind_ptx, static_cast<int>(header.sm), header.flags, header.unpacked_size,
         std::string_view(at + header.header_size, packed ? header.packed_size : header.padded_size)});
    at += header.header_size + header.padded_size;
    left -= header.header_size + header.padded_size;
  }
  return entries;
}

std::string unpacked_ptx(const FatBinaryEntry& entry) {
  std::string text;
  if ((entry.flags & (flag_lz4 | flag_zstd)) == 0) {
    text = entry.payload;
  } else {
    if (entry.unpacked_size > largest_ptx) {
      refuse(fmt::format("its PTX would have {} bytes", entry.unpacked_size));
    }
    text.resize(entry.unpacked_size);
    const bool whole = (entry.flags & flag_zstd) != 0
                           ? ZSTD_decompress(text.data(), text.size(), entry.payload.data(),
                                             entry.payload.size()) == text.size()
                           : unpack_lz4_block(entry.payload, text);
    if (!whole) {
      refuse("its PTX cannot be decompressed");
    }
  }
  // The text is padded with zeros.
  text.resize(std::min(text.find('\0'), text.size()));
  return text;
}

}  // namespace kerncast::simulator::api
