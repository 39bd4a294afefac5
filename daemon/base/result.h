// SPDX-License-Identifier: Apache-2.0
/// Errors as values.
///
/// Purpose  Every call that can fail after start-up returns Result<T>: a value, or an Error with an
///          errno and a sentence that grows on the way up ("create /a/b: mp 13: connection reset").
/// Threads  Plain values; no sharing.
/// Failure  value() on an error terminates: test first.
#pragma once

#include <cassert>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace cfs {

/// Why something failed: a positive errno for programs, a sentence for people.
struct Error {
  int code = EIO;
  std::string what;

  /// Same error with context in front: "context: what".
  [[nodiscard]] Error in(const std::string& context) const {
    return Error{code, what.empty() ? context : context + ": " + what};
  }
  /// "what (strerror)".
  [[nodiscard]] std::string text() const {
    return what.empty() ? std::string(std::strerror(code))
                        : what + " (" + std::strerror(code) + ")";
  }
};

inline Error make_error(int code, std::string what) {
  return Error{code, std::move(what)};
}
inline Error errno_error(const std::string& what) {
  return Error{errno, what};
}

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit on purpose
  Result(Error error) : v_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  [[nodiscard]] bool ok() const { return v_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    assert(ok());
    return std::get<0>(v_);
  }
  const T& value() const& {
    assert(ok());
    return std::get<0>(v_);
  }
  T&& value() && {
    assert(ok());
    return std::get<0>(std::move(v_));
  }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }

  const Error& error() const {
    assert(!ok());
    return std::get<1>(v_);
  }
  [[nodiscard]] int code() const { return ok() ? 0 : error().code; }

 private:
  std::variant<T, Error> v_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : e_(std::move(error)) {}  // NOLINT: implicit on purpose

  [[nodiscard]] bool ok() const { return !e_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    assert(!ok());
    return *e_;
  }
  [[nodiscard]] int code() const { return ok() ? 0 : e_->code; }

 private:
  std::optional<Error> e_;
};

}  // namespace cfs
