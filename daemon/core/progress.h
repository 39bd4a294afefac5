// SPDX-License-Identifier: Apache-2.0
/// Progress records: what a half-done operation had done when its daemon died.
///
/// Purpose  An operation stores a record before every RPC that changes a server and after its
///          reply; the next daemon reads it and continues. What each step means for the next daemon
///          is told in docs/progress.md.
/// Lifetime The memory (256 bytes) belongs to the request, not to the daemon.
/// Threads  One operation writes one record; nobody reads it meanwhile.
/// Failure  A daemon may die between any two stores: a record has two halves that are written in
///          turn, each with a sequence number and a checksum, so that the last whole one is found.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/core/volume.h"

namespace cfs {

enum class ProgressOp : std::uint8_t {
  kNone = 0,
  kCreate,
  kUnlink,
  kRename,
  kLink,
  kTmpfile,
  kTrash,
  kEvictLink
};

/// Values are stored in records that another release may read: never change one.
enum class Step : std::uint8_t {
  kNone = 0,           ///< nothing was sent that changes a server
  kInodeSent = 1,      ///< CreateInode or TxCreateInode: outcome unknown
  kInodeMade = 2,      ///< `ino` exists without a name; its dentry may have been sent
  kUndoUnlink = 3,     ///< give up with `err`: UnlinkInode(ino, uniq_unlink) may have been sent
  kUndoEvict = 4,      ///< give up with `err`: EvictInode(ino) may have been sent
  kDentrySent = 5,     ///< DeleteDentry of (dir, name) -> `ino` may have been sent
  kUnlinkSent = 6,     ///< name is gone; UnlinkInode(ino, uniq_unlink) may have been sent
  kLinkSent = 7,       ///< LinkInode(ino, uniq_link) may have been sent
  kLinked = 8,         ///< `ino` has one link more; the new dentry may have been sent
  kNewNameMade = 9,    ///< rename: new name -> `ino`; DeleteDentry of the old may have been sent
  kOldNameGone = 10,   ///< rename: UnlinkInode(ino, uniq_unlink) may have been sent
  kTargetUnlink = 11,  ///< rename: UnlinkInode(old_ino, uniq_old) may have been sent
  kTargetDentry = 12,  ///< rename: DeleteDentry of an empty target directory may have been sent
  kTargetGone = 13,    ///< rename: target directory unnamed; its UnlinkInode may have been sent
  kTxStarted = 14,     ///< transaction `tx_id` exists; its parts may have been sent
  kTxCommit = 15,      ///< TxCommit(tx_id) may have been sent
  kRestoreLink = 16,   ///< rmdir lost a race: LinkInode(ino, uniq_link) may have been sent
  kTrashBack = 17,     ///< rmdir into the trash took a filled directory: goes back from `uniq_old`
  kDone = 255,         ///< finished with `err`, `ino`, `nlink`
};

/// rename: `ino` is what the caller's cache held for the old name, no server has confirmed it yet.
inline constexpr std::uint16_t kFromHints = 1;
/// unlink: the name is gone, the link was left to evict_link().
inline constexpr std::uint16_t kLinkLeft = 2;

/// One half. Fixed layout: another release may read it.
struct ProgressRecord {
  std::uint32_t magic = 0;
  std::uint32_t crc = 0;  ///< of the bytes after it
  std::uint32_t seq = 0;
  std::uint8_t op = 0;
  std::uint8_t step = 0;
  std::uint16_t flags = 0;        ///< kFromHints, kLinkLeft
  std::uint64_t fingerprint = 0;  ///< of the request: a record of another one is no record
  std::uint64_t ino = 0;
  std::uint64_t old_ino = 0;  ///< rename: what the new name meant before
  std::uint64_t uniq_link = 0, uniq_unlink = 0;
  std::uint64_t uniq_old = 0;  ///< id, or the directory that a name comes back from (trash)
  std::uint64_t tm_id = 0;     ///< coordinator's meta partition
  std::int64_t wrote_s = 0;    ///< unix seconds
  char tx_id[24] = {};
  std::uint32_t nlink = 0;
  std::int32_t err = 0;
  std::uint32_t mode = 0;  ///< st_mode of `ino`
  std::uint32_t old_mode = 0;
  std::uint64_t new_dir = 0;  ///< trash: where the name goes, its old directory when it comes back
};
static_assert(sizeof(ProgressRecord) * 2 <= Progress::kBytes);

/// Called around every store: (operation, step, stored?). True abandons the operation on the spot,
/// as if the daemon had died there. For tests.
using ProgressHook = std::function<bool(ProgressOp, Step, bool)>;

/// The record of one running operation.
class ProgressLog {
 public:
  ProgressLog(Progress& progress, ProgressOp op, std::uint64_t fingerprint,
              const ProgressHook* hook);

  /// The record that a former daemon left for this very request, if it did.
  static std::optional<ProgressRecord> peek(const Progress& progress, ProgressOp op,
                                            std::uint64_t fingerprint);
  /// Where a former daemon stopped; kNone when there was none.
  [[nodiscard]] Step found() const { return found_; }
  /// Fields to be stored with the next step.
  ProgressRecord& record() { return now_; }
  [[nodiscard]] const ProgressRecord& record() const { return now_; }
  /// Store. False: the operation is to be abandoned (tests only).
  [[nodiscard]] bool write(Step step);
  /// Store the end of the operation.
  [[nodiscard]] bool finish(int err, Ino ino, std::uint32_t nlink);

  [[nodiscard]] std::string tx_id() const;
  /// False when the id does not fit (it cannot then be resumed, so do not begin).
  bool set_tx(std::uint64_t tm_id, const std::string& tx_id);
  /// Seconds between the former daemon's last store and this one's start.
  [[nodiscard]] std::int64_t found_age_s() const { return found_age_s_; }

 private:
  static bool load(const void* memory, ProgressRecord* out);
  void* memory_;
  const ProgressHook* hook_;
  ProgressRecord now_;
  Step found_ = Step::kNone;
  std::int64_t found_age_s_ = 0;
};

/// Number for a request: operation and its arguments.
std::uint64_t fingerprint(std::initializer_list<std::uint64_t> numbers,
                          std::initializer_list<std::string_view> texts);

}  // namespace cfs
