#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/simulator/machine/machine.hpp"
#include "runtime/simulator/ptx/syntax/lexer.hpp"
#include "runtime/simulator/ptx/syntax/parser.hpp"

// Linking is a matter of text here: the modules' directives are put one after the other under one header.
namespace kerncast::simulator {

namespace {

/// A directive outside functions.
struct Item {
  enum class Kind : std::uint8_t { variable, function };
  Kind kind = Kind::variable;
  bool external = false;  ///< declared only
  bool weak = false;      ///< one of several definitions is enough
  bool local = true;      ///< its module's own
  int line = 0;
  std::vector<std::string_view> names;
  std::string_view text;
  std::string_view head;  ///< of a function: up to its body
};

struct PtxModule {
  ModuleTarget target;
  std::vector<Item> items;
  std::map<std::string, std::string, std::less<>> renamed;  ///< names of its own that others have, too
};

/// The text from `first` to the end of `last`, both parts of one text.
std::string_view between(const char* first, const Token& last) {
  return {first, static_cast<std::size_t>(last.text.data() + last.text.size() - first)};
}

/// Reads the directives of one module.
class Reader {
 public:
  explicit Reader(std::string_view text) : lex_(text) {}

  std::vector<Item> read() {
    skip_header();
    std::vector<Item> items;
    while (lex_.peek().kind != Token::Kind::end) {
      if (lex_.peek().is(".file") || lex_.peek().is(".loc")) {
        lex_.skip_line();
      } else if (lex_.peek().is(".section")) {
        skip_section();
      } else if (!lex_.accept(';')) {
        read_item(items);
      }
    }
    return items;
  }

 private:
  void skip_header() {
    while (lex_.peek().is(".version") || lex_.peek().is(".target") || lex_.peek().is(".address_size")) {
      lex_.skip_line();
    }
  }

  void skip_section() {
    while (!lex_.peek().is('{')) {
      take();
    }
    skip_braces();
  }

  Token take() {
    if (lex_.peek().kind == Token::Kind::end) {
      lex_.fail("the end of a directive");
    }
    return lex_.take();
  }

  /// Takes everything up to the brace that closes the next one, which it returns.
  Token skip_braces() {
    int depth = 0;
    for (;;) {
      const Token token = take();
      depth += token.is('{') ? 1 : token.is('}') ? -1 : 0;
      if (depth == 0) {
        return token;
      }
    }
  }

  void read_item(std::vector<Item>& items) {
    Item item;
    item.line = lex_.line();
    const char* first = lex_.peek().text.data();
    for (;;) {
      if (lex_.accept(std::string_view(".extern"))) {
        item.external = true;
        item.local = false;
      } else if (lex_.peek().is(".weak") || lex_.peek().is(".common")) {
        lex_.take();
        item.weak = true;
        item.local = false;
      } else if (lex_.accept(std::string_view(".visible"))) {
        item.local = false;
      } else {
        break;
      }
    }
    const Token word = take();
    if (word.is(".entry") || word.is(".func")) {
      read_function(item, first);
    } else if (word.is(".global") || word.is(".const") || word.is(".shared")) {
      read_variables(item, first);
    } else {
      while (!take().is(';')) {
      }
      return;
    }
    items.push_back(std::move(item));
  }

  void read_function(Item& item, const char* first) {
    item.kind = Item::Kind::function;
    int depth = 0;
    Token last;
    while (!lex_.peek().is('{')) {
      const Token token = take();
      depth += token.is('(') ? 1 : token.is(')') ? -1 : 0;
      if (depth == 0 && token.kind == Token::Kind::word && token.text.front() != '.' && item.names.empty()) {
        item.names.push_back(token.text);
      }
      if (token.is(';')) {
        item.external = true;
        item.local = false;
        item.text = between(first, token);
        item.head = item.text.substr(0, item.text.size() - 1);
        return;
      }
      last = token;
    }
    item.head = between(first, last);
    item.text = between(first, skip_braces());
  }

  void read_variables(Item& item, const char* first) {
    int depth = 0;
    bool expects_name = true;
    for (;;) {
      const Token token = take();
      depth += token.is('{') || token.is('(') ? 1 : token.is('}') || token.is(')') ? -1 : 0;
      if (depth != 0) {
        continue;
      }
      if (token.is(';')) {
        item.text = between(first, token);
        return;
      }
      if (expects_name && token.kind == Token::Kind::word && token.text.front() != '.') {
        item.names.push_back(token.text);
        expects_name = false;
      }
      expects_name = expects_name || token.is(',');
    }
  }

  Lexer lex_;
};

/// `text` with the names that its module shares with others replaced.
std::string with_own_names(std::string_view text, const PtxModule& module) {
  if (module.renamed.empty()) {
    return std::string(text);
  }
  std::string made;
  std::size_t copied = 0;
  Lexer lex(text);
  for (Token token = lex.take(); token.kind != Token::Kind::end; token = lex.take()) {
    const auto found =
        token.kind == Token::Kind::word ? module.renamed.find(token.text) : module.renamed.end();
    if (found != module.renamed.end()) {
      const auto at = static_cast<std::size_t>(token.text.data() - text.data());
      made += text.substr(copied, at - copied);
      made += found->second;
      copied = at + token.text.size();
    }
  }
  made += text.substr(copied);
  return made;
}

class Linker {
 public:
  explicit Linker(const std::vector<std::string>& texts) {
    for (const std::string& text : texts) {
      PtxModule& module = modules_.emplace_back();
      Parser parser(text);
      module.target = parser.parse_header().target;
      module.items = Reader(text).read();
    }
  }

  std::string link() {
    note_definitions();
    rename_locals();
    std::string text = header();
    text += functions_declared();
    text += variables();
    text += functions_defined();
    return text;
  }

 private:
  void note_definitions() {
    for (std::size_t m = 0; m < modules_.size(); ++m) {
      for (const Item& item : modules_[m].items) {
        for (const std::string_view name : item.names) {
          if (!item.external && !item.local) {
            note_shared(name, item);
          }
          if (!item.external) {
            owners_[name].insert(m);
          }
        }
      }
    }
  }

  void note_shared(std::string_view name, const Item& item) {
    const auto [known, fresh] = shared_.try_emplace(name, &item);
    if (fresh || item.weak) {
      return;
    }
    if (!known->second->weak) {
      throw DecodeError(
          fmt::format("PTX line {}: '{}' is defined in two of the linked modules", item.line, name),
          item.line);
    }
    known->second = &item;
  }

  void rename_locals() {
    for (std::size_t m = 0; m < modules_.size(); ++m) {
      for (const Item& item : modules_[m].items) {
        for (const std::string_view name : item.names) {
          if (item.local && owners_[name].size() > 1) {
            modules_[m].renamed[std::string(name)] = fmt::format("{}$linked{}", name, m);
          }
        }
      }
    }
  }

  [[nodiscard]] std::string header() const {
    const PtxModule* newest = &modules_.front();
    const ModuleTarget* target = &modules_.front().target;
    for (const PtxModule& module : modules_) {
      newest = module.target.version > newest->target.version ? &module : newest;
      const ModuleTarget& other = module.target;
      if (std::pair(other.sm, other.suffix) > std::pair(target->sm, target->suffix)) {
        target = &other;
      }
    }
    return fmt::format(".version {}\n.target {}\n.address_size 64\n", newest->target.version_text,
                       target->name);
  }

  /// True if this definition is kept of those with its name.
  [[nodiscard]] bool is_kept(const Item& item) const {
    return item.local || std::any_of(item.names.begin(), item.names.end(),
                                     [&](std::string_view name) { return shared_.at(name) == &item; });
  }

  std::string functions_declared() {
    std::string text;
    std::set<std::string> done;
    for (const PtxModule& module : modules_) {
      for (const Item& item : module.items) {
        if (item.kind != Item::Kind::function || item.names.empty() ||
            item.head.find(".entry") < item.head.find(item.names.front())) {
          continue;
        }
        std::string head = with_own_names(item.head, module);
        const auto renamed = module.renamed.find(item.names.front());
        const std::string name =
            renamed != module.renamed.end() ? renamed->second : std::string(item.names.front());
        if (done.insert(name).second) {
          text += head + ";\n";
        }
      }
    }
    return text;
  }

  std::string variables() {
    std::string text;
    std::set<std::string_view> declared;
    for (const PtxModule& module : modules_) {
      for (const Item& item : module.items) {
        if (item.kind != Item::Kind::variable || item.names.empty()) {
          continue;
        }
        const bool defined_elsewhere = shared_.find(item.names.front()) != shared_.end();
        const bool wanted =
            item.external ? !defined_elsewhere && declared.insert(item.names.front()).second : is_kept(item);
        if (wanted) {
          text += with_own_names(item.text, module) + "\n";
        }
      }
    }
    return text;
  }

  std::string functions_defined() {
    std::string text;
    for (const PtxModule& module : modules_) {
      for (const Item& item : module.items) {
        if (item.kind == Item::Kind::function && !item.external && is_kept(item)) {
          text += with_own_names(item.text, module) + "\n";
        }
      }
    }
    return text;
  }

  std::vector<PtxModule> modules_;
  std::map<std::string_view, const Item*> shared_;            ///< definitions that other modules see
  std::map<std::string_view, std::set<std::size_t>> owners_;  ///< modules that define a name
};

}  // namespace

std::string link_ptx(const std::vector<std::string>& texts) {
  return Linker(texts).link();
}

}  // namespace kerncast::simulator
