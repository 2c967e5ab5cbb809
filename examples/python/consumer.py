"""Prints records and acknowledges them, one message at a time, until SIGTERM or Ctrl-C."""

import contextlib
import os
import signal
import threading

import grpc
from ackline.v1 import consumer_pb2 as ackline
from ackline.v1.consumer_pb2_grpc import ConsumerServiceStub

SIGNALS = {signal.SIGTERM, signal.SIGINT}
AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN}  # the sidecar ends, or the connection broke
stopping = threading.Event()
working = threading.Lock()  # held during a message, so that the stream is closed between two of them
stream_id = ""


def work(topic, partition, record):
    print(topic, partition, record.offset, record.value, flush=True)


def consume(consumer):
    global stream_id
    for response in consumer.Stream(ackline.StreamRequest()):
        with working:
            if stopping.is_set():
                return  # what was not worked on goes to somebody else
            if response.WhichOneof("response") == "opened":
                stream_id = response.opened.stream_id
            if ids := [record.id for record in response.records.records]:
                for record in response.records.records:
                    work(response.records.topic, response.records.partition, record)
                done = ackline.Settlement(deliveries=ackline.Ids(ids=ids), outcome=ackline.OUTCOME_ACK)
                consumer.Ack(ackline.AckRequest(settlements=[done]))


def close_when_told(consumer):
    signal.sigwait(SIGNALS)
    stopping.set()
    with working, contextlib.suppress(grpc.RpcError):
        consumer.Ack(ackline.AckRequest(close_stream=stream_id))


signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # leaves them to the thread that waits for them
with grpc.insecure_channel(os.environ.get("ACKLINE_TARGET", "unix:/run/ackline/ackline.sock")) as channel:
    consumer = ConsumerServiceStub(channel)
    threading.Thread(target=close_when_told, args=[consumer], daemon=True).start()
    while not stopping.is_set():
        try:
            consume(consumer)
        except grpc.RpcError as error:
            if error.code() not in AWAY:
                raise
            stopping.wait(1)
