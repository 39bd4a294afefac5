// SPDX-License-Identifier: Apache-2.0
/// DataFile: the bytes of one file, from user space.
///
/// Purpose  What the FUSE front end reads and writes: gathers contiguous writes into packets of up
///          to 1 MiB, small files into a tiny extent, overwrites in place, commits keys in order.
/// Threads  The loop's. One writer at a time per file (a mutex inside); reads run beside each
///          other.
/// Lifetime shared_ptr: the open handles of the front end and running calls. Before the last one
///          goes: flush().
/// Errors   Result; what a replica can cover is repeated inside until the volume's retry budget
///          ends. Bytes that could not be sent stay, and every flush() tries them again and fails
///          until they are sent or cut off, whoever met the error first. They are lost with the
///          last handle.
/// Source   CubeFS v3.5.3, sdk/data/stream (extent_handler.go, stream_writer.go, stream_reader.go).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/data/data_conn.h"
#include "daemon/data/extent_map.h"

namespace cfs {

class DataFile {
 public:
  DataFile(Loop& loop, Volume& volume, DataConnPool& pool, Ino ino)
      : loop_(loop), volume_(volume), pool_(pool), ino_(ino) {}

  /// Ask for the extent list, unless bytes of ours are not committed yet.
  Task<Result<void>> open();
  /// Errors  ESTALE: another host removed the file. EIO: no replica has bytes that the list names.
  Task<Result<std::string>> read(std::uint64_t offset, std::uint64_t size);
  Task<Result<void>> write(std::uint64_t offset, std::string data);
  /// Everything acknowledged by the data nodes and committed; mtime sent if bytes were overwritten.
  Task<Result<void>> flush();
  Task<Result<Attr>> truncate(std::uint64_t size);

  /// Size as this client knows it, when it has bytes that the server does not count yet.
  [[nodiscard]] std::optional<std::uint64_t> local_size() const;
  /// The same also when the server has been told since `asked_ms` (Loop::now_ms()): what was asked
  /// then may be answered from before.
  [[nodiscard]] std::optional<std::uint64_t> size_against(std::int64_t asked_ms) const;
  /// Size as of the last load, with what was written here since.
  [[nodiscard]] std::optional<std::uint64_t> known_size() const {
    return loaded_ ? std::optional<std::uint64_t>(size_) : std::nullopt;
  }
  /// Loop::now_ms() when the server was last told of bytes or a size; -1: never.
  [[nodiscard]] std::int64_t told_ms() const { return told_ms_; }
  int handles = 0;  ///< the front end's count of open descriptors

 private:
  struct Stream {  // the extent that takes appends
    DataPartition partition;
    std::uint64_t extent_id = 0;
    std::uint64_t key_offset = 0;  // file offset of its key
    std::uint64_t size = 0;        // bytes in the extent
    bool keyed = false;            // the map has its key
  };

  Task<Result<void>> load();
  Task<Result<void>> ready();  // load() once
  Task<Result<void>> push();   // buffer_ to the data nodes
  Task<Result<void>> send(std::string_view data, std::uint64_t at);
  Task<Result<void>> commit();
  Task<Result<void>> flush_locked();
  Task<Result<void>> append(std::uint64_t offset, std::string_view data);
  Task<Result<bool>> append_tiny(std::uint64_t offset, std::string_view data);
  Task<Result<void>> append_stream(std::uint64_t offset, std::string_view data);
  Task<Result<void>> open_stream(std::uint64_t offset);
  Task<Result<void>> overwrite(ExtentKey key, std::uint64_t offset, std::string_view data);
  /// By the list as it is. ESTALE: an extent of it is missing, of a `fresh` list on every replica.
  Task<Result<std::string>> read_mapped(std::uint64_t offset, std::uint64_t size, bool fresh);
  Task<Result<void>> read_piece(ExtentKey key, std::uint64_t offset, std::uint64_t size, bool fresh,
                                char* out);
  Task<Result<DataPartition>> pick(std::vector<std::uint64_t> avoid);
  wire::Packet request(std::uint8_t op, std::uint8_t extent_type, std::uint64_t partition) const;
  [[nodiscard]] std::int64_t deadline() const;

  Loop& loop_;
  Volume& volume_;
  DataConnPool& pool_;
  const Ino ino_;
  AsyncMutex mutex_;  // writers, flush, truncate
  bool loaded_ = false;
  std::uint64_t size_ = 0;
  std::uint32_t storage_class_ = 0;
  ExtentMap map_;
  std::optional<Stream> stream_;
  std::uint64_t buffer_at_ = 0;
  std::string buffer_;    // written, not sent
  bool sending_ = false;  // bytes are neither in buffer_ nor in map_
  bool overwritten_ = false;
  std::int64_t told_ms_ = -1;
};

}  // namespace cfs
