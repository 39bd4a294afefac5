// SPDX-License-Identifier: Apache-2.0
/// A peer that may stop answering, for tests of what is done about it.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "daemon/base/net.h"

namespace cfs::test {

/// A peer on loopback that can be deaf: with its queue of connections full, the kernel drops what dials.
class Peer {
 public:
  Peer() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    auto* in = reinterpret_cast<sockaddr_in*>(&at.addr);
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
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
    return "127.0.0.1:" + std::to_string(ntohs(in->sin_port));
  }
  Endpoint at;

 private:
  Fd fd_;
  std::vector<Fd> fillers_;
};

}  // namespace cfs::test
