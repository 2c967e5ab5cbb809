"""Books payments in PostgreSQL, each exactly once: results and position are one transaction. Until SIGTERM or Ctrl-C.

Needs `offset_store: {kind: application}` in the sidecar's settings, and psycopg. DATABASE_URL names the database.
"""

import os
import signal
import threading

import grpc
import psycopg
from ackline.v1 import consumer_pb2 as ackline
from ackline.v1.consumer_pb2_grpc import ConsumerServiceStub

TABLES = """
CREATE TABLE IF NOT EXISTS payments (topic text, partition int, record_offset bigint, key bytea, value bytea);
CREATE TABLE IF NOT EXISTS positions (
  topic text, partition int, fence bigint NOT NULL, checkpoint bytea, PRIMARY KEY (topic, partition))
"""
CLAIM = """
INSERT INTO positions (topic, partition, fence) VALUES (%s, %s, 1)
ON CONFLICT (topic, partition) DO UPDATE SET fence = positions.fence + 1
RETURNING fence, checkpoint
"""
KEEP = "UPDATE positions SET checkpoint = %s WHERE topic = %s AND partition = %s AND fence = %s"
BOOK = "INSERT INTO payments VALUES (%s, %s, %s, %s, %s)"
AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED}
stopping = threading.Event()


class StartAnew(Exception):
    """What was read cannot be kept: end the stream, and read again from the position that was kept last."""


class Ledger:
    def __init__(self, consumer, database):
        self.consumer = consumer
        self.database = database
        self.stream_id = ""
        self.fences = {}  # of the partitions that this stream has

    def read(self):
        wanted = ackline.Open(client="ledger", notices=[ackline.NOTICE_PARTITIONS])
        stream = self.consumer.Stream(ackline.StreamRequest(open=wanted))
        try:
            for response in stream:
                if stopping.is_set():
                    return
                what = response.WhichOneof("response")
                if what == "opened":
                    self.stream_id = response.opened.stream_id
                elif what == "partition" and response.partition.start_wanted:
                    self.claim(response.partition)
                elif what == "records":
                    self.work_on(response.records)
        finally:
            stream.cancel()

    def claim(self, asked):
        """Whoever had the partition before can keep nothing more from here on; only then is the position read."""
        place = (asked.topic, asked.partition)
        with self.database.transaction():
            fence, checkpoint = self.database.execute(CLAIM, place).fetchone()
        self.fences[place] = fence
        start = ackline.StartAt(assignment=asked.assignment, checkpoint=checkpoint or b"", stream_id=self.stream_id)
        self.consumer.Ack(ackline.AckRequest(start_at=[start]))

    def work_on(self, records):
        """One message: work, acknowledge, and keep results and position together."""
        place = (records.topic, records.partition)
        results = {record.id: (*place, record.offset, record.key, record.value) for record in records.records}
        done = ackline.Settlement(deliveries=ackline.Ids(ids=results), outcome=ackline.OUTCOME_ACK)
        answer = self.consumer.Ack(ackline.AckRequest(settlements=[done], wait_for=ackline.WAIT_FOR_COMMITTED))
        for refusal in answer.refused:  # taken back meanwhile: whoever gets them next books them
            for refused in refusal.deliveries.ranges:
                for record_id in range(refused.first, refused.last + 1):
                    results.pop(record_id, None)
        if not results:
            return
        if not answer.checkpoints:
            raise StartAnew("the sidecar has no position that stands for these records")
        with self.database.transaction():
            for row in results.values():
                self.database.execute(BOOK, row)
            kept = self.database.execute(KEEP, (answer.checkpoints[0].checkpoint, *place, self.fences[place]))
            if kept.rowcount != 1:
                raise StartAnew("somebody else has claimed the partition")
        print("booked", *place, len(results), flush=True)


def main():
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    target = os.environ.get("ACKLINE_TARGET", "unix:/run/ackline/ackline.sock")
    with grpc.insecure_channel(target) as channel:
        consumer = ConsumerServiceStub(channel)
        while not stopping.is_set():
            try:
                with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as database:
                    database.execute(TABLES)
                    Ledger(consumer, database).read()
            except (StartAnew, psycopg.OperationalError) as error:
                print("starts anew:", error, flush=True)
            except grpc.RpcError as error:
                if error.code() not in AWAY:
                    raise
            stopping.wait(0.2)


main()
