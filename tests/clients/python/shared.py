"""What the applications of all manners share: options, the report on standard output, and what they do with a record."""

import argparse
import ctypes
import json
import os
import struct
import zlib

import grpc
from ackline.v1 import consumer_pb2 as ackline

TARGET = os.environ["ACKLINE_TARGET"]
TOKEN = os.environ.get("ACKLINE_TOKEN")
METADATA = [("authorization", f"Bearer {TOKEN}")] if TOKEN else None

RECONNECT_SECONDS = 0.1


def options():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--manner", choices=["sync", "asyncio", "prefork"], required=True)
    parser.add_argument("--door", choices=["stream", "consume"], default="stream")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--order", choices=["arrival", "reversed"], default="arrival")
    parser.add_argument("--retry-every", type=int, default=0)
    parser.add_argument("--retry-delay-ms", type=int, default=0)
    parser.add_argument("--busy-ms", type=int, default=0)
    parser.add_argument("--stop-after", type=int, default=0)
    return parser.parse_args()


def is_retryable(error):
    return error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN)


class Report:
    """Tells the tests what happens, one JSON object a line."""

    def __init__(self, worker):
        self.worker = worker

    def say(self, event, **fields):
        line = json.dumps({"event": event, "worker": self.worker, **fields})
        # One write is one line, also when workers share the pipe.
        os.write(1, line.encode() + b"\n")

    def records(self, records):
        for record in records.records:
            self.say(
                "record",
                id=record.id,
                topic=records.topic,
                partition=records.partition,
                assignment=records.assignment,
                offset=record.offset,
                timestamp_ms=record.timestamp_ms,
                attempt=record.attempt,
                key_size=len(record.key) if record.HasField("key") else None,
                value_size=len(record.value) if record.HasField("value") else None,
                digest=digest(record),
            )

    def withdrawn(self, withdrawn):
        ranges = [[ids.first, ids.last] for ids in withdrawn.deliveries.ranges]
        self.say("withdrawn", ranges=ranges, reason=ackline.WithdrawReason.Name(withdrawn.reason))

    def answered(self, settlement, refused):
        """One delivery was settled; `refused` is what the answer says about any."""
        id, outcome = settlement.deliveries.ids[0], ackline.Outcome.Name(settlement.outcome)
        for refusal in refused:
            if any(ids.first <= id <= ids.last for ids in refusal.deliveries.ranges):
                reason = ackline.RefusalReason.Name(refusal.reason)
                self.say("refused", id=id, outcome=outcome, reason=reason)
                return
        self.say("accepted", id=id, outcome=outcome)

    def status(self, event, error):
        self.say(event, code=error.code().value[0], message=error.details())


def digest(record):
    """CRC-32 of everything in the record. Null differs from empty, and no field runs into the next."""
    crc = 0

    def add(kind, content):
        nonlocal crc
        crc = zlib.crc32(struct.pack(">BI", kind, len(content)), crc)
        crc = zlib.crc32(content, crc)

    add(record.HasField("key"), record.key)
    add(record.HasField("value"), record.value)
    for header in record.headers:
        if header.raw_name:
            add(3, header.raw_name)
        else:
            add(2, header.name.encode())
        add(header.HasField("value"), header.value)
    return crc


class Work:
    """What is done with records: the settlements, one delivery each, in the order that the options want."""

    def __init__(self, options):
        self.options = options
        self.busy = options.busy_ms > 0
        self.settled = 0

    def settlements(self, records):
        backwards = self.options.order == "reversed"
        for record in reversed(records.records) if backwards else records.records:
            if self.is_enough():
                return
            if self.busy:
                self.busy = False
                hold(self.options.busy_ms)
            self.settled += 1
            yield self.settlement(record)

    def settlement(self, record):
        deliveries = ackline.Ids(ids=[record.id])
        every = self.options.retry_every
        if every and record.offset % every == 0 and record.attempt == 1:
            settlement = ackline.Settlement(deliveries=deliveries, outcome=ackline.OUTCOME_RETRY)
            settlement.retry_delay.FromMilliseconds(self.options.retry_delay_ms)
            return settlement
        return ackline.Settlement(deliveries=deliveries, outcome=ackline.OUTCOME_ACK)

    def is_enough(self):
        return 0 < self.options.stop_after <= self.settled


def hold(milliseconds):
    """Holds the thread and the interpreter's lock for so long, as a computation would, but leaves the CPU to the others."""
    ctypes.PyDLL(None).usleep(milliseconds * 1000)
