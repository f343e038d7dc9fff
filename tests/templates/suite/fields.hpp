#pragma once

#include <cstddef>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

/// The fields of an aggregate with their names, which C++20 tells only by way of the compiler's spelling of a
/// pointer. The struct has no base and at most 16 fields.
namespace kerncast::test {
namespace fields_detail {

struct AnyValue {
  template <class T>
  operator T() const;
};

template <class T, std::size_t... I>
constexpr bool takes(std::index_sequence<I...>) {
  return requires { T{(static_cast<void>(I), AnyValue{})...}; };
}

template <class T, std::size_t N = 16>
constexpr std::size_t count() {
  if constexpr (N == 0 || takes<T>(std::make_index_sequence<N>{})) {
    return N;
  } else {
    return count<T, N - 1>();
  }
}

template <class T>
constexpr auto tie(T& of) {
  constexpr std::size_t fields = count<std::remove_const_t<T>>();
  if constexpr (fields == 1) {
    auto& [a] = of;
    return std::tuple(&a);
  } else if constexpr (fields == 2) {
    auto& [a, b] = of;
    return std::tuple(&a, &b);
  } else if constexpr (fields == 3) {
    auto& [a, b, c] = of;
    return std::tuple(&a, &b, &c);
  } else if constexpr (fields == 4) {
    auto& [a, b, c, d] = of;
    return std::tuple(&a, &b, &c, &d);
  } else if constexpr (fields == 5) {
    auto& [a, b, c, d, e] = of;
    return std::tuple(&a, &b, &c, &d, &e);
  } else if constexpr (fields == 6) {
    auto& [a, b, c, d, e, f] = of;
    return std::tuple(&a, &b, &c, &d, &e, &f);
  } else if constexpr (fields == 7) {
    auto& [a, b, c, d, e, f, g] = of;
    return std::tuple(&a, &b, &c, &d, &e, &f, &g);
  } else if constexpr (fields == 8) {
    auto& [a, b, c, d, e, f, g, h] = of;
    return std::tuple(&a, &b, &c, &d, &e, &f, &g, &h);
  } else if constexpr (fields == 9) {
    auto& [a, b, c, d, e, f, g, h, i] = of;
    return std::tuple(&a, &b, &c, &d, &e, &f, &g, &h, &i);
  } else if constexpr (fields == 10) {
    auto& [a, b, c, d, e, f, g, h, i, j] = of;
    return std::tuple(&a, &b, &c, &d, &e, &f, &g, &h, &i, &j);
  } else if constexpr (fields == 11) {
    auto& [a, b, c, d, e, f, g, h, i, j, k] = of;
    return std::tuple(&a, &b, &c, &d, &e, &f, &g, &h, &i, &j, &k);
  } else if constexpr (fields == 12) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l] = of;
    return std::tuple(&a, &b, &c, &d, &e, &f, &g, &h, &i, &j, &k, &l);
  } else if constexpr (fields == 13) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m] = of;
    return std::tuple(&a, &b, &c, &d, &e, &f, &g, &h, &i, &j, &k, &l, &m);
  } else if constexpr (fields == 14) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = of;
    return std::tuple(&a, &b, &c, &d, &e, &f, &g, &h, &i, &j, &k, &l, &m, &n);
  } else if constexpr (fields == 15) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o] = of;
    return std::tuple(&a, &b, &c, &d, &e, &f, &g, &h, &i, &j, &k, &l, &m, &n, &o);
  } else if constexpr (fields == 16) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = of;
    return std::tuple(&a, &b, &c, &d, &e, &f, &g, &h, &i, &j, &k, &l, &m, &n, &o, &p);
  }
}

template <class T>
struct Wrapper {
  T value;
};

/// Never defined: only the addresses of its fields are named.
template <class T>
extern const Wrapper<T> named;

template <class Pointer>
struct Address {
  Pointer pointer;
};

template <Address A>
constexpr std::string_view spelling() {
  return __PRETTY_FUNCTION__;
}

/// The identifier before what closes the spelling of a pointer: "... Args::x)}]" or "...value.x}]".
constexpr std::string_view last_identifier(std::string_view text) {
  const std::size_t close = text.rfind('}');
  text = text.substr(0, close);
  while (text.ends_with(')')) {
    text.remove_suffix(1);
  }
  return text.substr(text.find_last_of(":.>") + 1);
}

template <class T, std::size_t I>
constexpr std::string_view name() {
#ifdef __clang__
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wundefined-var-template"
#endif
  return last_identifier(spelling<Address{std::get<I>(tie(named<T>.value))}>());
#ifdef __clang__
#pragma clang diagnostic pop
#endif
}

}  // namespace fields_detail

/// Calls `visit` with the name and a reference of each field of `aggregate`, in order.
template <class T, class Visit>
void for_each_field(T& aggregate, const Visit& visit) {
  const auto pointers = fields_detail::tie(aggregate);
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (visit(fields_detail::name<T, I>(), *std::get<I>(pointers)), ...);
  }(std::make_index_sequence<std::tuple_size_v<decltype(pointers)>>{});
}

}  // namespace kerncast::test
