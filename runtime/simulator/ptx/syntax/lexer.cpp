#include "runtime/simulator/ptx/syntax/lexer.hpp"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstdlib>
#include <string>

#include "runtime/simulator/machine/machine.hpp"

namespace kerncast::simulator {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_word_start(char c) {
  return is_letter(c) || c == '_' || c == '$' || c == '%' || c == '.';
}
bool is_word_part(char c) {
  return is_word_start(c) || is_digit(c);
}

int digit_value(char c) {
  if (is_digit(c)) {
    return c - '0';
  }
  if (c >= 'a' && c <= 'f') {
    return c - 'a' + 10;
  }
  if (c >= 'A' && c <= 'F') {
    return c - 'A' + 10;
  }
  return 99;
}

}  // namespace

Lexer::Lexer(std::string_view text) : text_(text) {
  advance();
}

void Lexer::fail(std::string_view expected) const {
  const std::string found =
      token_.kind == Token::Kind::end ? "the end of the text" : fmt::format("'{}'", token_.text);
  throw DecodeError(fmt::format("PTX line {}: expected {}, found {}", token_.line, expected, found),
                    token_.line);
}

void Lexer::skip_blanks() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '\n') {
      ++line_;
      ++at_;
    } else if (c == ' ' || c == '\t' || c == '\r' || c == '\0') {
      ++at_;
    } else if (c == '/' && at_ + 1 < text_.size() && text_[at_ + 1] == '/') {
      while (at_ < text_.size() && text_[at_] != '\n') {
        ++at_;
      }
    } else if (c == '/' && at_ + 1 < text_.size() && text_[at_ + 1] == '*') {
      const std::size_t end = text_.find("*/", at_ + 2);
      if (end == std::string_view::npos) {
        throw DecodeError(fmt::format("PTX line {}: comment without end", line_), line_);
      }
      for (; at_ < end + 2; ++at_) {
        line_ += text_[at_] == '\n' ? 1 : 0;
      }
    } else {
      return;
    }
  }
}

void Lexer::lex_word() {
  // Directives need no blank between them: .reg.b32 is two.
  const bool directive = text_[at_] == '.';
  std::size_t end = at_ + 1;
  while (end < text_.size()) {
    if (directive && text_[end] == '.') {
      break;
    }
    if (is_word_part(text_[end])) {
      ++end;
    } else if (text_[end] == ':' && end + 2 < text_.size() && text_[end + 1] == ':' &&
               is_word_part(text_[end + 2])) {
      end += 2;
    } else {
      break;
    }
  }
  token_.kind = Token::Kind::word;
  token_.text = text_.substr(at_, end - at_);
  at_ = end;
}

void Lexer::finish_number(std::size_t end) {
  token_.text = text_.substr(at_, end - at_);
  at_ = end;
  if (at_ < text_.size() && (is_letter(text_[at_]) || is_digit(text_[at_]) || text_[at_] == '_')) {
    throw DecodeError(fmt::format("PTX line {}: malformed number '{}{}'", line_, token_.text, text_[at_]),
                      line_);
  }
}

/// A float by its bits, such as 0f3F800000.
void Lexer::lex_float_bits(unsigned digits) {
  for (unsigned i = 0; i < digits; ++i) {
    const std::size_t at = at_ + 2 + i;
    const int value = at < text_.size() ? digit_value(text_[at]) : 99;
    if (value > 15) {
      throw DecodeError(
          fmt::format("PTX line {}: a float constant needs {} hexadecimal digits", line_, digits), line_);
    }
    token_.bits = token_.bits << 4 | static_cast<std::uint64_t>(value);
  }
  token_.float_bytes = static_cast<std::uint8_t>(digits / 2);
  finish_number(at_ + 2 + digits);
}

std::size_t Lexer::end_of_digits(std::size_t at) const {
  while (at < text_.size() && is_digit(text_[at])) {
    ++at;
  }
  return at;
}

/// False if the digits here are no decimal float.
bool Lexer::lex_decimal_float() {
  const auto has = [&](std::size_t at, char first, char second) {
    return at < text_.size() && (text_[at] == first || text_[at] == second);
  };
  std::size_t end = end_of_digits(at_);
  const bool exponent = end + 1 < text_.size() && has(end, 'e', 'E');
  if (!has(end, '.', '.') && !exponent) {
    return false;
  }
  if (has(end, '.', '.')) {
    end = end_of_digits(end + 1);
  }
  if (has(end, 'e', 'E')) {
    ++end;
    end = end_of_digits(has(end, '+', '-') ? end + 1 : end);
  }
  const std::string copy(text_.substr(at_, end - at_));
  token_.bits = std::bit_cast<std::uint64_t>(std::strtod(copy.c_str(), nullptr));
  token_.float_bytes = 8;
  finish_number(end);
  return true;
}

/// An integer whose digits begin at `first`.
void Lexer::lex_integer(std::size_t first, int base) {
  std::size_t end = first;
  std::uint64_t value = 0;
  for (; end < text_.size() && digit_value(text_[end]) < base; ++end) {
    const auto digit = static_cast<std::uint64_t>(digit_value(text_[end]));
    if (value > (~std::uint64_t{0} - digit) / static_cast<std::uint64_t>(base)) {
      throw DecodeError(fmt::format("PTX line {}: integer constant over 64 bits", line_), line_);
    }
    value = value * static_cast<std::uint64_t>(base) + digit;
  }
  if (end == first) {
    throw DecodeError(fmt::format("PTX line {}: number without digits", line_), line_);
  }
  token_.bits = value;
  finish_number(end < text_.size() && text_[end] == 'U' ? end + 1 : end);
}

void Lexer::lex_number() {
  token_.kind = Token::Kind::number;
  const bool zero = text_[at_] == '0';
  const char second = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
  const auto prefixed = [&](char lower, char upper) { return zero && (second == lower || second == upper); };
  if (prefixed('f', 'F')) {
    lex_float_bits(8);
  } else if (prefixed('d', 'D')) {
    lex_float_bits(16);
  } else if (prefixed('x', 'X')) {
    lex_integer(at_ + 2, 16);
  } else if (prefixed('b', 'B')) {
    lex_integer(at_ + 2, 2);
  } else if (!lex_decimal_float()) {
    lex_integer(at_, zero && is_digit(second) ? 8 : 10);
  }
}

void Lexer::advance() {
  skip_blanks();
  token_ = Token{};
  token_.line = line_;
  if (at_ >= text_.size()) {
    return;
  }
  const char c = text_[at_];
  if (is_word_start(c)) {
    lex_word();
  } else if (is_digit(c)) {
    lex_number();
  } else if (c == '"') {
    const std::size_t end = text_.find_first_of("\"\n", at_ + 1);
    if (end == std::string_view::npos || text_[end] == '\n') {
      throw DecodeError(fmt::format("PTX line {}: string without end", line_), line_);
    }
    token_.kind = Token::Kind::text;
    token_.text = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
  } else if (std::string_view("{}()[],;:+-!|=<>@*~&^/?").find(c) != std::string_view::npos) {
    token_.kind = Token::Kind::punctuation;
    token_.text = text_.substr(at_, 1);
    ++at_;
  } else {
    throw DecodeError(fmt::format("PTX line {}: character 0x{:02x} is not PTX", line_,
                                  static_cast<unsigned>(static_cast<unsigned char>(c))),
                      line_);
  }
}

Token Lexer::take() {
  const Token taken = token_;
  advance();
  return taken;
}

bool Lexer::accept(char c) {
  if (!token_.is(c)) {
    return false;
  }
  advance();
  return true;
}

bool Lexer::accept(std::string_view word) {
  if (!token_.is(word)) {
    return false;
  }
  advance();
  return true;
}

void Lexer::expect(char c) {
  if (!accept(c)) {
    fail(fmt::format("'{}'", c));
  }
}

std::string_view Lexer::expect_word() {
  if (token_.kind != Token::Kind::word) {
    fail("a name");
  }
  return take().text;
}

std::uint64_t Lexer::expect_integer(std::uint64_t limit, std::string_view what) {
  if (token_.kind != Token::Kind::number || token_.float_bytes != 0) {
    fail(what);
  }
  if (token_.bits > limit) {
    fail(fmt::format("{} of at most {}", what, limit));
  }
  return take().bits;
}

void Lexer::skip_line() {
  const int line = token_.line;
  while (token_.kind != Token::Kind::end && token_.line == line) {
    advance();
  }
}

bool Lexer::at_label() const {
  if (token_.kind != Token::Kind::word) {
    return false;
  }
  std::size_t at = at_;
  while (at < text_.size() && (text_[at] == ' ' || text_[at] == '\t')) {
    ++at;
  }
  return at < text_.size() && text_[at] == ':' && (at + 1 == text_.size() || text_[at + 1] != ':');
}

}  // namespace kerncast::simulator
