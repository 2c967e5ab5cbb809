import os
import grpc
from ackline.v1 import consumer_pb2 as ackline
from ackline.v1.consumer_pb2_grpc import ConsumerServiceStub

channel = grpc.insecure_channel(os.environ.get("ACKLINE_TARGET", "unix:/run/ackline/ackline.sock"))
consumer = ConsumerServiceStub(channel)

for response in consumer.Stream(ackline.StreamRequest()):
    for record in response.records.records:
        print(response.records.topic, response.records.partition, record.offset, record.value, flush=True)
    if ids := [record.id for record in response.records.records]:
        deliveries = ackline.Ids(ids=ids)
        done = ackline.Settlement(deliveries=deliveries, outcome=ackline.OUTCOME_ACK)
        consumer.Ack(ackline.AckRequest(settlements=[done]))
