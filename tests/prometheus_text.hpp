#pragma once

#include <cctype>
#include <cstddef>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

/// Reads the text format of Prometheus (version 0.0.4) by its grammar, without leniency: each metric has one
/// HELP and one TYPE line before its samples, which follow one another, and no series comes twice.
class PrometheusText {
 public:
  using Labels = std::map<std::string, std::string>;

  /// Throws std::runtime_error with the line that the grammar does not allow.
  explicit PrometheusText(const std::string& text) {
    std::size_t at = 0;
    while (at < text.size()) {
      const std::size_t end = text.find('\n', at);
      line_ = std::string_view(text).substr(at, end - at);
      require(end != std::string::npos);
      read_line();
      at = end + 1;
    }
  }

  /// The value of the series `name` with `labels`, as it is written. Throws std::out_of_range.
  [[nodiscard]] std::string value(const std::string& name, const Labels& labels = {}) const {
    return samples_.at({name, labels});
  }
  [[nodiscard]] std::size_t size() const { return samples_.size(); }

 private:
  void require(bool holds) const {
    if (!holds) {
      throw std::runtime_error("malformed line: " + std::string(line_));
    }
  }

  void read_line() {
    left_ = line_;
    if (take("# HELP ")) {
      metric_ = name(":");
      require(take(" ") && !left_.empty() && helped_.insert(metric_).second);
    } else if (take("# TYPE ")) {
      require(name(":") == metric_ && left_ == " counter" && typed_.insert(metric_).second);
    } else {
      read_sample();
    }
  }

  void read_sample() {
    require(name(":") == metric_ && typed_.contains(metric_) && metric_.ends_with("_total"));
    Labels labels;
    if (take("{")) {
      do {
        const std::string label = name("");
        require(take("=\"") && !label.starts_with("__"));
        require(labels.emplace(label, label_value()).second);
      } while (take(","));
      require(take("}"));
    }
    require(take(" "));
    const std::string value(left_);
    std::size_t used = 0;
    require(!value.empty() && std::stod(value, &used) >= 0 && used == value.size());
    require(samples_.emplace(std::pair(metric_, labels), value).second);
  }

  /// A name of letters, digits, underscores and `others` that does not begin with a digit.
  std::string name(std::string_view others) {
    std::size_t size = 0;
    while (size < left_.size() &&
           (std::isalnum(static_cast<unsigned char>(left_[size])) != 0 || left_[size] == '_' ||
            others.find(left_[size]) != std::string_view::npos)) {
      ++size;
    }
    require(size > 0 && std::isdigit(static_cast<unsigned char>(left_[0])) == 0);
    const std::string out(left_.substr(0, size));
    left_.remove_prefix(size);
    return out;
  }

  std::string label_value() {
    std::string out;
    while (!take("\"")) {
      require(!left_.empty());
      if (take("\\n")) {
        out += '\n';
        continue;
      }
      if (take("\\")) {
        require(left_.starts_with('\\') || left_.starts_with('"'));
      }
      out += left_.front();
      left_.remove_prefix(1);
    }
    return out;
  }

  bool take(std::string_view text) {
    const bool is_next = left_.starts_with(text);
    left_.remove_prefix(is_next ? text.size() : 0);
    return is_next;
  }

  std::string_view line_;
  std::string_view left_;
  std::string metric_;
  std::set<std::string> helped_;
  std::set<std::string> typed_;
  std::map<std::pair<std::string, Labels>, std::string> samples_;
};
