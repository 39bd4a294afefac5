// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: packets over TCP: sender and receiver of one connection.
 *
 * Purpose   Sends headers copied and data by reference, receives data straight into its
 *           destination, checks its CRC.
 * Lifetime  Works on a struct cfs_conn between cfs_transport_open() and cfs_transport_close(), see
 *           conn.h.
 * Locks     conn->tx around everything that writes to the socket; conn->lock for the lists. The
 *           receiver is one work item, so it needs no lock for its own state. The socket's lock is
 *           taken inside conn->tx. The socket is made by the kernel: its lock class never meets the
 *           mmap lock of a process that reads a socket into unmapped memory.
 * Contexts  Sender: work, or the submitter of a read or of a little data when the connection is
 *           free. Receiver: work queued by the socket's data_ready callback (softirq), which does
 *           nothing else.
 * Failure   Whatever is not a well-formed, expected packet kills the connection: cfs_conn_kill(),
 *           nothing else.
 *
 * Pages sent by reference. After the reply to a write its bytes may still sit in the retransmit
 * queue, if the reply's acknowledgment is not processed yet, and the page may then be changed.
 * This is harmless: the server has read the bytes, so a retransmission is old data to its TCP and
 * is dropped. A connection that dies with a write unanswered is reset, which empties the queues,
 * before the write is handed back and its page can leave write-back.
 * Source: CubeFS v3.5.3, proto/packet.go, datanode/repl/repl_protocol.go; docs of MSG_SPLICE_PAGES
 *         in include/linux/socket.h.
 */
#include <linux/bvec.h>
#include <linux/crc32.h>
#include <linux/iov_iter.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include <net/tcp.h>
#include "compat.h"
#include "conn.h"
#include "trace.h"

#define CFS_KEEPALIVE_IDLE_S	10
#define CFS_KEEPALIVE_INTVL_S	3
#define CFS_KEEPALIVE_PROBES	3
#define CFS_USER_TIMEOUT_MS	8000
#define CFS_TX_SMALL		SZ_16K	/* fits in an empty send queue without waiting */
#define CFS_RX_STEP		SZ_512K	/* received at most before the socket's lock is dropped */

static atomic64_t cfs_req_ids = ATOMIC64_INIT(0);

/* ---- socket ---- */

static void cfs_socket_tune(struct socket *sock, u32 connect_ms)
{
	struct sock *sk = sock->sk;

	/* Used in write-back, page faults and reclaim. */
	sk->sk_allocation = GFP_NOFS;
	sk->sk_use_task_frag = false;
	/*
	 * A header is one send, its data the next: Nagle would wait for a delayed acknowledgment.
	 */
	tcp_sock_set_nodelay(sk);
	sock_set_keepalive(sk);
	tcp_sock_set_keepidle(sk, CFS_KEEPALIVE_IDLE_S);
	tcp_sock_set_keepintvl(sk, CFS_KEEPALIVE_INTVL_S);
	tcp_sock_set_keepcnt(sk, CFS_KEEPALIVE_PROBES);
	tcp_sock_set_user_timeout(sk, CFS_USER_TIMEOUT_MS);
	sk->sk_sndtimeo = msecs_to_jiffies(connect_ms);
}

/**
 * cfs_transport_open - create and connect the socket
 * @conn: Connection in state CONNECTING.
 *
 * Context: Its connect work; waits up to conn->connect_ms.
 * Return:  0; -ENOTCONN without a daemon, whose network namespace is used; what connect(2) returns.
 */
int cfs_transport_open(struct cfs_conn *conn)
{
	struct cfs_node_obj *node = conn->node;
	struct sockaddr_storage addr = node->addr;
	int err;

	conn->net = cfs_chan_net();
	if (!conn->net)
		return -ENOTCONN;
	err = sock_create_kern(conn->net, addr.ss_family, SOCK_STREAM, IPPROTO_TCP, &conn->sock);
	if (err) {
		conn->sock = NULL;
		return err;
	}
	cfs_socket_tune(conn->sock, conn->connect_ms);
	err = kernel_connect(conn->sock, (cfs_sockaddr *)&addr, node->addr_len, 0);
	if (err == -EINPROGRESS)
		err = -ETIMEDOUT;
	conn->sock->sk->sk_sndtimeo = CFS_CONN_SILENCE_S * HZ;
	return err;
}

static void cfs_sk_data_ready(struct sock *sk)
{
	struct cfs_conn *conn;

	read_lock_bh(&sk->sk_callback_lock);
	conn = sk->sk_user_data;
	if (conn)
		queue_work(cfs_io_wq, &conn->rx_work);
	read_unlock_bh(&sk->sk_callback_lock);
}

static void cfs_sk_state_change(struct sock *sk)
{
	struct cfs_conn *conn;

	read_lock_bh(&sk->sk_callback_lock);
	conn = sk->sk_user_data;
	if (conn) {
		conn->saved_state_change(sk);	/* wakes a sender that waits for room */
		queue_work(cfs_io_wq, &conn->rx_work);
	}
	read_unlock_bh(&sk->sk_callback_lock);
}

/**
 * cfs_transport_hook - let the socket queue the receiver
 * @conn: Connection with a connected socket.
 */
void cfs_transport_hook(struct cfs_conn *conn)
{
	struct sock *sk = conn->sock->sk;

	write_lock_bh(&sk->sk_callback_lock);
	conn->saved_data_ready = sk->sk_data_ready;
	conn->saved_state_change = sk->sk_state_change;
	sk->sk_user_data = conn;
	sk->sk_data_ready = cfs_sk_data_ready;
	sk->sk_state_change = cfs_sk_state_change;
	write_unlock_bh(&sk->sk_callback_lock);
}

static void cfs_transport_unhook(struct cfs_conn *conn)
{
	struct sock *sk = conn->sock->sk;

	write_lock_bh(&sk->sk_callback_lock);
	if (sk->sk_user_data == conn) {
		sk->sk_user_data = NULL;
		sk->sk_data_ready = conn->saved_data_ready;
		sk->sk_state_change = conn->saved_state_change;
	}
	write_unlock_bh(&sk->sk_callback_lock);
}

/**
 * cfs_transport_close - stop sender and receiver, reset the socket
 * @conn: Dead connection; its connect work has ended. The socket may be missing.
 *
 * Context: Its close work. After return nothing refers to the pages of its packets any more.
 */
void cfs_transport_close(struct cfs_conn *conn)
{
	if (conn->sock) {
		cfs_transport_unhook(conn);
		kernel_sock_shutdown(conn->sock, SHUT_RDWR);	/* wakes a sender */
	}
	/*
	 * Submit queues the sender only while the state is UP and under conn->lock: none is queued
	 * after this.
	 */
	cancel_work_sync(&conn->tx_work);
	mutex_lock(&conn->tx);		/* a submitter may be sending */
	mutex_unlock(&conn->tx);
	cancel_work_sync(&conn->rx_work);
	if (conn->sock) {
		/* No lingering means: release sends a reset and frees the queues at once. */
		sock_no_linger(conn->sock->sk);
		sock_release(conn->sock);
		conn->sock = NULL;
	}
	if (conn->net)
		put_net(conn->net);
	conn->net = NULL;
}

/* ---- sender ---- */

static size_t cfs_crc_step(void *base, size_t progress, size_t len, void *priv, void *priv2)
{
	u32 *crc = priv;

	*crc = crc32_le(*crc, base, len);
	return 0;
}

/* CRC-32 (IEEE) of the next bytes; @crc: running value, ~0 at the start, inverted at the end. */
static u32 cfs_iter_crc(struct iov_iter *iter, size_t len, u32 crc)
{
	iterate_and_advance_kernel(iter, len, &crc, NULL, cfs_crc_step);
	return crc;
}

static int cfs_send_header(struct socket *sock, struct cfs_pkt_hdr *hdr, const char *arg, int flags)
{
	u8 buf[CFS_PKT_HDR_MAX];
	struct kvec kv[2] = {
		{ .iov_base = buf },
		{ .iov_base = (void *)arg, .iov_len = hdr->arg_len },
	};
	struct msghdr msg = { .msg_flags = MSG_NOSIGNAL | flags };
	size_t len = cfs_pkt_encode(hdr, buf);
	int ret;

	kv[0].iov_len = len;
	len += hdr->arg_len;
	ret = kernel_sendmsg(sock, &msg, kv, hdr->arg_len ? 2 : 1, len);
	if (ret < 0)
		return ret;
	return ret == len ? 0 : -EPIPE;
}

/* Pages go by reference. A kvec is small memory of ours, or of a kernel caller: it is copied. */
static int cfs_send_pages(struct cfs_conn *conn, struct iov_iter *iter, struct cfs_sb *csb)
{
	int splice = iov_iter_is_kvec(iter) ? 0 : MSG_SPLICE_PAGES;

	while (iov_iter_count(iter)) {
		struct msghdr msg = {
			.msg_flags = MSG_NOSIGNAL | splice,
			.msg_iter = *iter,
		};
		int ret = sock_sendmsg(conn->sock, &msg);

		if (ret <= 0)
			return ret == -EAGAIN ? -ETIMEDOUT : ret ?: -EPIPE;
		iov_iter_advance(iter, ret);
		if (splice)
			cfs_count(csb, spliced_bytes, ret);
		WRITE_ONCE(conn->progress, jiffies);
	}
	return 0;
}

/*
 * Everything is taken from the packet before the last byte is given to the socket: the reply may
 * come, and the receiver would finish the packet, before sendmsg() returns. It waits for
 * conn->sending to be cleared, see cfs_rx_complete(). @flags: MSG_DONTWAIT: -EAGAIN when there is no
 * room for the header, then nothing was sent.
 */
static int cfs_send_pkt(struct cfs_conn *conn, struct cfs_pkt *pkt, int flags)
{
	struct cfs_pkt_hdr hdr = pkt->hdr;
	struct iov_iter iter = pkt->iter;
	struct cfs_sb *csb = pkt->csb;
	size_t len = pkt->is_read ? 0 : pkt->len;
	int err;

	if (len) {
		struct iov_iter again = iter;

		hdr.crc = ~cfs_iter_crc(&again, len, ~0U);
		/* Compared with the reply, which echoes it. Creating an extent goes without. */
		if (hdr.opcode == CFS_DOP_CREATE_EXTENT)
			hdr.crc = 0;
		pkt->hdr.crc = hdr.crc;
		iov_iter_truncate(&iter, len);
	}
	err = cfs_send_header(conn->sock, &hdr, pkt->arg, flags | (len ? MSG_MORE : 0));
	if (!err && len)
		err = cfs_send_pages(conn, &iter, csb);
	return err;
}

/* Can it be sent without waiting for the peer: a header, or little data behind nothing else? */
static bool cfs_tx_small(const struct cfs_conn *conn, const struct cfs_pkt *pkt)
{
	lockdep_assert_held(&conn->lock);
	return pkt->is_read || (pkt->len <= CFS_TX_SMALL && !conn->nsent);
}

/*
 * Moves the next packet to the list of sent ones before its first byte is out, so that its reply
 * always finds it. @small: only if it is small.
 */
static struct cfs_pkt *cfs_tx_next(struct cfs_conn *conn, bool small)
{
	struct cfs_pkt *pkt = NULL;

	spin_lock(&conn->lock);
	if (conn->state == CFS_CONN_UP && conn->nsent < conn->window)
		pkt = list_first_entry_or_null(&conn->txq, struct cfs_pkt, link);
	if (pkt && small && !cfs_tx_small(conn, pkt))
		pkt = NULL;	/* its submitter has queued the work */
	if (pkt) {
		if (!conn->nsent)
			WRITE_ONCE(conn->progress, jiffies);
		list_move_tail(&pkt->link, &conn->sent);
		conn->nqueued--;
		conn->nsent++;
		conn->sending = pkt;
		pkt->exposed = true;
	}
	spin_unlock(&conn->lock);
	return pkt;
}

/* The send queue is full: the work will wait, a caller with a signal pending cannot. */
static void cfs_tx_later(struct cfs_conn *conn, struct cfs_pkt *pkt)
{
	spin_lock(&conn->lock);
	conn->sending = NULL;
	if (conn->state == CFS_CONN_UP) {
		list_move(&pkt->link, &conn->txq);
		conn->nqueued++;
		conn->nsent--;
		pkt->exposed = false;
		queue_work(cfs_io_wq, &conn->tx_work);
	}
	spin_unlock(&conn->lock);
	wake_up_all(&conn->idle);
}

static void cfs_tx_sent(struct cfs_conn *conn)
{
	spin_lock(&conn->lock);
	conn->sending = NULL;
	spin_unlock(&conn->lock);
	wake_up_all(&conn->idle);
}

static void cfs_tx_run(struct cfs_conn *conn, bool small)
{
	unsigned int nofs = memalloc_nofs_save();
	struct cfs_pkt *pkt;
	int err = 0;

	lockdep_assert_held(&conn->tx);
	while (!err && (pkt = cfs_tx_next(conn, small))) {
		err = cfs_send_pkt(conn, pkt, small ? MSG_DONTWAIT : 0);
		if (err == -EAGAIN && small)
			cfs_tx_later(conn, pkt);
		else
			cfs_tx_sent(conn);
	}
	memalloc_nofs_restore(nofs);
	if (err && !(err == -EAGAIN && small))
		cfs_conn_kill(conn, err);
}

/* Work: send what is queued. */
void cfs_transport_tx(struct work_struct *work)
{
	struct cfs_conn *conn = container_of(work, struct cfs_conn, tx_work);

	mutex_lock(&conn->tx);
	cfs_tx_run(conn, false);
	mutex_unlock(&conn->tx);
}

/**
 * cfs_conn_submit - give a packet to a connection
 * @conn: Connection; the caller holds a reference.
 * @pkt:  Packet, filled by its owner.
 *
 * A read, which is only a header, or a little data on an idle connection, is sent at once by the
 * caller when nobody else sends.
 *
 * Context: Process.
 * Return:  0, then done() is called exactly once; -ENOTCONN, then it is not.
 */
int cfs_conn_submit(struct cfs_conn *conn, struct cfs_pkt *pkt)
{
	bool up, direct;

	pkt->hdr.req_id = atomic64_inc_return(&cfs_req_ids);
	pkt->submitted_ns = ktime_get_ns();
	pkt->node = conn->node->id;
	pkt->got = 0;
	pkt->exposed = false;
	pkt->lost = false;
	pkt->err = 0;
	pkt->result = CFS_RC_INIT;
	trace_cfs_packet_sent(pkt);
	spin_lock(&conn->lock);
	up = conn->state == CFS_CONN_UP;
	direct = cfs_tx_small(conn, pkt) && (pkt->is_read || list_empty(&conn->txq));
	if (up) {
		list_add_tail(&pkt->link, &conn->txq);
		conn->nqueued++;
		if (!direct)
			queue_work(cfs_io_wq, &conn->tx_work);
	}
	spin_unlock(&conn->lock);
	if (!up)
		return -ENOTCONN;
	/*
	 * @pkt may be finished by now. A sender that has the mutex may have seen an empty queue: it
	 * is queued again.
	 */
	if (!direct)
		return 0;
	if (mutex_trylock(&conn->tx)) {
		cfs_tx_run(conn, true);
		mutex_unlock(&conn->tx);
		return 0;
	}
	spin_lock(&conn->lock);
	if (conn->state == CFS_CONN_UP)
		queue_work(cfs_io_wq, &conn->tx_work);
	spin_unlock(&conn->lock);
	return 0;
}

/* ---- receiver ---- */

static void cfs_rx_progress(struct cfs_conn *conn)
{
	WRITE_ONCE(conn->progress, jiffies);
	WRITE_ONCE(conn->heard, jiffies);
}

static int cfs_rx_into(struct cfs_conn *conn, struct iov_iter *to, size_t len)
{
	struct msghdr msg = { .msg_flags = MSG_NOSIGNAL, .msg_iter = *to };
	int ret;

	iov_iter_truncate(&msg.msg_iter, len);
	ret = sock_recvmsg(conn->sock, &msg, MSG_DONTWAIT);
	if (!ret)
		return -ECONNRESET;
	if (ret > 0)
		cfs_rx_progress(conn);
	return ret;
}

/* Returns 0 when rx->buf has @want bytes. */
static int cfs_rx_buffer(struct cfs_conn *conn, u32 want)
{
	struct cfs_rx *rx = &conn->rx;

	while (rx->have < want) {
		struct kvec kv = { .iov_base = rx->buf + rx->have, .iov_len = want - rx->have };
		struct iov_iter to;
		int ret;

		iov_iter_kvec(&to, ITER_DEST, &kv, 1, kv.iov_len);
		ret = cfs_rx_into(conn, &to, kv.iov_len);
		if (ret < 0)
			return ret;
		rx->have += ret;
	}
	return 0;
}

static struct cfs_pkt *cfs_rx_head(struct cfs_conn *conn)
{
	struct cfs_pkt *pkt;

	spin_lock(&conn->lock);
	pkt = list_first_entry_or_null(&conn->sent, struct cfs_pkt, link);
	spin_unlock(&conn->lock);
	return pkt;		/* only the receiver removes it while the connection is up */
}

static void cfs_rx_complete(struct cfs_conn *conn, struct cfs_pkt *pkt)
{
	bool more;

	/*
	 * Until the sender has let go of it. A peer that answers before it has read all makes us
	 * wait, at most until the silence limit.
	 */
	wait_event(conn->idle, READ_ONCE(conn->sending) != pkt);
	spin_lock(&conn->lock);
	list_del_init(&pkt->link);
	conn->nsent--;
	more = conn->state == CFS_CONN_UP && !list_empty(&conn->txq);
	if (more)
		queue_work(cfs_io_wq, &conn->tx_work);
	spin_unlock(&conn->lock);
	pkt->done(pkt);
}

/*
 * A reply to the oldest outstanding request, or to none. An error reply is noted in its packet and
 * ends the connection: a data node answers nothing reliably after one. The close work hands the
 * packet back.
 * Source: CubeFS v3.5.3, datanode/repl/repl_protocol.go writeResponse.
 */
static int cfs_rx_check(struct cfs_conn *conn, struct cfs_pkt *pkt)
{
	const struct cfs_pkt_hdr *r = &conn->rx.hdr;

	if (!pkt || r->req_id != pkt->hdr.req_id || r->opcode != pkt->hdr.opcode)
		return -EPROTO;
	if (r->result != CFS_RC_OK) {
		pkt->result = r->result == CFS_RC_INIT ? CFS_RC_ERR : r->result;
		return -EREMOTEIO;
	}
	if (r->partition_id != pkt->hdr.partition_id || r->arg_len > CFS_ARG_MAX)
		return -EPROTO;
	if (!pkt->is_read)
		return r->size ? -EPROTO : 0;
	if (!r->size || r->size > CFS_READ_CHUNK_MAX || r->size > pkt->len - pkt->got ||
	    r->extent_id != pkt->hdr.extent_id ||
	    r->extent_offset != pkt->hdr.extent_offset + pkt->got)
		return -EPROTO;
	if (pkt->claim) {
		struct cfs_pkt *first = cmpxchg(pkt->claim, NULL, pkt);

		pkt->lost = first && first != pkt;
	}
	return 0;
}

/* The header is whole: what follows it? */
static int cfs_rx_header(struct cfs_conn *conn)
{
	struct cfs_rx *rx = &conn->rx;
	int ret = cfs_rx_buffer(conn, CFS_PKT_HDR), len;

	if (ret)
		return ret;
	len = cfs_pkt_decode(rx->buf, rx->have, &rx->hdr);
	if (!len) {
		ret = cfs_rx_buffer(conn, cfs_pkt_hdr_len(rx->buf[CFS_PKT_OFF_EXTENT_TYPE]));
		if (ret)
			return ret;
		len = cfs_pkt_decode(rx->buf, rx->have, &rx->hdr);
	}
	if (len < 0)
		return -EPROTO;
	ret = cfs_rx_check(conn, cfs_rx_head(conn));
	if (ret)
		return ret;
	rx->left = rx->hdr.arg_len;
	rx->step = rx->hdr.extent_type & CFS_ET_VERSION_LIST ? CFS_RX_VERSIONS : CFS_RX_SKIP;
	return 0;
}

/* A list of snapshot versions follows the header; its count decides how much to skip. */
static int cfs_rx_versions(struct cfs_conn *conn)
{
	struct cfs_rx *rx = &conn->rx;
	u32 at = cfs_pkt_hdr_len(rx->hdr.extent_type);
	int ret = cfs_rx_buffer(conn, at + 2);

	if (ret)
		return ret;
	rx->left += (rx->buf[at] << 8 | rx->buf[at + 1]) * CFS_VER_ENTRY;
	rx->step = CFS_RX_SKIP;
	return 0;
}

static int cfs_rx_skip(struct cfs_conn *conn)
{
	struct cfs_rx *rx = &conn->rx;
	struct iov_iter to;
	int ret;

	while (rx->left) {
		iov_iter_discard(&to, ITER_DEST, rx->left);
		ret = cfs_rx_into(conn, &to, rx->left);
		if (ret < 0)
			return ret;
		rx->left -= ret;
	}
	rx->left = rx->hdr.size;
	rx->crc = ~0U;
	rx->step = CFS_RX_DATA;
	return 0;
}

/* Bytes of the socket's queue go to where the read wants them; never more than desc->count. */
static int cfs_rx_actor(read_descriptor_t *desc, struct sk_buff *skb, unsigned int offset,
			size_t len)
{
	struct cfs_conn *conn = desc->arg.data;
	struct cfs_pkt *pkt = cfs_rx_head(conn);
	size_t want = min(len, desc->count), done = 0, n;
	struct skb_seq_state st;
	const u8 *data;

	skb_prepare_seq_read(skb, offset, offset + want, &st);
	while (done < want && (n = skb_seq_read(done, &data, &st))) {
		n = min(n, want - done);
		if (!pkt->csb->nocrc)
			conn->rx.crc = crc32_le(conn->rx.crc, data, n);
		if (!pkt->lost && copy_to_iter(data, n, &pkt->iter) != n) {
			desc->error = -EFAULT;
			break;
		}
		done += n;
	}
	skb_abort_seq_read(&st);
	desc->count -= done;
	return done;
}

/* Nothing was taken from the queue: is it empty, or at its end? */
static int cfs_rx_empty(struct cfs_conn *conn)
{
	u8 byte;
	struct msghdr msg = {};
	struct kvec kv = { .iov_base = &byte, .iov_len = 1 };
	int ret = kernel_recvmsg(conn->sock, &msg, &kv, 1, 1, MSG_PEEK | MSG_DONTWAIT);

	return ret > 0 ? 0 : ret ?: -ECONNRESET;
}

/*
 * The CRC is that of the bytes as they came, not of the memory they were copied to: that may be
 * changed at the same time (direct I/O), or be one page for several parts (netfs, where it fills the
 * gaps of a folio that is partly written).
 */
static int cfs_rx_data(struct cfs_conn *conn)
{
	struct cfs_rx *rx = &conn->rx;
	struct sock *sk = conn->sock->sk;
	int ret;

	while (rx->left) {
		read_descriptor_t desc = {
			.arg.data = conn,
			.count = min_t(u32, rx->left, CFS_RX_STEP),
		};

		lock_sock(sk);
		ret = conn->sock->ops->read_sock(sk, &desc, cfs_rx_actor);
		release_sock(sk);
		if (desc.error)
			return desc.error;
		if (!ret)
			ret = cfs_rx_empty(conn);
		if (ret < 0)
			return ret;
		if (ret)
			cfs_rx_progress(conn);
		rx->left -= ret;
	}
	return 0;
}

/* One chunk of a read, or the whole reply to a write, is here. */
static int cfs_rx_end(struct cfs_conn *conn)
{
	struct cfs_rx *rx = &conn->rx;
	struct cfs_pkt *pkt = cfs_rx_head(conn);
	bool complete = true;

	rx->step = CFS_RX_HEADER;
	rx->have = 0;
	if (pkt->is_read) {
		if (!pkt->csb->nocrc && ~rx->crc != rx->hdr.crc) {
			cfs_count(pkt->csb, crc_errors, 1);
			return -EBADMSG;
		}
		cfs_count(pkt->csb, read_wire_bytes, rx->hdr.size);
		pkt->got += rx->hdr.size;
		complete = pkt->got == pkt->len;
	}
	if (!complete)
		return 0;
	if (!pkt->is_read && rx->hdr.crc != pkt->hdr.crc)
		return -EBADMSG;
	pkt->result = CFS_RC_OK;
	pkt->extent_id = rx->hdr.extent_id;
	pkt->extent_offset = rx->hdr.extent_offset;
	cfs_rx_complete(conn, pkt);
	return 0;
}

static int cfs_rx_step(struct cfs_conn *conn)
{
	int ret;

	switch (conn->rx.step) {
	case CFS_RX_HEADER:
		return cfs_rx_header(conn);
	case CFS_RX_VERSIONS:
		return cfs_rx_versions(conn);
	case CFS_RX_SKIP:
		return cfs_rx_skip(conn);
	case CFS_RX_DATA:
		ret = cfs_rx_data(conn);
		return ret ?: cfs_rx_end(conn);
	}
	return -EPROTO;
}

/* Work: receive what is there. */
void cfs_transport_rx(struct work_struct *work)
{
	struct cfs_conn *conn = container_of(work, struct cfs_conn, rx_work);
	unsigned int nofs = memalloc_nofs_save();
	int ret = 0;

	while (!ret && READ_ONCE(conn->state) == CFS_CONN_UP) {
		ret = cfs_rx_step(conn);
		cond_resched();
	}
	memalloc_nofs_restore(nofs);
	if (ret && ret != -EAGAIN)
		cfs_conn_kill(conn, ret);
}
