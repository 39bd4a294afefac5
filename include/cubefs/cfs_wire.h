/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * CubeFS wire protocol: the fixed packet header, opcodes, result codes, limits.
 *
 * Purpose   The one definition of what goes over TCP between a client and meta or data nodes; used by the
 *           kernel module, the daemon, the mini cluster and the tests. Plain C, no I/O, no allocation.
 * Layout    header (57 bytes) | extra header (0, 8 or 12) | version list | Arg (arg_len) | data (size)
 *           All integers are big-endian. A reply's own ExtentType decides its header length: a successful
 *           read reply has 57 bytes even when the request had 69.
 * Source    CubeFS v3.5.3, proto/packet.go, util/unit.go, datanode/repl/packet.go.
 */
#ifndef CUBEFS_CFS_WIRE_H
#define CUBEFS_CFS_WIRE_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/unaligned.h>
#else
#include <stddef.h>
#include <stdint.h>
#endif

#define CFS_PKT_MAGIC 0xFF

/* Header lengths in bytes. */
#define CFS_PKT_HDR 57     /* base header */
#define CFS_PKT_HDR_VER 65 /* + u64 VerSeq (CFS_ET_MULTI_VERSION without CFS_ET_PROTO_VERSION) */
#define CFS_PKT_HDR_MAX 69 /* + u64 VerSeq, u32 ProtoVersion (CFS_ET_PROTO_VERSION) */

/* Byte offsets in the base header. */
#define CFS_PKT_OFF_MAGIC 0
#define CFS_PKT_OFF_EXTENT_TYPE 1
#define CFS_PKT_OFF_OPCODE 2
#define CFS_PKT_OFF_RESULT 3
#define CFS_PKT_OFF_FOLLOWERS 4
#define CFS_PKT_OFF_CRC 5
#define CFS_PKT_OFF_SIZE 9
#define CFS_PKT_OFF_ARG_LEN 13
#define CFS_PKT_OFF_PARTITION 17
#define CFS_PKT_OFF_EXTENT 25
#define CFS_PKT_OFF_EXTENT_OFFSET 33
#define CFS_PKT_OFF_REQ_ID 41
#define CFS_PKT_OFF_KERNEL_OFFSET 49
#define CFS_PKT_OFF_VER_SEQ 57
#define CFS_PKT_OFF_PROTO_VERSION 65

/* ExtentType bits. */
#define CFS_ET_NORMAL 0x01        /* clear: tiny extent */
#define CFS_ET_PROTO_VERSION 0x10 /* 12 more header bytes follow */
#define CFS_ET_VERSION_LIST 0x40  /* u16 count, count * 17 bytes before Arg */
#define CFS_ET_MULTI_VERSION 0x80 /* VerSeq is meaningful */

#define CFS_PROTO_VERSION 1       /* sent by every client of CubeFS 3.5 and later */
#define CFS_VER_ENTRY 17          /* bytes of one version list entry: u64, i64, u8 */
#define CFS_FOLLOWERS_SINGLE 127  /* RemainingFollowers when a partition has one replica */
#define CFS_ARG_FOLLOWER_READ "F" /* Arg of a metadata read that a follower may serve */

/* Limits, in bytes unless said otherwise. Source: util/unit.go, storage/extent.go. */
#define CFS_BLOCK_SIZE (128u << 10)        /* server block; largest random write payload */
#define CFS_APPEND_MAX (1u << 20)          /* append payload we send at most */
#define CFS_READ_CHUNK_MAX (5u << 20)      /* largest chunk of a read reply */
#define CFS_EXTENT_SIZE (128u << 20)       /* normal extent */
#define CFS_TINY_MAX (1u << 20)            /* largest payload of a tiny append */
#define CFS_TINY_ALIGN 4096u
#define CFS_TINY_COUNT 64u                 /* tiny extents have ids 1..64 */
#define CFS_MIN_EXTENT_ID 1024u            /* normal extents have ids above this */
#define CFS_META_BODY_MAX (64u << 20)      /* largest metadata body we accept */
#define CFS_ARG_MAX 4096u                  /* largest Arg we accept */
#define CFS_NAME_BYTES_MAX 255u
#define CFS_ROOT_INO 1u
#define CFS_UNIQ_BATCH 5000u               /* ids asked for by one GetUniqID */

/* Opcodes, client to meta node. Source: proto/packet.go. */
enum cfs_meta_op {
	CFS_MOP_CREATE_INODE = 0x20,
	CFS_MOP_UNLINK_INODE = 0x21,
	CFS_MOP_CREATE_DENTRY = 0x22,
	CFS_MOP_DELETE_DENTRY = 0x23,
	CFS_MOP_LOOKUP = 0x25,
	CFS_MOP_READ_DIR = 0x26,
	CFS_MOP_INODE_GET = 0x27,
	CFS_MOP_BATCH_INODE_GET = 0x28,
	CFS_MOP_EXTENTS_LIST = 0x2B,
	CFS_MOP_UPDATE_DENTRY = 0x2C,
	CFS_MOP_TRUNCATE = 0x2D,
	CFS_MOP_LINK_INODE = 0x2E,
	CFS_MOP_EVICT_INODE = 0x2F,
	CFS_MOP_SETATTR = 0x30,
	CFS_MOP_BATCH_EXTENTS_ADD = 0x34,
	CFS_MOP_SET_XATTR = 0x35,
	CFS_MOP_GET_XATTR = 0x36,
	CFS_MOP_REMOVE_XATTR = 0x37,
	CFS_MOP_LIST_XATTR = 0x38,
	CFS_MOP_BATCH_GET_XATTR = 0x39,
	CFS_MOP_EXTENT_ADD_CHECK = 0x3A,
	CFS_MOP_READ_DIR_LIMIT = 0x3D,
	CFS_MOP_LOCK_DIR = 0x3E,
	CFS_MOP_GET_INODE_QUOTA = 0x52,
	CFS_MOP_QUOTA_CREATE_INODE = 0x53,
	CFS_MOP_QUOTA_CREATE_DENTRY = 0x54,
	CFS_MOP_RENEW_FORBIDDEN_MIGRATION = 0x83,
	CFS_MOP_BATCH_DELETE_DENTRY = 0x91, /* only names that mean the inode given */
	CFS_MOP_TX_CREATE = 0xA0,
	CFS_MOP_TX_CREATE_INODE = 0xA1,
	CFS_MOP_TX_UNLINK_INODE = 0xA2,
	CFS_MOP_TX_CREATE_DENTRY = 0xA3,
	CFS_MOP_TX_COMMIT = 0xA4,
	CFS_MOP_TX_ROLLBACK = 0xA5,
	CFS_MOP_TX_DELETE_DENTRY = 0xA8,
	CFS_MOP_TX_UPDATE_DENTRY = 0xA9,
	CFS_MOP_TX_LINK_INODE = 0xAA,
	CFS_MOP_GET_UNIQ_ID = 0xAC,
	CFS_MOP_GET_APPLIED_ID = 0xAD,
	CFS_MOP_UPDATE_INODE_META = 0xAE,
	CFS_MOP_BATCH_SET_XATTR = 0xD2,
	CFS_MOP_GET_ALL_XATTR = 0xD3,
};

/* Opcodes, client to data node. Values overlap with result codes and meta opcodes. */
enum cfs_data_op {
	CFS_DOP_CREATE_EXTENT = 0x01,
	CFS_DOP_WRITE = 0x03,            /* append, forwarded by the primary */
	CFS_DOP_STREAM_READ = 0x05,      /* raft leader only */
	CFS_DOP_STREAM_FOLLOWER_READ = 0x06,
	CFS_DOP_RANDOM_WRITE = 0x0F,     /* raft leader only */
	CFS_DOP_GET_APPLIED_ID = 0x10,
	CFS_DOP_SYNC_RANDOM_WRITE = 0x12,
	CFS_DOP_SYNC_WRITE = 0x13,
	CFS_DOP_PING = 0xFF,
};

/* Result codes. Source: proto/packet.go; errno mapping: cfs_errno.h. */
enum cfs_result {
	CFS_RC_INIT = 0x00,
	CFS_RC_UPLOAD_PART_CONFLICT = 0x3D,
	CFS_RC_VERSION = 0x3F,
	CFS_RC_STORAGE_CLASS = 0x82,
	CFS_RC_LEASE_OCCUPIED = 0x86,
	CFS_RC_LEASE_GENERATION = 0x87,
	CFS_RC_PROTO_VERSION = 0x88,
	CFS_RC_LIMITED_IO = 0xB1,
	CFS_RC_STORE_CLOSED = 0xB2,
	CFS_RC_MAX_EXTENTS = 0xB3,
	CFS_RC_TINY_RECOVER = 0xB4,
	CFS_RC_DP_DECOMMISSION = 0xB5,
	CFS_RC_DP_REPAIR = 0xB6,
	CFS_RC_TRY_OTHER_EXTENT = 0xD7,
	CFS_RC_TX_INODE_INFO_NOT_EXIST = 0xE0,
	CFS_RC_TX_CONFLICT = 0xE1,
	CFS_RC_TX_DENTRY_INFO_NOT_EXIST = 0xE2,
	CFS_RC_TX_RB_INODE_NOT_EXIST = 0xE3,
	CFS_RC_TX_RB_DENTRY_NOT_EXIST = 0xE4,
	CFS_RC_TX_INFO_NOT_EXIST = 0xE5,
	CFS_RC_TX_INTERNAL = 0xE6,
	CFS_RC_TX_COMMIT_ITEM = 0xE7,
	CFS_RC_TX_ROLLBACK_ITEM = 0xE8,
	CFS_RC_TX_ROLLBACK_UNKNOWN = 0xE9,
	CFS_RC_TX_TIMEOUT = 0xEA,
	CFS_RC_TX_SET_STATE = 0xEB,
	CFS_RC_TX_COMMIT = 0xEC,
	CFS_RC_TX_ROLLBACK = 0xED,
	CFS_RC_NO_SPACE = 0xEE,
	CFS_RC_FORBIDDEN = 0xEF,
	CFS_RC_OK = 0xF0,
	CFS_RC_DIR_QUOTA = 0xF1,
	CFS_RC_CONFLICT_EXTENTS = 0xF2,
	CFS_RC_INTRA_GROUP_NET = 0xF3,
	CFS_RC_ARG_MISMATCH = 0xF4,
	CFS_RC_NOT_EXIST = 0xF5,
	CFS_RC_DISK_NO_SPACE = 0xF6,
	CFS_RC_DISK = 0xF7,
	CFS_RC_ERR = 0xF8,
	CFS_RC_AGAIN = 0xF9,
	CFS_RC_EXIST = 0xFA,
	CFS_RC_INODE_FULL = 0xFB,
	CFS_RC_TRY_OTHER_ADDR = 0xFC,
	CFS_RC_NOT_PERM = 0xFD,
	CFS_RC_NOT_EMPTY = 0xFE,
};

/* Storage classes (storageType, storageClass, MediaType). Source: proto/storage_class.go. */
enum cfs_storage_class {
	CFS_CLASS_UNSPECIFIED = 0,
	CFS_CLASS_SSD = 1,
	CFS_CLASS_HDD = 2,
	CFS_CLASS_BLOBSTORE = 3,
};

/* Go os.FileMode bits as stored by meta nodes. Source: Go io/fs, metanode/inode.go. */
#define CFS_GOMODE_DIR (1u << 31)
#define CFS_GOMODE_SYMLINK (1u << 27)
#define CFS_GOMODE_DEVICE (1u << 26)
#define CFS_GOMODE_FIFO (1u << 25)
#define CFS_GOMODE_SOCKET (1u << 24)
#define CFS_GOMODE_SETUID (1u << 23)
#define CFS_GOMODE_SETGID (1u << 22)
#define CFS_GOMODE_CHARDEV (1u << 21)
#define CFS_GOMODE_STICKY (1u << 20)
#define CFS_GOMODE_TYPE                                                                          \
	(CFS_GOMODE_DIR | CFS_GOMODE_SYMLINK | CFS_GOMODE_DEVICE | CFS_GOMODE_FIFO |              \
	 CFS_GOMODE_SOCKET | CFS_GOMODE_CHARDEV | (1u << 19))

/* MetaSetattr `valid` bits. Source: proto/fs_proto.go. */
#define CFS_ATTR_MODE 1u
#define CFS_ATTR_UID 2u
#define CFS_ATTR_GID 4u
#define CFS_ATTR_MTIME 8u
#define CFS_ATTR_ATIME 16u

/* One decoded header. Field meanings differ between meta and data path: see proto/packet.go. */
struct cfs_pkt_hdr {
	uint8_t extent_type;
	uint8_t opcode;
	uint8_t result;
	uint8_t followers; /* replicas the receiver still has to forward to */
	uint32_t crc;      /* CRC-32 IEEE of the data */
	uint32_t size;     /* bytes of data; of a read request: bytes wanted */
	uint32_t arg_len;  /* bytes of Arg */
	uint64_t partition_id;
	uint64_t extent_id;
	int64_t extent_offset; /* bytes from the start of the extent */
	int64_t req_id;
	uint64_t kernel_offset; /* bytes from the start of the file, informational */
	uint64_t ver_seq;       /* valid when the header has 65 or 69 bytes */
	uint32_t proto_version; /* valid when the header has 69 bytes */
};

#ifdef __KERNEL__
#define cfs_put32 put_unaligned_be32
#define cfs_put64 put_unaligned_be64
#define cfs_get32 get_unaligned_be32
#define cfs_get64 get_unaligned_be64
#else
static inline void cfs_put32(uint32_t v, void *p)
{
	uint8_t *b = (uint8_t *)p;

	b[0] = (uint8_t)(v >> 24);
	b[1] = (uint8_t)(v >> 16);
	b[2] = (uint8_t)(v >> 8);
	b[3] = (uint8_t)v;
}

static inline void cfs_put64(uint64_t v, void *p)
{
	cfs_put32((uint32_t)(v >> 32), p);
	cfs_put32((uint32_t)v, (uint8_t *)p + 4);
}

static inline uint32_t cfs_get32(const void *p)
{
	const uint8_t *b = (const uint8_t *)p;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static inline uint64_t cfs_get64(const void *p)
{
	return (uint64_t)cfs_get32(p) << 32 | cfs_get32((const uint8_t *)p + 4);
}
#endif

/**
 * cfs_pkt_hdr_len - header length that an ExtentType announces
 * @extent_type: Second byte of the header.
 *
 * Return:  57, 65 or 69 bytes; a version list (CFS_ET_VERSION_LIST) comes after it.
 * Source:  CubeFS v3.5.3, proto/packet.go (the reader looks only at the flags, never at the opcode).
 */
static inline size_t cfs_pkt_hdr_len(uint8_t extent_type)
{
	if (extent_type & CFS_ET_PROTO_VERSION)
		return CFS_PKT_HDR_MAX;
	if (extent_type & CFS_ET_MULTI_VERSION)
		return CFS_PKT_HDR_VER;
	return CFS_PKT_HDR;
}

/**
 * cfs_pkt_encode - write a header
 * @h:   Header; extent_type decides the length.
 * @buf: At least CFS_PKT_HDR_MAX bytes.
 *
 * Return:  bytes written (57, 65 or 69).
 */
static inline size_t cfs_pkt_encode(const struct cfs_pkt_hdr *h, uint8_t *buf)
{
	size_t len = cfs_pkt_hdr_len(h->extent_type);

	buf[CFS_PKT_OFF_MAGIC] = CFS_PKT_MAGIC;
	buf[CFS_PKT_OFF_EXTENT_TYPE] = h->extent_type;
	buf[CFS_PKT_OFF_OPCODE] = h->opcode;
	buf[CFS_PKT_OFF_RESULT] = h->result;
	buf[CFS_PKT_OFF_FOLLOWERS] = h->followers;
	cfs_put32(h->crc, buf + CFS_PKT_OFF_CRC);
	cfs_put32(h->size, buf + CFS_PKT_OFF_SIZE);
	cfs_put32(h->arg_len, buf + CFS_PKT_OFF_ARG_LEN);
	cfs_put64(h->partition_id, buf + CFS_PKT_OFF_PARTITION);
	cfs_put64(h->extent_id, buf + CFS_PKT_OFF_EXTENT);
	cfs_put64((uint64_t)h->extent_offset, buf + CFS_PKT_OFF_EXTENT_OFFSET);
	cfs_put64((uint64_t)h->req_id, buf + CFS_PKT_OFF_REQ_ID);
	cfs_put64(h->kernel_offset, buf + CFS_PKT_OFF_KERNEL_OFFSET);
	if (len > CFS_PKT_HDR)
		cfs_put64(h->ver_seq, buf + CFS_PKT_OFF_VER_SEQ);
	if (len > CFS_PKT_HDR_VER)
		cfs_put32(h->proto_version, buf + CFS_PKT_OFF_PROTO_VERSION);
	return len;
}

/**
 * cfs_pkt_decode - read a header
 * @buf: Bytes as received.
 * @len: How many there are.
 * @h:   Filled when the header is whole; ver_seq and proto_version are 0 where not on the wire.
 *
 * Checks the magic only; lengths are judged by the caller, who knows its limits.
 *
 * Return:  header length (57, 65, 69); 0 when more bytes are needed; -1 for a wrong magic.
 */
static inline int cfs_pkt_decode(const uint8_t *buf, size_t len, struct cfs_pkt_hdr *h)
{
	size_t need;

	if (len >= 1 && buf[CFS_PKT_OFF_MAGIC] != CFS_PKT_MAGIC)
		return -1;
	if (len < CFS_PKT_HDR)
		return 0;
	need = cfs_pkt_hdr_len(buf[CFS_PKT_OFF_EXTENT_TYPE]);
	if (len < need)
		return 0;
	h->extent_type = buf[CFS_PKT_OFF_EXTENT_TYPE];
	h->opcode = buf[CFS_PKT_OFF_OPCODE];
	h->result = buf[CFS_PKT_OFF_RESULT];
	h->followers = buf[CFS_PKT_OFF_FOLLOWERS];
	h->crc = cfs_get32(buf + CFS_PKT_OFF_CRC);
	h->size = cfs_get32(buf + CFS_PKT_OFF_SIZE);
	h->arg_len = cfs_get32(buf + CFS_PKT_OFF_ARG_LEN);
	h->partition_id = cfs_get64(buf + CFS_PKT_OFF_PARTITION);
	h->extent_id = cfs_get64(buf + CFS_PKT_OFF_EXTENT);
	h->extent_offset = (int64_t)cfs_get64(buf + CFS_PKT_OFF_EXTENT_OFFSET);
	h->req_id = (int64_t)cfs_get64(buf + CFS_PKT_OFF_REQ_ID);
	h->kernel_offset = cfs_get64(buf + CFS_PKT_OFF_KERNEL_OFFSET);
	h->ver_seq = need > CFS_PKT_HDR ? cfs_get64(buf + CFS_PKT_OFF_VER_SEQ) : 0;
	h->proto_version = need > CFS_PKT_HDR_VER ? cfs_get32(buf + CFS_PKT_OFF_PROTO_VERSION) : 0;
	return (int)need;
}

#endif /* CUBEFS_CFS_WIRE_H */
