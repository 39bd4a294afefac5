// SPDX-License-Identifier: Apache-2.0
/// FuseSession: the state behind one FUSE mount; the requests themselves are in fuse_ops.cc.
///
/// Purpose  Node life (lookup counts, orphans), open files, open directories, the request pump.
/// Threads  The loop thread.
/// Lifetime Owned by the daemon's mount table; libfuse's callbacks reach it by fuse_req_userdata().
/// Failure  See fuse_front.h.
#pragma once

#define FUSE_USE_VERSION 35
#include <fuse3/fuse_lowlevel.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/app/front_end.h"
#include "daemon/data/data_file.h"

namespace cfs {

/// An open directory. Position n is the n-th entry of the listing (0 ".", 1 ".."); each page
/// remembers the name it began behind, so that any position can be read again without keeping the
/// listing.
struct DirHandle {
  Ino ino = 0;
  struct Page {
    std::uint64_t first;  // position of its first entry
    std::string marker;   // entries come after this name
  };
  std::vector<Page> pages;  // known starts, ascending
  std::uint64_t loaded_at = 0;
  DirPage loaded;             // entries of the page that begins at loaded_at
  std::int64_t asked_ms = 0;  // when it was asked for
  bool have = false;

  /// POSIX rewinddir(): what is read from here on is the state of now.
  void rewind() {
    pages.clear();
    have = false;
  }
};

class FuseCall;

class FuseSession final : public FrontEnd {
 public:
  FuseSession(Loop& loop, std::shared_ptr<Volume> volume, MountPoint at, FuseOptions options)
      : loop_(loop),
        volume_(std::move(volume)),
        at_(std::move(at)),
        options_(std::move(options)),
        pool_(loop) {}
  ~FuseSession() override;
  Result<void> mount();

  Task<void> stop() override;
  [[nodiscard]] FrontStatus status() const override;
  [[nodiscard]] std::vector<InFlight> in_flight() const override;
  [[nodiscard]] std::shared_ptr<Volume> volume() const override { return volume_; }

  // ---- for fuse_ops.cc ----
  Volume& vol() { return *volume_; }
  Loop& loop() { return loop_; }
  /// FUSE numbers the mount's root 1, whatever inode it is.
  [[nodiscard]] Ino ino(fuse_ino_t n) const { return n == FUSE_ROOT_ID ? volume_->root().ino : n; }
  [[nodiscard]] fuse_ino_t node(Ino i) const { return i == volume_->root().ino ? FUSE_ROOT_ID : i; }
  [[nodiscard]] const FuseOptions& options() const { return options_; }
  /// The kernel checks ACLs and leaves the umask to us.
  [[nodiscard]] bool acl() const { return acl_; }
  void use_acl() { acl_ = true; }
  /// That a directory has no default ACL is believed as long as its attributes are.
  [[nodiscard]] bool without_default_acl(Ino dir) const;
  /// It had none when it was asked, at a time when default_acl_changes() was `changes`.
  void found_no_default_acl(Ino dir, std::uint64_t changes);
  [[nodiscard]] std::uint64_t default_acl_changes() const { return default_acl_changes_; }
  /// Before and after a default ACL is set here.
  void change_default_acl(Ino dir);

  /// Run a request: counted, listed, awaited by stop(). `work` gets the session, the request as an
  /// object that answers it once, and `args`.
  template <class Work, class... Args>
  void run(const char* op, Ino subject, fuse_req_t req, Work work, Args&&... args) {
    const std::shared_ptr<FuseCall> answer = call(req);
    start(op, subject, answer, work(this, answer, std::forward<Args>(args)...));
  }
  /// `asked_ms`: when the server was asked for the attributes, at the earliest. A size from before
  /// a change that was made here must not reach the kernel: it would cut its pages, and appends
  /// would go to the old end. The kernel compares only with changes that it knows to be later.
  /// Source: Linux fs/fuse/inode.c, fuse_change_attributes().
  struct stat to_stat(const Attr& a, std::int64_t asked_ms) const;
  fuse_entry_param to_entry(const Attr& a, std::int64_t asked_ms) const;
  /// Reply with an entry and count the kernel's new reference.
  void reply_entry(FuseCall& call, const Attr& a);
  /// `asked_ms` as for to_stat().
  void remember(const Attr& a, std::int64_t asked_ms);
  /// That an inode has none of kSecurityXattrs is believed as long as its attributes are.
  [[nodiscard]] bool without_security(Ino i) const;
  /// Before and after one of them is set here.
  void change_security(Ino i);
  void told_size(Ino i, std::uint64_t size);
  /// The server was told the size at `at_ms`; nobody has the file open any more.
  void note_own_size(Ino i, std::uint64_t size, std::int64_t at_ms);
  /// The file has been opened: if its size is not what the kernel was told, attributes it still
  /// believes must go, or a reader stops at the old end (close-to-open, docs/consistency.md).
  void check_told_size(Ino i);
  void forget(Ino i, std::uint64_t count);
  /// The inode lost its last name here: evict it when the kernel forgets it.
  void orphan(const Attr& removed);

  /// The kernel may hold pages of an earlier open.
  [[nodiscard]] bool may_have_pages(Ino i) const;
  /// A file is opened, its attributes are now `a` (null: not asked). True when pages that the kernel
  /// holds are still those of the file.
  bool pages_are_current(Ino i, const Attr* a);

  std::shared_ptr<DataFile> file(Ino i);  ///< shared by all handles of the inode
  [[nodiscard]] std::shared_ptr<DataFile> open_file(Ino i) const;  ///< null when nobody has it open
  Task<Result<void>> release_file(Ino i);
  /// Entries from `position` on; loads the page it lies in.
  Task<Result<void>> load_page(DirHandle* dir, std::uint64_t position);

 private:
  /// What changes with the bytes of a file. Source: generations and times of CubeFS inodes.
  struct Version {
    std::uint64_t gen = 0, size = 0;
    std::int64_t mtime = 0;
    bool operator==(const Version&) const = default;
  };
  struct Known {  // an inode that the kernel refers to
    std::uint64_t lookups = 0;
    bool opened = false;
    Version version;              // not newer than the kernel's pages
    std::int64_t version_at = 0;  // seconds of the clock when it was asked for
    std::uint64_t size = 0;       // last one told to the kernel
    std::uint64_t own_size = 0;   // set here at own_size_ms, as told to the server
    std::int64_t own_size_ms = -1;
    std::int64_t no_security_until_ms = 0;
  };
  [[nodiscard]] std::optional<std::uint64_t> size_against(Ino i, std::int64_t asked_ms) const;
  static Version version_of(const Attr& a) { return {a.gen, a.size, a.mtime}; }
  Task<void> pump();
  std::shared_ptr<FuseCall> call(fuse_req_t req);
  /// call: nullptr for work that nobody asked for
  void start(const char* op, Ino subject, std::shared_ptr<FuseCall> call, Task<void> task);
  Task<void> tracked(std::uint64_t id, const char* op, std::shared_ptr<FuseCall> call,
                     Task<void> task);
  Task<void> evict(Ino i);

  Loop& loop_;
  std::shared_ptr<Volume> volume_;
  const MountPoint at_;
  FuseOptions options_;
  DataConnPool pool_;
  fuse_session* session_ = nullptr;
  bool mounted_ = false;
  bool stopping_ = false;
  bool acl_ = false;
  Event pump_ended_;
  Event idle_;
  std::uint64_t next_request_ = 1;
  std::map<std::uint64_t, InFlight> running_;
  std::unordered_map<Ino, Known> known_;
  std::unordered_map<Ino, std::int64_t> no_default_acl_until_ms_;
  std::uint64_t default_acl_changes_ = 0;
  std::int64_t security_changed_ms_ = -1;
  std::set<Ino> orphans_;
  std::unordered_map<Ino, std::shared_ptr<DataFile>> files_;
};

/// The callbacks, in fuse_ops.cc.
const fuse_lowlevel_ops& fuse_operations();

}  // namespace cfs
