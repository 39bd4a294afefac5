// SPDX-License-Identifier: Apache-2.0
/// Run tasks side by side and collect their results in order.
///
/// Threads  The loop thread; the tasks take turns on it.
/// Lifetime The results live in the awaiting frame until the last task ended.
/// Failure  None of its own: errors are part of T.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "daemon/base/loop.h"

namespace cfs {

namespace detail {

template <typename T>
struct Joint {
  std::vector<std::optional<T>> results;
  std::size_t left = 0;
  Event done;
};

template <typename T>
Task<void> run_part(Task<T> task, Joint<T>* joint, std::size_t index) {
  T result = co_await task;
  joint->results[index].emplace(std::move(result));
  if (--joint->left == 0) joint->done.set();
}

}  // namespace detail

/// Results of all tasks, in the order of the tasks.
template <typename T>
Task<std::vector<T>> when_all(Loop& loop, std::vector<Task<T>> tasks) {
  std::vector<T> out;
  if (tasks.size() == 1) {
    Task<T> task = std::move(tasks.front());
    T only = co_await task;
    out.push_back(std::move(only));
    co_return out;
  }
  detail::Joint<T> joint;
  joint.results.resize(tasks.size());
  joint.left = tasks.size();
  const std::int64_t deadline_ms = co_await this_deadline();
  const std::uint64_t request = co_await this_request();
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    loop.spawn(detail::run_part<T>(std::move(tasks[i]).until(deadline_ms).on_behalf_of(request),
                                   &joint, i));
  }
  if (!tasks.empty()) co_await joint.done.wait();
  out.reserve(joint.results.size());
  for (std::optional<T>& r : joint.results) out.push_back(std::move(*r));
  co_return out;
}

/// A part for when_all() whose result has a type of its own: it goes to `*to`, which lives in the
/// awaiting frame.
template <typename T>
Task<bool> store_into(Task<T> task, T* to) {
  *to = co_await task;
  co_return true;
}

}  // namespace cfs
