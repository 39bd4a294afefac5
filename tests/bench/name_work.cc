// SPDX-License-Identifier: Apache-2.0
/// Work on names: known, absent and forgotten ones; small files, by one thread and by many.
#include <sys/stat.h>

#include <filesystem>
#include <latch>
#include <thread>

#include "tests/bench/calls.h"
#include "tests/bench/workloads.h"

namespace cfs::bench {
namespace {

constexpr std::size_t kKnown = 200;
constexpr double kEnoughSeconds = 0.3;  // of calls that caches should answer, where they do not

using Paths = std::vector<std::string>;

Paths paths(const std::string& prefix, std::size_t count) {
  Paths out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(prefix + std::to_string(i));
  return out;
}

Result<void> make_directory(const std::string& path) {
  return ::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST ? Result<void>{} : failed(path);
}

// ---------------------------------------------------------------- calls

Result<void> stat_one(const std::string& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 ? Result<void>{} : failed(path);
}

Result<void> stat_absent(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) == 0) return failed(path, EEXIST);
  return errno == ENOENT ? Result<void>{} : failed(path);
}

Result<void> open_close(const std::string& path) {
  auto file = File::open(path, O_RDONLY);
  return file ? file->close() : file.error();
}

Result<void> create_one(const std::string& path) {
  static const auto data = buffer(kPage, 's');
  auto file = File::open(path, O_CREAT | O_EXCL | O_WRONLY);
  if (!file) return file.error();
  if (::write(file->get(), data.get(), kPage) != static_cast<ssize_t>(kPage)) return failed(path);
  return file->close();
}

Result<void> read_one(const std::string& path) {
  char data[kPage];
  auto file = File::open(path, O_RDONLY);
  if (!file) return file.error();
  const ssize_t n = ::read(file->get(), data, kPage);
  if (n != static_cast<ssize_t>(kPage)) return failed(path, n < 0 ? errno : EIO);
  return file->close();
}

Result<void> unlink_one(const std::string& path) {
  return ::unlink(path.c_str()) == 0 ? Result<void>{} : failed(path);
}

using Call = Result<void> (*)(const std::string&);

// ---------------------------------------------------------------- how often

Result<void> once_each(const Paths& on, Samples& samples, Call call) {
  samples.begin(on.size());
  for (const std::string& path : on) {
    const auto done = call(path);
    if (!done) return done;
    samples.lap();
  }
  return {};
}

Result<void> again_and_again(const Paths& on, std::size_t calls, Samples& samples, Call call) {
  samples.begin(calls);
  for (std::size_t i = 0; i < calls && samples.seconds() < kEnoughSeconds; ++i) {
    const auto done = call(on[i % on.size()]);
    if (!done) return done;
    samples.lap();
  }
  return {};
}

/// Each thread has a directory and files of its own; all begin at once.
Result<void> by_threads(const Scale& s, int round, Samples& samples, Call call) {
  std::vector<Samples> times(s.threads);
  std::vector<Result<void>> outcomes(s.threads);
  std::latch ready(static_cast<std::ptrdiff_t>(s.threads));
  std::vector<std::thread> running;
  for (std::size_t i = 0; i < s.threads; ++i) {
    running.emplace_back([&, i] {
      const Paths mine =
          paths("thread-" + std::to_string(i) + "/" + std::to_string(round) + "-", s.files / 4);
      ready.arrive_and_wait();
      outcomes[i] = once_each(mine, times[i], call);
    });
  }
  for (std::thread& t : running) t.join();
  for (std::size_t i = 0; i < s.threads; ++i) {
    if (!outcomes[i]) return outcomes[i];
    samples.merge(times[i]);
  }
  return {};
}

// ---------------------------------------------------------------- preparations

Result<void> make_known(int) {
  struct stat st {};
  if (::stat("known", &st) == 0) return {};
  auto done = make_directory("known");
  for (const std::string& path : paths("known/f", kKnown)) {
    if (done) done = create_one(path);
  }
  return done;
}

Result<void> make_thread_directories(const Scale& s) {
  Result<void> done;
  for (std::size_t i = 0; i < s.threads && done; ++i)
    done = make_directory("thread-" + std::to_string(i));
  return done;
}

// ---------------------------------------------------------------- listing

/// As `ls -l`: each name of the directory and its attributes. One operation is one name.
Result<void> list_known(Samples& samples) {
  samples.begin(kKnown);
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator("known", code)) {
    struct stat st {};
    if (::lstat(entry.path().c_str(), &st) < 0) return failed(entry.path());
    samples.lap();
  }
  return code ? make_error(code.value(), "known") : Result<void>{};
}

Workload known_work(const std::string& name, Cache cache, std::size_t calls, Call call,
                    const Paths& on) {
  return {{"names", name},
          cache,
          [calls, call, on](int, Samples& samples) {
            return calls == 0 ? once_each(on, samples, call)
                              : again_and_again(on, calls, samples, call);
          },
          make_known};
}

/// All threads look at the same names, as often as one thread does alone.
Result<void> again_by_threads(const Paths& on, std::size_t calls, std::size_t threads,
                              Samples& samples) {
  std::vector<Samples> times(threads);
  std::vector<Result<void>> outcomes(threads);
  std::latch ready(static_cast<std::ptrdiff_t>(threads));
  std::vector<std::thread> running;
  for (std::size_t i = 0; i < threads; ++i) {
    running.emplace_back([&, i] {
      ready.arrive_and_wait();
      outcomes[i] = again_and_again(on, calls, times[i], stat_one);
    });
  }
  for (std::thread& t : running) t.join();
  for (std::size_t i = 0; i < threads; ++i) {
    if (!outcomes[i]) return outcomes[i];
    samples.merge(times[i]);
  }
  return {};
}

Workload scaling_work(std::size_t calls, const Paths& on) {
  return {{"names", "stat, cached, 2 threads"},
          Cache::kWarm,
          [calls, on](int, Samples& samples) { return again_by_threads(on, calls, 2, samples); },
          make_known};
}

Workload small_work(const std::string& name, Cache cache, const Scale& s, Call call) {
  return {{"small", name}, cache, [s, call](int round, Samples& samples) {
            return once_each(paths("small-" + std::to_string(round) + "-", s.files), samples, call);
          }};
}

Workload thread_work(const std::string& name, Cache cache, const Scale& s, Call call) {
  return {{"threads", name + ", " + std::to_string(s.threads) + " threads"},
          cache,
          [s, call](int round, Samples& samples) { return by_threads(s, round, samples, call); },
          [s](int) { return make_thread_directories(s); }};
}

}  // namespace

std::vector<Workload> name_workloads(const Scale& s) {
  const Paths known = paths("known/f", kKnown);
  return {
      known_work("stat, cached", Cache::kWarm, s.calls, stat_one, known),
      scaling_work(s.calls, known),
      known_work("stat of an absent name", Cache::kWarm, s.calls, stat_absent, {"known/none"}),
      known_work("open, close, cached", Cache::kWarm, s.calls, open_close, known),
      known_work("stat, cold", Cache::kNames, 0, stat_one, known),
      {{"names", "list with attributes, cold"},
       Cache::kNames,
       [](int, Samples& samples) { return list_known(samples); },
       make_known},
  };
}

std::vector<Workload> small_file_workloads(const Scale& s) {
  return {
      small_work("create, write 4 KiB, close", Cache::kAsIs, s, create_one),
      small_work("stat, just made", Cache::kAsIs, s, stat_one),
      small_work("open, read 4 KiB, close, cold", Cache::kCold, s, read_one),
      small_work("open, read 4 KiB, close, cached", Cache::kWarm, s, read_one),
      small_work("unlink", Cache::kAsIs, s, unlink_one),
      thread_work("create, write 4 KiB, close", Cache::kAsIs, s, create_one),
      thread_work("open, read 4 KiB, close, cold", Cache::kCold, s, read_one),
      thread_work("unlink", Cache::kAsIs, s, unlink_one),
  };
}

}  // namespace cfs::bench
