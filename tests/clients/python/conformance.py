"""The conformance application in Python. Its command line and its report are those of tests/clients/README.md."""

import asyncio
import os
import signal
import sys

import blocking
import event_loop
from shared import Report, options


def prefork(options):
    """Runs workers that each open a channel of their own, after the fork. The parent opens none."""
    awaited = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    workers, status = set(), 0
    for worker in range(options.workers):
        process = os.fork()
        if process == 0:
            os._exit(blocking.Application(options, Report(worker)).run())
        workers.add(process)
    while workers:
        received = signal.sigwait(awaited)
        if received != signal.SIGCHLD:
            for process in workers:
                os.kill(process, received)
        while workers:
            process, result = os.waitpid(-1, os.WNOHANG)
            if process == 0:
                break
            workers.remove(process)
            status = status or os.waitstatus_to_exitcode(result)
    return status


def main():
    wanted = options()
    if wanted.manner == "prefork":
        return prefork(wanted)
    if wanted.manner == "asyncio":
        return asyncio.run(event_loop.Application(wanted, Report(0)).run())
    return blocking.Application(wanted, Report(0)).run()


sys.exit(main())
