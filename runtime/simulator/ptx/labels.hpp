#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/simulator/ptx/registers.hpp"

namespace kerncast::simulator {

/// The labels of a function and the places that name them. A label may be named before it is defined, from
/// its own block and those within.
class Labels {
 public:
  void begin_function();
  void open_block();
  /// Fills in the places that name labels of the block; what remains is looked for in the block around it.
  /// Throws DecodeError for a label of the wrong kind and, at the end of the function, for one that is not
  /// defined.
  void close_block(FunctionBody& body);

  /// A label of code at op `op`.
  void define(std::string_view name, std::uint32_t op);
  /// A label of .callprototype or .calltargets, which no branch may name.
  void define_prototype(std::string_view name);
  /// A label of `size` entries of the body's branch tables, from `first` on.
  void define_table(std::string_view name, std::uint32_t first, std::uint32_t size);
  /// The branch that is op `op` goes to `name`.
  void refer(std::string_view name, std::uint32_t op, int line);
  /// Entry `entry` of the branch tables goes to `name`.
  void refer_from_table(std::string_view name, std::uint32_t entry, int line);

 private:
  enum class Kind : std::uint8_t { code, table, prototype };
  struct Label {
    std::string_view name;
    Kind kind = Kind::code;
    std::uint32_t at = 0;    ///< the op, or the table's first entry
    std::uint32_t size = 0;  ///< entries of a table
    std::size_t block = 0;
  };
  struct Reference {
    std::string_view label;
    std::uint32_t at = 0;  ///< op or table entry
    bool is_entry = false;
    std::size_t block = 0;
    int line = 0;
  };

  static void fill_in(const Reference& reference, const Label& label, FunctionBody& body);

  std::vector<Label> labels_;
  std::vector<Reference> references_;
  std::vector<std::size_t> blocks_;  ///< those that are open, outermost first
  std::size_t next_block_ = 0;
};

}  // namespace kerncast::simulator
