package com.example;

import dev.ackline.v1.AckRequest;
import dev.ackline.v1.ConsumerServiceGrpc;
import dev.ackline.v1.ConsumerServiceGrpc.ConsumerServiceBlockingStub;
import dev.ackline.v1.Ids;
import dev.ackline.v1.Outcome;
import dev.ackline.v1.Record;
import dev.ackline.v1.Records;
import dev.ackline.v1.Settlement;
import dev.ackline.v1.StreamRequest;
import dev.ackline.v1.StreamResponse;
import io.grpc.Channel;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.util.Iterator;
import java.util.Set;
import java.util.concurrent.CountDownLatch;

/** Prints records and acknowledges them, one message at a time, until SIGTERM or Ctrl-C. */
public final class Consumer {
  /** The sidecar ends, or the connection broke: reasons to open the stream again. */
  private static final Set<Status.Code> AWAY = Set.of(Status.Code.UNAVAILABLE, Status.Code.UNKNOWN);

  private final ConsumerServiceBlockingStub consumer;
  private final CountDownLatch ended = new CountDownLatch(1);
  private volatile boolean stopping;
  private String streamId = "";

  private Consumer(Channel channel) {
    consumer = ConsumerServiceGrpc.newBlockingStub(channel);
  }

  public static void main(String[] arguments) throws InterruptedException {
    String target =
        System.getenv().getOrDefault("ACKLINE_TARGET", "unix:/run/ackline/ackline.sock");
    new Consumer(Grpc.newChannelBuilder(target, InsecureChannelCredentials.create()).build()).run();
  }

  private void work(String topic, int partition, Record record) {
    String value = record.getValue().toStringUtf8();
    System.out.printf("%s %d %d %s%n", topic, partition, record.getOffset(), value);
  }

  private void run() throws InterruptedException {
    Runtime.getRuntime().addShutdownHook(new Thread(this::stop));
    try {
      while (!stopping) {
        try {
          Iterator<StreamResponse> responses = consumer.stream(StreamRequest.getDefaultInstance());
          while (!stopping && responses.hasNext()) {
            take(responses.next());
          }
        } catch (StatusRuntimeException error) {
          if (!AWAY.contains(error.getStatus().getCode())) {
            throw error;
          }
          Thread.sleep(1000);
        }
      }
    } finally {
      ended.countDown();
    }
  }

  /** Locked during a message, so that the stream is closed between two of them. */
  private synchronized void take(StreamResponse response) {
    if (response.hasOpened()) {
      streamId = response.getOpened().getStreamId();
    }
    if (stopping || !response.hasRecords()) {
      return; // when stopping, what was not worked on goes to somebody else
    }
    Records records = response.getRecords();
    Ids.Builder ids = Ids.newBuilder();
    for (Record record : records.getRecordsList()) {
      work(records.getTopic(), records.getPartition(), record);
      ids.addIds(record.getId());
    }
    Settlement done =
        Settlement.newBuilder().setDeliveries(ids).setOutcome(Outcome.OUTCOME_ACK).build();
    consumer.ack(AckRequest.newBuilder().addSettlements(done).build());
  }

  /** Holds the process until the stream is closed. */
  private void stop() {
    stopping = true;
    try {
      close();
      ended.await();
    } catch (StatusRuntimeException gone) {
      // Without a sidecar there is nothing to close.
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private synchronized void close() {
    consumer.ack(AckRequest.newBuilder().setCloseStream(streamId).build());
  }
}
