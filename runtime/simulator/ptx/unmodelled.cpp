#include "runtime/simulator/ptx/unmodelled.hpp"

#include <fmt/format.h>

#include <array>

namespace kerncast::simulator {

namespace {

struct Entry {
  std::string_view start;  ///< of the opcode: whole parts of it
  std::string_view part;   ///< that it also has; may be empty
  std::string_view what;
};

constexpr std::array entries{
    Entry{"wmma", "", "wmma"},
    Entry{"wgmma", "sp", "sparse matrices"},
    Entry{"tcgen05", "", "tcgen05"},
    Entry{"multimem", "", "multimem"},
    Entry{"tensormap", "", "changes of tensor maps"},
    Entry{"cp", "reduce", "reducing copies"},
    Entry{"cp", "im2col", "tensor maps of images"},
    Entry{"cp", "im2col_no_offs", "tensor maps of images"},
    Entry{"cp", "im2col::w", "tensor maps of images"},
    Entry{"cp", "im2col::w::128", "tensor maps of images"},
    Entry{"cp", "tile::gather4", "gathering copies"},
    Entry{"cp", "tile::scatter4", "gathering copies"},
    Entry{"cp", "cta_group::1", "pairs of blocks"},
    Entry{"cp", "cta_group::2", "pairs of blocks"},
    Entry{"clusterlaunchcontrol", "", "clusters of blocks"},
    Entry{"st", "async", "asynchronous stores"},
    Entry{"st", "bulk", "asynchronous stores"},
    Entry{"red", "async", "asynchronous reductions"},
    Entry{"mma", "sp", "sparse matrices"},
    Entry{"mma", "sp::ordered_metadata", "sparse matrices"},
    Entry{"tex", "", "textures"},
    Entry{"tld4", "", "textures"},
    Entry{"txq", "", "textures"},
    Entry{"istypep", "", "textures"},
    Entry{"suld", "", "surfaces"},
    Entry{"sust", "", "surfaces"},
    Entry{"sured", "", "surfaces"},
    Entry{"suq", "", "surfaces"},
    Entry{"vadd", "", "video instructions"},
    Entry{"vsub", "", "video instructions"},
    Entry{"vabsdiff", "", "video instructions"},
    Entry{"vmin", "", "video instructions"},
    Entry{"vmax", "", "video instructions"},
    Entry{"vshl", "", "video instructions"},
    Entry{"vshr", "", "video instructions"},
    Entry{"vmad", "", "video instructions"},
    Entry{"vset", "", "video instructions"},
    Entry{"vadd2", "", "video instructions"},
    Entry{"vsub2", "", "video instructions"},
    Entry{"vavrg2", "", "video instructions"},
    Entry{"vabsdiff2", "", "video instructions"},
    Entry{"vmin2", "", "video instructions"},
    Entry{"vmax2", "", "video instructions"},
    Entry{"vset2", "", "video instructions"},
    Entry{"vadd4", "", "video instructions"},
    Entry{"vsub4", "", "video instructions"},
    Entry{"vavrg4", "", "video instructions"},
    Entry{"vmin4", "", "video instructions"},
    Entry{"vmax4", "", "video instructions"},
    Entry{"vset4", "", "video instructions"},
};

bool has_part(std::string_view opcode, std::string_view part) {
  for (std::size_t at = opcode.find('.'); at != std::string_view::npos;) {
    const std::size_t end = opcode.find('.', at + 1);
    if (opcode.substr(at + 1, end == std::string_view::npos ? end : end - at - 1) == part) {
      return true;
    }
    at = end;
  }
  return false;
}

}  // namespace

std::string_view unmodelled(std::string_view opcode) {
  const std::string_view base = opcode.substr(0, opcode.find('.'));
  for (const Entry& entry : entries) {
    if (base == entry.start && (entry.part.empty() || has_part(opcode, entry.part))) {
      return entry.what;
    }
  }
  return {};
}

std::string unmodelled_message(std::string_view opcode, std::string_view what, int line) {
  const bool several = what.ends_with('s');
  return fmt::format("PTX line {}: '{}': {} {} not modelled by the virtual GPU", line, opcode, what,
                     several ? "are" : "is");
}

}  // namespace kerncast::simulator
