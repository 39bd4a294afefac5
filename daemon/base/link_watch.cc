// SPDX-License-Identifier: Apache-2.0
/// Reads the kernel's notices about the network; contracts in link_watch.h.
#include "daemon/base/link_watch.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <array>
#include <cstring>

namespace cfs {

struct LinkWatch::State {
  Loop& loop;
  Fd socket;
  std::function<void()> on_change;
  bool stopped = false;
};

Result<Fd> LinkWatch::open() {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd) return errno_error("netlink socket");
  sockaddr_nl self{};
  self.nl_family = AF_NETLINK;
  self.nl_groups =
      RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&self), sizeof(self)) < 0) {
    return errno_error("netlink bind");
  }
  return fd;
}

bool LinkWatch::is_better(std::string_view datagram) {
  while (datagram.size() >= sizeof(nlmsghdr)) {
    nlmsghdr head{};
    std::memcpy(&head, datagram.data(), sizeof(head));
    if (head.nlmsg_len < sizeof(head) || head.nlmsg_len > datagram.size()) return false;
    if (head.nlmsg_type == RTM_NEWADDR || head.nlmsg_type == RTM_NEWROUTE) return true;
    if (head.nlmsg_type == RTM_NEWLINK && head.nlmsg_len >= NLMSG_LENGTH(sizeof(ifinfomsg))) {
      ifinfomsg link{};
      std::memcpy(&link, datagram.data() + NLMSG_HDRLEN, sizeof(link));
      if ((link.ifi_flags & IFF_RUNNING) != 0) return true;
    }
    datagram.remove_prefix(std::min<std::size_t>(NLMSG_ALIGN(head.nlmsg_len), datagram.size()));
  }
  return false;
}

LinkWatch::LinkWatch(Loop& loop, Fd socket, std::function<void()> on_change)
    : state_(std::make_shared<State>(State{loop, std::move(socket), std::move(on_change)})) {
  loop.spawn(run(state_));
}

/// A netlink socket cannot be shut down to end a pending receive: ask it for something instead.
void LinkWatch::stop() {
  if (state_->stopped) return;
  state_->stopped = true;
  struct {
    nlmsghdr head;
    ifinfomsg link;
  } question{};
  question.head.nlmsg_len = sizeof(question);
  question.head.nlmsg_type = RTM_GETLINK;
  question.head.nlmsg_flags = NLM_F_REQUEST;
  question.link.ifi_index = 1;  // an error is an answer as well
  (void)::send(state_->socket.get(), &question, sizeof(question), MSG_NOSIGNAL);
}

Task<void> LinkWatch::run(std::shared_ptr<State> state) {
  alignas(nlmsghdr) std::array<char, 16384> buffer;
  while (!state->stopped) {
    const int n = co_await state->loop.recv(state->socket.get(), buffer.data(), buffer.size());
    if (state->stopped || n == 0) co_return;
    if (n < 0 && n != -ENOBUFS && n != -EINTR) co_return;
    const bool better =
        n == -ENOBUFS || (n > 0 && is_better({buffer.data(), static_cast<std::size_t>(n)}));
    if (!better) continue;
    state->on_change();
    const int slept = co_await state->loop.sleep(kQuiet);
    if (slept < 0) co_return;
  }
}

}  // namespace cfs
