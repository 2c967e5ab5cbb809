"""The application with grpc.aio: everything happens in one event loop."""

import asyncio
import signal

import grpc
from ackline.v1 import consumer_pb2 as ackline
from ackline.v1.consumer_pb2_grpc import ConsumerServiceStub

from shared import METADATA, RECONNECT_SECONDS, TARGET, Work, is_retryable


class StreamDoor:
    """Records by Stream, settlements by Ack."""

    def __init__(self, consumer, report):
        self.consumer = consumer
        self.report = report
        self.responses = consumer.Stream(ackline.StreamRequest(), metadata=METADATA)
        self.stream_id = ""

    async def open(self):
        pass

    async def settle(self, settlement):
        answer = await self.ack(settlements=[settlement])
        self.report.answered(settlement, answer.refused)

    async def close(self):
        await self.ack(close_stream=self.stream_id)

    async def ack(self, **request):
        return await self.consumer.Ack(ackline.AckRequest(**request), metadata=METADATA)


class ConsumeDoor:
    """Both inside of one stream. Two writes at a time would break it: all are made under Application.working."""

    def __init__(self, consumer, report):
        self.report = report
        self.responses = consumer.Consume(metadata=METADATA)
        self.newest = 0
        self.unanswered = {}

    async def open(self):
        await self.write(open=ackline.Open())

    async def settle(self, settlement):
        self.unanswered[self.newest + 1] = settlement
        await self.write(settle=settlement)

    async def write(self, **request):
        self.newest += 1
        try:
            await self.responses.write(ackline.ConsumeRequest(request_id=self.newest, **request))
        except asyncio.InvalidStateError:
            pass  # The stream has ended. Reading on tells how.

    def settled(self, settled):
        for request_id in [number for number in self.unanswered if number <= settled.up_to_request_id]:
            self.report.answered(self.unanswered.pop(request_id), settled.refused)

    async def close(self):
        await self.responses.done_writing()


class Application:
    def __init__(self, options, report):
        self.door_kind = StreamDoor if options.door == "stream" else ConsumeDoor
        self.report = report
        self.work = Work(options)
        self.stopping = asyncio.Event()
        self.door = None
        # Held while a message is worked on, so that a stream is closed between two messages.
        self.working = asyncio.Lock()

    async def run(self):
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        stop = asyncio.create_task(self.stop_when_told())
        async with grpc.aio.insecure_channel(TARGET) as channel:
            consumer = ConsumerServiceStub(channel)
            while not self.stopping.is_set():
                try:
                    await self.read(self.door_kind(consumer, self.report))
                except grpc.RpcError as error:
                    if not is_retryable(error):
                        self.report.status("failed", error)
                        return 1
                    self.report.status("reconnecting", error)
                    await asyncio.sleep(RECONNECT_SECONDS)
            await stop
        self.report.say("ended")
        return 0

    async def read(self, door):
        await door.open()
        async for response in door.responses:
            async with self.working:
                await self.take(door, response)
                if self.work.is_enough() and not self.stopping.is_set():
                    self.door = None
                    self.stopping.set()
                    # With Stream everything is answered already, so the process may end as it is.
                    if isinstance(door, StreamDoor):
                        return
                    await door.close()

    async def take(self, door, response):
        kind = response.WhichOneof("response")
        if kind == "opened":
            self.report.say("opened", stream=response.opened.stream_id)
            door.stream_id = response.opened.stream_id
            self.door = door
            if self.stopping.is_set():
                await door.close()
        elif kind == "records":
            self.report.records(response.records)
            for settlement in self.work.settlements(response.records):
                if self.stopping.is_set():
                    return
                await door.settle(settlement)
        elif kind == "withdrawn":
            self.report.withdrawn(response.withdrawn)
        elif kind == "settled":
            door.settled(response.settled)

    async def stop_when_told(self):
        await self.stopping.wait()
        async with self.working:
            if self.door:
                try:
                    await self.door.close()
                except grpc.RpcError as error:
                    self.report.status("reconnecting", error)
