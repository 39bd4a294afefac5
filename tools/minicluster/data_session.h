// SPDX-License-Identifier: Apache-2.0
/// One connection of a data node: the real server's replication protocol, seen from outside.
///
/// Purpose   Requests are executed one after the other. Forwarded ones (create, append with
///           followers) go to the followers first, then to the local disk; a second thread answers
///           them in order when every follower has replied. Everything else is answered at once by
///           the request thread and may overtake those, as on the real server.
/// Errors    The first reply that is no success stops the engine: it is delivered, later requests
///           are not executed, earlier forwarded ones stay unanswered; the socket closes when the
///           client sends more or closes. Source: CubeFS v3.5.3, datanode/repl/repl_protocol.go.
/// Lifetime  Owned by its node. start() once; stop() or reset() make it end; the destructor joins.
/// Threads   stop(), reset() and finished() from any thread. Locks: write_mutex_ for the socket's
///           sending side and the moment of the first error; ack_mutex_ for the queue and all
///           waits; close_mutex_ for the life of the sockets. None is taken inside another.
/// Failure   A broken socket ends the session; tiny extents with unknown outcome are broken.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tools/minicluster/data_follower.h"
#include "tools/minicluster/data_service.h"

namespace cfs::mini {

class DataSession {
 public:
  DataSession(Fd fd, DataService& service);
  ~DataSession();
  DataSession(const DataSession&) = delete;
  DataSession& operator=(const DataSession&) = delete;

  void start();
  /// Closes the connection (FIN).
  void stop();
  /// Closes the connection with a reset.
  void reset();
  [[nodiscard]] bool finished() const { return finished_.load(); }

 private:
  /// What a fault knob does to one reply.
  enum class Fault { kNone, kDrop, kClose, kHalfClose, kCut, kCorrupt };

  /// Header and framing of a reply; the bytes are borrowed for the call.
  struct Reply {
    cfs_pkt_hdr header;
    std::span<const uint8_t> versions;
    std::string_view arg;
    std::span<const uint8_t> payload;
  };

  /// A forwarded request that waits for its followers.
  struct PendingAck {
    cfs_pkt_hdr header{};
    std::vector<uint8_t> versions;
    std::string arg;
    Verdict local;
    Verdict injected;  ///< follower failure by knob
    std::vector<FollowerLink*> links;
    std::vector<std::string> send_errors;  ///< one per link, "" when sent
    TinyLease tiny;
  };

  void run();
  void serve(DataRequest& request);
  void serve_read(DataRequest& request);
  bool send_chunk(DataRequest& request, int64_t offset, size_t size, Fault fault);
  void serve_local(DataRequest& request);
  void serve_forwarded(DataRequest& request);
  Verdict forward(const DataRequest& request, PendingAck& ack);
  Result<FollowerLink*> link_to(const std::string& address);
  void push_ack(PendingAck ack);

  void acknowledge_loop();
  void acknowledge(PendingAck& ack);
  static Verdict await_followers(const PendingAck& ack);

  void refuse(DataRequest& request, const Refusal& refusal);
  void send_refusal(Reply reply, const Refusal& refusal);
  Fault next_fault(uint8_t opcode);
  bool send(Reply reply, Fault fault);
  void wait_while_hung();
  void nap(std::chrono::milliseconds time);
  void wake_all();
  void end_engine();

  DataService& service_;
  DataKnobs& knobs_;
  Fd fd_;                                                       // closed under close_mutex_
  SocketReader reader_;                                         // request thread
  ByteBuffer read_buffer_;                                      // request thread
  std::map<std::string, std::unique_ptr<FollowerLink>> links_;  // changed by the request thread,
                                                                // under close_mutex_

  std::thread requests_;
  std::thread acknowledger_;  // started by the request thread with the first forwarded request
  std::atomic<bool> stopped_{false};  // no reply leaves any more
  std::atomic<bool> closing_{false};  // ends naps
  std::atomic<bool> finished_{false};
  std::mutex close_mutex_;
  std::mutex write_mutex_;
  std::mutex ack_mutex_;
  std::condition_variable ack_changed_;
  std::deque<PendingAck> acks_;  // ack_mutex_
};

}  // namespace cfs::mini
