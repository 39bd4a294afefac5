// SPDX-License-Identifier: Apache-2.0
/// Loop backend on io_uring.
///
/// Purpose  Turns Loop::Op into submissions and completions into resumed coroutines.
/// Threads  The ring may be made on one thread and run on another: it starts disabled and belongs
/// to
///          the thread that first submits (IORING_SETUP_SINGLE_ISSUER).
/// Lifetime user_data is the Op's address; an Op lives in a suspended frame until its completion.
///          Completions of cancellations and of the wake descriptor carry small numbers instead.
/// Deadlines Nearly every operation has one and hardly any reaches it, so the ring is not told of
///          them: they are looked through when the earliest that was ever noted is over.
/// Failure  A kernel without a set-up flag gets the next weaker set; without io_uring: an error.
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "daemon/base/loop_impl.h"

namespace cfs {
namespace {

constexpr std::uint64_t kIgnore = 1;  // user_data of cancellations
constexpr std::uint64_t kWake = 2;    // user_data of the wake descriptor's poll
constexpr std::size_t kCommandBytes = 80;
constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

/// Strongest first. DEFER_TASKRUN is 6.1, SQE128 5.19.
constexpr unsigned kFlagSets[] = {
    IORING_SETUP_SQE128 | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
        IORING_SETUP_R_DISABLED,
    IORING_SETUP_SQE128 | IORING_SETUP_R_DISABLED,
    IORING_SETUP_R_DISABLED,
};

}  // namespace

struct Loop::UringBackend final : Loop::Backend {
  ~UringBackend() override {
    if (made) io_uring_queue_exit(&ring);
  }

  void start(Op& op) override;
  void wait(std::int64_t timeout_ms, Ready& ready) override;
  [[nodiscard]] bool is_uring() const override { return true; }

  void enable();
  io_uring_sqe* next_sqe();
  void note_deadline(Op& op);
  void forget_deadline(Op& op);
  void cancel_late(std::int64_t now);
  void prepare(io_uring_sqe* sqe, const Op& op) const;
  void arm_wake();
  void reap(Ready& ready);
  void complete(const io_uring_cqe& cqe, Ready& ready);

  io_uring ring{};
  unsigned flags = 0;
  int wake_fd = -1;
  bool made = false;
  bool enabled = false;
  bool wake_armed = false;
  Ready early;                          // completed while the submission queue was being flushed
  Op* timed = nullptr;                  // first of those with a deadline that were not cancelled
  std::int64_t next_check_ms = kNever;  // no deadline in `timed` is earlier
};

Result<std::unique_ptr<Loop::Backend>> Loop::Backend::make_uring(unsigned entries, int wake_fd) {
  int err = 0;
  for (const unsigned flags : kFlagSets) {
    auto backend = std::make_unique<UringBackend>();
    io_uring_params params{};
    params.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    params.cq_entries = entries * 4;
    err = io_uring_queue_init_params(entries, &backend->ring, &params);
    if (err == 0) {
      backend->made = true;
      backend->flags = flags;
      backend->wake_fd = wake_fd;
      return std::unique_ptr<Backend>(std::move(backend));
    }
    if (err != -EINVAL) break;
  }
  return make_error(-err, "io_uring_setup");
}

void Loop::UringBackend::enable() {
  if (enabled) return;
  // by hand: io_uring_enable_rings() is declared but not exported by liburing 2.3
  ::syscall(__NR_io_uring_register, ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  enabled = true;
}

io_uring_sqe* Loop::UringBackend::next_sqe() {
  io_uring_sqe* sqe = nullptr;
  while ((sqe = io_uring_get_sqe(&ring)) == nullptr) {
    enable();
    if (io_uring_submit(&ring) < 0) reap(early);  // completion queue full: make room there first
  }
  return sqe;
}

void Loop::UringBackend::prepare(io_uring_sqe* sqe, const Op& op) const {
  void* const buf = const_cast<void*>(op.p_);
  switch (op.kind_) {
    case Op::Kind::kRecv:
      io_uring_prep_recv(sqe, op.fd_, buf, op.n_, 0);
      break;
    case Op::Kind::kSend:
      io_uring_prep_send(sqe, op.fd_, buf, op.n_, MSG_NOSIGNAL);
      break;
    case Op::Kind::kConnect:
      io_uring_prep_connect(sqe, op.fd_, static_cast<const sockaddr*>(op.p_),
                            static_cast<socklen_t>(op.n_));
      break;
    case Op::Kind::kAccept:
      io_uring_prep_accept(sqe, op.fd_, nullptr, nullptr, SOCK_CLOEXEC);
      break;
    case Op::Kind::kPoll:
      io_uring_prep_poll_add(sqe, op.fd_, op.op_);
      break;
    case Op::Kind::kRead:
      io_uring_prep_read(sqe, op.fd_, buf, static_cast<unsigned>(op.n_),
                         static_cast<std::uint64_t>(-1));
      break;
    case Op::Kind::kCommand:
      io_uring_prep_rw(IORING_OP_URING_CMD, sqe, op.fd_, nullptr, 0, 0);
      sqe->cmd_op = op.op_;
      std::memset(sqe->cmd, 0, kCommandBytes);
      if (op.n_ > 0) std::memcpy(sqe->cmd, op.p_, op.n_);
      break;
  }
}

void Loop::UringBackend::start(Op& op) {
  const bool is_command = op.kind_ == Op::Kind::kCommand;
  if (is_command && ((flags & IORING_SETUP_SQE128) == 0 || op.n_ > kCommandBytes)) {
    finish(op, op.n_ > kCommandBytes ? -EINVAL : -ENOSYS, early);
    return;
  }
  io_uring_sqe* sqe = next_sqe();
  prepare(sqe, op);
  io_uring_sqe_set_data(sqe, &op);
  if (op.deadline_ms_ != 0) note_deadline(op);
}

void Loop::UringBackend::note_deadline(Op& op) {
  op.next_ = timed;
  if (timed != nullptr) timed->prev_ = &op;
  timed = &op;
  next_check_ms = std::min(next_check_ms, op.deadline_ms_);
}

void Loop::UringBackend::forget_deadline(Op& op) {
  (op.prev_ != nullptr ? op.prev_->next_ : timed) = op.next_;
  if (op.next_ != nullptr) op.next_->prev_ = op.prev_;
}

void Loop::UringBackend::cancel_late(std::int64_t now) {
  if (now < next_check_ms) return;
  next_check_ms = kNever;
  std::vector<Op*> late;  // next_sqe() may complete some of them, but resumes none
  for (Op* op = timed; op != nullptr; op = op->next_) {
    if (op->deadline_ms_ <= now) {
      late.push_back(op);
    } else {
      next_check_ms = std::min(next_check_ms, op->deadline_ms_);
    }
  }
  for (Op* op : late) {
    forget_deadline(*op);
    op->late_ = true;
  }
  for (Op* op : late) {
    io_uring_sqe* sqe = next_sqe();
    io_uring_prep_cancel(sqe, op, 0);
    io_uring_sqe_set_data64(sqe, kIgnore);
  }
}

void Loop::UringBackend::arm_wake() {
  if (wake_armed) return;
  io_uring_sqe* sqe = next_sqe();
  io_uring_prep_poll_add(sqe, wake_fd, POLLIN);
  io_uring_sqe_set_data64(sqe, kWake);
  wake_armed = true;
}

void Loop::UringBackend::complete(const io_uring_cqe& cqe, Ready& ready) {
  if (cqe.user_data == kIgnore || cqe.user_data == LIBURING_UDATA_TIMEOUT) return;
  if (cqe.user_data == kWake) {
    wake_armed = false;
    drain(wake_fd);
    return;
  }
  Op& op = *static_cast<Op*>(io_uring_cqe_get_data(&cqe));
  if (op.deadline_ms_ != 0 && !op.late_) forget_deadline(op);
  finish(op, op.late_ && cqe.res == -ECANCELED ? -ETIME : cqe.res, ready);
}

void Loop::UringBackend::reap(Ready& ready) {
  unsigned head = 0;
  unsigned seen = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring, head, cqe) {
    complete(*cqe, ready);
    ++seen;
  }
  io_uring_cq_advance(&ring, seen);
}

void Loop::UringBackend::wait(std::int64_t timeout_ms, Ready& ready) {
  enable();
  arm_wake();
  if (next_check_ms != kNever) {
    const std::int64_t now = now_ms();
    cancel_late(now);
    const std::int64_t left = next_check_ms == kNever ? timeout_ms : next_check_ms - now;
    timeout_ms = timeout_ms < 0 ? left : std::min(timeout_ms, left);
  }
  if (!early.empty()) timeout_ms = 0;
  if (timeout_ms == 0) {
    io_uring_submit_and_get_events(&ring);
  } else {
    __kernel_timespec limit{timeout_ms / 1000, timeout_ms % 1000 * 1000000};
    io_uring_cqe* cqe = nullptr;
    io_uring_submit_and_wait_timeout(&ring, &cqe, 1, timeout_ms < 0 ? nullptr : &limit, nullptr);
  }
  reap(ready);
  ready.insert(ready.end(), early.begin(), early.end());
  early.clear();
}

}  // namespace cfs
