#pragma once

#include <cstdint>
#include <string_view>

namespace kerncast::simulator {

/// A PTX token. Words take in dots and double colons, so an opcode with all its modifiers is one word.
struct Token {
  enum class Kind : std::uint8_t { end, word, number, text, punctuation };
  Kind kind = Kind::end;
  std::string_view text;
  int line = 0;
  std::uint64_t bits = 0;        ///< of a number: the integer, or the float's bits
  std::uint8_t float_bytes = 0;  ///< of a number: 0 for integers, 4 for 0f..., 8 for 0d... and decimal floats

  [[nodiscard]] bool is(char c) const { return kind == Kind::punctuation && text.front() == c; }
  [[nodiscard]] bool is(std::string_view word) const { return kind == Kind::word && text == word; }
};

/// Splits PTX text into tokens, one ahead. Throws DecodeError for text that is no token.
class Lexer {
 public:
  explicit Lexer(std::string_view text);

  [[nodiscard]] const Token& peek() const { return token_; }
  Token take();
  /// Takes the next token if it is the punctuation `c`.
  bool accept(char c);
  /// Takes the next token if it is the word `word`.
  bool accept(std::string_view word);
  void expect(char c);
  std::string_view expect_word();
  /// A non-negative integer no larger than `limit`; `what` names it in the error.
  std::uint64_t expect_integer(std::uint64_t limit, std::string_view what);
  /// Skips to the end of the current line: for directives that carry debug information only.
  void skip_line();
  /// True if the next token is a label: a word directly followed by a single colon.
  [[nodiscard]] bool at_label() const;
  [[nodiscard]] int line() const { return token_.line; }
  [[noreturn]] void fail(std::string_view expected) const;

 private:
  void advance();
  void skip_blanks();
  void lex_number();
  void lex_float_bits(unsigned digits);
  bool lex_decimal_float();
  void lex_integer(std::size_t first, int base);
  [[nodiscard]] std::size_t end_of_digits(std::size_t at) const;
  /// Ends the number's token before `end`.
  void finish_number(std::size_t end);
  void lex_word();

  std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1;
  Token token_;
};

}  // namespace kerncast::simulator
