#include "tests/simulator/fuzz/ptx_mutator.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <vector>

#include "tests/simulator/fuzz/ptx_words.hpp"

namespace kerncast::simulator::testing {

namespace {

constexpr std::string_view numbers =
    "0 1 -1 2 3 4 7 8 15 16 31 32 33 63 64 127 255 256 4095 4096 65535 0x7fffffff 0x80000000 -2147483648 "
    "0x7fffffffffffffff 0xffffffffffffffff 0f7FC00000 0d3FF0000000000000 1.5";

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '$' || c == '%' ||
         c == ':';
}

/// Words with their dots, single other characters, and runs of blanks.
std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> tokens;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at + 1;
    if (is_word(text[at])) {
      while (end < text.size() && is_word(text[end])) {
        ++end;
      }
    }
    tokens.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return tokens;
}

/// Statements, each with the semicolon or brace that ends it.
std::vector<std::string> statements(std::string_view text) {
  std::vector<std::string> found;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(";{}"), text.size() - 1) + 1;
    found.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return found;
}

std::string join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) {
    text += part;
  }
  return text;
}

std::size_t below(std::size_t count, std::minstd_rand& random) {
  return std::uniform_int_distribution<std::size_t>(0, count - 1)(random);
}

/// Picks one of the words in `list`, which are separated by blanks.
std::string_view pick(std::string_view list, std::minstd_rand& random) {
  const std::size_t count = static_cast<std::size_t>(std::count(list.begin(), list.end(), ' ')) + 1;
  for (std::size_t left = below(count, random); left > 0; --left) {
    list.remove_prefix(list.find(' ') + 1);
  }
  return list.substr(0, list.find(' '));
}

bool starts_statement(const std::vector<std::string>& tokens, std::size_t at) {
  while (at > 0) {
    const std::string& before = tokens[--at];
    if (before == ";" || before == "{" || before == "}" || before.ends_with(':')) {
      return true;
    }
    if (before != " " && before != "\n" && before != "\t" && before[0] != '%' && before[0] != '@' &&
        before[0] != '!') {
      return false;
    }
  }
  return false;
}

/// Exchanges, adds or drops one of the dotted parts of an opcode.
void change_opcode(std::string& word, std::minstd_rand& random) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= word.size();) {
    const std::size_t dot = std::min(word.find('.', at), word.size());
    parts.push_back(word.substr(at, dot - at));
    at = dot + 1;
  }
  const std::size_t part = below(parts.size(), random);
  switch (below(6, random)) {
    case 0:
      parts[0] = pick(ptx_opcodes, random);
      break;
    case 1:
      parts.insert(parts.begin() + static_cast<std::ptrdiff_t>(part) + 1,
                   std::string(pick(ptx_modifiers, random)));
      break;
    case 2:
      if (part != 0) {
        parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(part));
      }
      break;
    default:
      parts[part] = part == 0 ? pick(ptx_opcodes, random) : pick(ptx_modifiers, random);
      break;
  }
  word = parts[0];
  for (std::size_t i = 1; i < parts.size(); ++i) {
    word += '.' + parts[i];
  }
}

void change_token(std::vector<std::string>& tokens, std::minstd_rand& random) {
  std::vector<std::size_t> words;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (is_word(tokens[i][0])) {
      words.push_back(i);
    }
  }
  if (words.empty()) {
    return;
  }
  const std::size_t at = words[below(words.size(), random)];
  std::string& word = tokens[at];
  if (starts_statement(tokens, at) && word[0] != '%') {
    change_opcode(word, random);
  } else if (word[0] == '.') {
    word = '.' + std::string(pick(ptx_modifiers, random));
  } else if (std::isdigit(static_cast<unsigned char>(word[0])) != 0 || below(4, random) == 0) {
    word = pick(numbers, random);
  } else {
    word = tokens[words[below(words.size(), random)]];
  }
}

}  // namespace

std::string mutate_ptx(std::string_view ptx, std::minstd_rand& random) {
  std::string text(ptx);
  for (std::size_t rounds = 1 + below(4, random); rounds > 0; --rounds) {
    if (below(4, random) != 0) {
      std::vector<std::string> tokens = split(text);
      change_token(tokens, random);
      text = join(tokens);
      continue;
    }
    std::vector<std::string> parts = statements(text);
    if (parts.empty()) {
      continue;
    }
    const auto at = static_cast<std::ptrdiff_t>(below(parts.size(), random));
    const std::size_t other = below(parts.size(), random);
    switch (below(3, random)) {
      case 0:
        parts.erase(parts.begin() + at);
        break;
      case 1:
        parts.insert(parts.begin() + at, std::string(parts[other]));
        break;
      default:
        std::swap(parts[static_cast<std::size_t>(at)], parts[other]);
        break;
    }
    text = join(parts);
  }
  return text;
}

std::string cross_ptx(std::string_view ptx, std::string_view other, std::minstd_rand& random) {
  std::vector<std::string> parts = statements(ptx);
  const std::vector<std::string> givers = statements(other);
  if (parts.empty() || givers.empty()) {
    return std::string(ptx);
  }
  for (std::size_t count = 1 + below(8, random); count > 0; --count) {
    const auto at = static_cast<std::ptrdiff_t>(below(parts.size() + 1, random));
    parts.insert(parts.begin() + at, givers[below(givers.size(), random)]);
  }
  return join(parts);
}

}  // namespace kerncast::simulator::testing
