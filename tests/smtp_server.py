"""A mail server for the integration tests: keeps a line per accepted mail, on disk before it answers.

    /usr/bin/python3 smtp_server.py LOG PAUSE_MS_MAX

It listens on a port that the system picks and prints it. Each mail's X-Soloist-Effect is appended to LOG and synced, and
only then the server answers 250: so a key is in LOG exactly if the mail was accepted. Pauses of up to PAUSE_MS_MAX before
the content and before the log, and of up to three times that before the answer, give a client time to be killed at each
of these points. The server ends when its standard input does, so it never outlives the test that started it.
"""

import asyncio
import email
import os
import random
import sys

try:
    from aiosmtpd.smtp import SMTP
except ImportError:
    sys.exit("aiosmtpd is missing; run `scripts/setup.sh test`, or install the Debian package python3-aiosmtpd")


class Keeper:
    """Keeps the effect of every mail that it accepts."""

    def __init__(self, log, pause_ms_max):
        self.log = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)
        self.pause_ms_max = pause_ms_max
        # The pauses are the same in every run of a test; what meets them is not.
        self.chance = random.Random(1)

    async def pause(self, times=1):
        await asyncio.sleep(times * self.chance.uniform(0, self.pause_ms_max) / 1000)

    async def handle_RCPT(self, server, session, envelope, address, options):
        await self.pause()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        # If the client dies in this pause the mail is not accepted, and if it dies in the next one it is.
        await self.pause()
        key = email.message_from_bytes(envelope.content)["X-Soloist-Effect"]
        if key is None:
            return "554 this mail names no effect"
        os.write(self.log, f"{key.strip()}\n".encode())
        os.fsync(self.log)
        await self.pause(times=3)
        return "250 2.0.0 kept"


async def main(log, pause_ms_max):
    loop = asyncio.get_running_loop()
    keeper = Keeper(log, pause_ms_max)
    server = await loop.create_server(lambda: SMTP(keeper, hostname="localhost"), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
