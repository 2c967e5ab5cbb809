package dev.ackline.conformance;

import dev.ackline.v1.AckRequest;
import dev.ackline.v1.ConsumerServiceGrpc;
import dev.ackline.v1.ConsumerServiceGrpc.ConsumerServiceBlockingStub;
import dev.ackline.v1.Record;
import dev.ackline.v1.Records;
import dev.ackline.v1.Settlement;
import dev.ackline.v1.StreamRequest;
import dev.ackline.v1.StreamResponse;
import io.grpc.Channel;
import io.grpc.StatusRuntimeException;
import java.util.Iterator;
import java.util.concurrent.CountDownLatch;

/**
 * The application with the blocking stub: the main thread reads, works and settles; the shutdown
 * hook closes the stream. The blocking stub has no Consume.
 */
final class BlockingApplication {
  private static final long RECONNECT_MS = 100;

  private final ConsumerServiceBlockingStub consumer;
  private final Work work;
  private final CountDownLatch ended = new CountDownLatch(1);
  private volatile boolean stopping;

  /** Guarded by this object, which is locked while a message is worked on. */
  private String streamId = "";

  BlockingApplication(Channel channel, Work work) {
    this.consumer = ConsumerServiceGrpc.newBlockingStub(channel);
    this.work = work;
  }

  int run() throws InterruptedException {
    Runtime.getRuntime().addShutdownHook(new Thread(this::stop));
    int status = 0;
    while (!stopping && status == 0) {
      try {
        read();
      } catch (StatusRuntimeException error) {
        boolean retryable = Conformance.isRetryable(error.getStatus());
        Report.status(retryable ? "reconnecting" : "failed", error.getStatus());
        status = retryable ? 0 : 1;
        Thread.sleep(RECONNECT_MS);
      }
    }
    if (status == 0) {
      Report.say("ended");
    }
    stopping = true;
    ended.countDown();
    return status;
  }

  private void read() {
    Iterator<StreamResponse> responses = consumer.stream(StreamRequest.getDefaultInstance());
    while (responses.hasNext()) {
      take(responses.next());
      if (work.isEnough()) {
        // Everything is answered already, so the process may end as it is.
        stopping = true;
        return;
      }
    }
  }

  private synchronized void take(StreamResponse response) {
    switch (response.getResponseCase()) {
      case OPENED -> {
        Report.opened(response.getOpened());
        streamId = response.getOpened().getStreamId();
        if (stopping) {
          close();
        }
      }
      case RECORDS -> settleAll(response.getRecords());
      case WITHDRAWN -> Report.withdrawn(response.getWithdrawn());
      default -> {}
    }
  }

  private void settleAll(Records records) {
    Report.records(records);
    for (Record record : work.inOrder(records)) {
      if (stopping || work.isEnough()) {
        return;
      }
      Settlement settlement = work.settlement(record);
      AckRequest request = AckRequest.newBuilder().addSettlements(settlement).build();
      Report.answered(settlement, consumer.ack(request).getRefusedList());
    }
  }

  /** Closes the stream between two messages, and holds the process until it has ended. */
  private void stop() {
    if (stopping) {
      return;
    }
    stopping = true;
    close();
    try {
      ended.await();
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private synchronized void close() {
    if (streamId.isEmpty()) {
      return;
    }
    try {
      consumer.ack(AckRequest.newBuilder().setCloseStream(streamId).build());
    } catch (StatusRuntimeException error) {
      Report.status("reconnecting", error.getStatus());
    }
  }
}
