// SPDX-License-Identifier: Apache-2.0
/// A peer on loopback for tests of what is done about it: silent, deaf, or with answers of the test's own.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "daemon/base/net.h"

namespace cfs::test {

/// The kernel takes connections for it, so whoever dials is connected and hears nothing, until take(). It can be deaf: with
/// its queue of connections full, the kernel drops what dials.
class Peer {
 public:
  explicit Peer(const char* host = "127.0.0.1")
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    auto* in = reinterpret_cast<sockaddr_in*>(&at.addr);
    in->sin_family = AF_INET;
    EXPECT_EQ(1, inet_pton(AF_INET, host, &in->sin_addr));
    at.len = sizeof(*in);
    EXPECT_EQ(0, ::bind(fd_.get(), reinterpret_cast<sockaddr*>(&at.addr), at.len));
    EXPECT_EQ(0, ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&at.addr), &at.len));
    EXPECT_EQ(0, ::listen(fd_.get(), 0));
  }
  void deafen() {
    for (int i = 0; i < 2; ++i) {
      Fd filler(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      ::connect(filler.get(), reinterpret_cast<const sockaddr*>(&at.addr), at.len);
      fillers_.push_back(std::move(filler));
    }
    ::usleep(20'000);
  }
  /// From now on there is room again.
  void hear() {
    fillers_.clear();
    ::listen(fd_.get(), 64);
  }
  [[nodiscard]] std::string address() const {
    const auto* in = reinterpret_cast<const sockaddr_in*>(&at.addr);
    char host[INET_ADDRSTRLEN];
    return inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host)) +
           (":" + std::to_string(ntohs(in->sin_port)));
  }
  /// The next one that dials; an invalid one after leave().
  [[nodiscard]] Fd take() const { return Fd(::accept(fd_.get(), nullptr, nullptr)); }
  /// Nobody is taken any more: ends take() on another thread.
  void leave() { ::shutdown(fd_.get(), SHUT_RDWR); }
  Endpoint at;

 private:
  Fd fd_;
  std::vector<Fd> fillers_;
};

}  // namespace cfs::test
