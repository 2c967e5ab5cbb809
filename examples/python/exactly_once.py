"""Writes each record to another topic, in upper case, exactly once, until SIGTERM or Ctrl-C.

The sidecar must run with `processing: transactional`.
"""

import os
import signal
import sys
import threading

import grpc
from ackline.v1 import consumer_pb2 as ackline
from ackline.v1.consumer_pb2_grpc import ConsumerServiceStub

AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN}  # the sidecar ends, or the connection broke
SIGNALS = {signal.SIGTERM, signal.SIGINT}
TARGET = os.environ.get("TARGET_TOPIC", "copies")
stopping = threading.Event()


def copy_of(record):
    output = ackline.Output(topic=TARGET, headers=record.headers)
    if record.HasField("key"):  # null is not the same as empty
        output.key = record.key
    if record.HasField("value"):
        output.value = record.value.upper()
    return output


def settle(consumer, ids, outputs):
    """Settles deliveries whole. If part of them is dead by now, the others are settled one by one."""
    settlement = ackline.Settlement(
        deliveries=ackline.Ids(ids=ids), outcome=ackline.OUTCOME_ACK, outputs=outputs
    )
    refused = consumer.Ack(ackline.AckRequest(settlements=[settlement])).refused
    if refused and len(ids) > 1:
        for id, output in zip(ids, outputs):
            settle(consumer, [id], [output])


def consume(consumer):
    for response in consumer.Stream(ackline.StreamRequest()):
        if stopping.is_set():
            return
        if response.WhichOneof("response") == "opened":
            if response.opened.processing != ackline.PROCESSING_TRANSACTIONAL:
                sys.exit("set `processing: transactional` of the sidecar")
        if records := list(response.records.records):
            settle(consumer, [record.id for record in records], [copy_of(record) for record in records])


def stop_when_told():
    signal.sigwait(SIGNALS)
    stopping.set()
    channel.close()


signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
with grpc.insecure_channel(os.environ.get("ACKLINE_TARGET", "unix:/run/ackline/ackline.sock")) as channel:
    threading.Thread(target=stop_when_told, daemon=True).start()
    while not stopping.is_set():
        try:
            consume(ConsumerServiceStub(channel))
        except (grpc.RpcError, ValueError) as error:
            if stopping.is_set():
                break
            if not isinstance(error, grpc.RpcError) or error.code() not in AWAY:
                raise
            stopping.wait(1)
