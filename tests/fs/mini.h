// SPDX-License-Identifier: Apache-2.0
/// Requests to the masters of the mini cluster that serves the mount under test ($CFS_TEST_MASTER).
///
/// Purpose  A plain socket, because starting curl takes a third of a second on an emulated machine.
/// Failure  Fails the test; the answer is empty then.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace fs_test {

/// Everything the master at `address` (IPv4:port) answers, head included; empty without an answer.
inline std::string http_get(const std::string& address, const std::string& path) {
  sockaddr_in peer{};
  peer.sin_family = AF_INET;
  const auto colon = address.find(':');
  if (colon == std::string::npos) return {};
  peer.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
  if (::inet_pton(AF_INET, address.substr(0, colon).c_str(), &peer.sin_addr) != 1) return {};
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::string answer;
  const std::string request =
      "GET " + path + " HTTP/1.1\r\nHost: " + address + "\r\nConnection: close\r\n\r\n";
  if (::connect(fd, reinterpret_cast<sockaddr*>(&peer), sizeof peer) == 0 &&
      ::send(fd, request.data(), request.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(request.size())) {
    char b[16384];
    for (ssize_t n; (n = ::recv(fd, b, sizeof b, 0)) > 0;)
      answer.append(b, static_cast<std::size_t>(n));
  }
  ::close(fd);
  return answer;
}

/// The body of a request that must succeed.
inline std::string ask_mini(const std::string& path) {
  const char* master = std::getenv("CFS_TEST_MASTER");
  const std::string answer = master != nullptr ? http_get(master, path) : std::string();
  EXPECT_NE(answer.find("\"code\":0"), std::string::npos) << path << ": " << answer;
  const auto body = answer.find("\r\n\r\n");
  return body == std::string::npos ? std::string() : answer.substr(body + 4);
}

}  // namespace fs_test
