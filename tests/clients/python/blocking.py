"""The application with the blocking stub: one thread reads, works and settles; another one waits for the signal."""

import queue
import signal
import threading

import grpc
from ackline.v1 import consumer_pb2 as ackline
from ackline.v1.consumer_pb2_grpc import ConsumerServiceStub

from shared import METADATA, RECONNECT_SECONDS, TARGET, Work, is_retryable

SIGNALS = {signal.SIGTERM, signal.SIGINT}


class StreamDoor:
    """Records by Stream, settlements by Ack."""

    def __init__(self, consumer, report):
        self.consumer = consumer
        self.report = report
        self.responses = consumer.Stream(ackline.StreamRequest(), metadata=METADATA)
        self.stream_id = ""

    def settle(self, settlement):
        answer = self.ack(settlements=[settlement])
        self.report.answered(settlement, answer.refused)

    def close(self):
        self.ack(close_stream=self.stream_id)

    def ack(self, **request):
        return self.consumer.Ack(ackline.AckRequest(**request), metadata=METADATA)


class ConsumeDoor:
    """Both inside of one stream, whose requests come out of a queue."""

    def __init__(self, consumer, report):
        self.report = report
        self.requests = queue.SimpleQueue()
        self.requests.put(ackline.ConsumeRequest(request_id=1, open=ackline.Open()))
        self.newest = 1
        self.unanswered = {}
        # A queue that says None ends the iterator, which half-closes the stream.
        self.responses = consumer.Consume(iter(self.requests.get, None), metadata=METADATA)

    def settle(self, settlement):
        self.newest += 1
        self.unanswered[self.newest] = settlement
        self.requests.put(ackline.ConsumeRequest(request_id=self.newest, settle=settlement))

    def settled(self, settled):
        for request_id in [number for number in self.unanswered if number <= settled.up_to_request_id]:
            self.report.answered(self.unanswered.pop(request_id), settled.refused)

    def close(self):
        self.requests.put(None)


class Application:
    def __init__(self, options, report):
        self.door_kind = StreamDoor if options.door == "stream" else ConsumeDoor
        self.report = report
        self.work = Work(options)
        self.stopping = threading.Event()
        self.door = None
        # Held while a message is worked on, so that a stream is closed between two messages.
        self.working = threading.Lock()

    def run(self):
        # Blocked in every thread, so that the one below can wait for them. No handler ever interrupts a call.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        threading.Thread(target=self.stop_when_told, daemon=True).start()
        with grpc.insecure_channel(TARGET) as channel:
            consumer = ConsumerServiceStub(channel)
            while not self.stopping.is_set():
                try:
                    self.read(self.door_kind(consumer, self.report))
                except grpc.RpcError as error:
                    if not is_retryable(error):
                        self.report.status("failed", error)
                        return 1
                    self.report.status("reconnecting", error)
                    self.stopping.wait(RECONNECT_SECONDS)
        self.report.say("ended")
        return 0

    def read(self, door):
        for response in door.responses:
            with self.working:
                self.take(door, response)
                if self.work.is_enough() and not self.stopping.is_set():
                    self.stopping.set()
                    # With Stream everything is answered already, so the process may end as it is.
                    if isinstance(door, StreamDoor):
                        return
                    door.close()

    def take(self, door, response):
        kind = response.WhichOneof("response")
        if kind == "opened":
            self.report.say("opened", stream=response.opened.stream_id)
            door.stream_id = response.opened.stream_id
            self.door = door
            if self.stopping.is_set():
                door.close()
        elif kind == "records":
            self.report.records(response.records)
            for settlement in self.work.settlements(response.records):
                if self.stopping.is_set():
                    return
                door.settle(settlement)
        elif kind == "withdrawn":
            self.report.withdrawn(response.withdrawn)
        elif kind == "settled":
            door.settled(response.settled)

    def stop_when_told(self):
        signal.sigwait(SIGNALS)
        self.stopping.set()
        with self.working:
            if self.door:
                try:
                    self.door.close()
                except grpc.RpcError as error:
                    self.report.status("reconnecting", error)
