#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Passes TCP connections on, for tests: what serves loopback only is reached through one relay on each side.

usage: tests/tools/relay.py LISTEN-ADDRESS:PORT TARGET-ADDRESS:PORT

Runs until it is ended.
"""
import asyncio
import contextlib
import sys


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


async def copy(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


async def serve(listen, target):
    async def passed(reader, writer):
        with contextlib.suppress(OSError):
            there_reader, there_writer = await asyncio.open_connection(*target)
            await asyncio.gather(copy(reader, there_writer), copy(there_reader, writer))
            there_writer.close()
        writer.close()

    async with await asyncio.start_server(passed, *listen) as server:
        await server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    asyncio.run(serve(address(sys.argv[1]), address(sys.argv[2])))
