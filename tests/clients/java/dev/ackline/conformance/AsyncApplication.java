package dev.ackline.conformance;

import dev.ackline.v1.AckRequest;
import dev.ackline.v1.AckResponse;
import dev.ackline.v1.ConsumeRequest;
import dev.ackline.v1.ConsumerServiceGrpc;
import dev.ackline.v1.ConsumerServiceGrpc.ConsumerServiceStub;
import dev.ackline.v1.Open;
import dev.ackline.v1.Record;
import dev.ackline.v1.Records;
import dev.ackline.v1.Settled;
import dev.ackline.v1.Settlement;
import dev.ackline.v1.StreamRequest;
import dev.ackline.v1.StreamResponse;
import io.grpc.Channel;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;

/** The application with the asynchronous stub: work happens in the callbacks of the stream. */
final class AsyncApplication {
  private static final long RECONNECT_MS = 100;

  private final ConsumerServiceStub consumer;
  private final Work work;
  private final boolean consume;
  private final CountDownLatch ended = new CountDownLatch(1);
  private volatile boolean stopping;

  /** The open stream. Guarded by this object. */
  private Session session;

  AsyncApplication(Channel channel, Work work, boolean consume) {
    this.consumer = ConsumerServiceGrpc.newStub(channel);
    this.work = work;
    this.consume = consume;
  }

  int run() throws Exception {
    Runtime.getRuntime().addShutdownHook(new Thread(this::stop));
    int status = 0;
    while (!stopping && status == 0) {
      Session next = consume ? new ConsumeSession() : new StreamSession();
      synchronized (this) {
        session = next;
      }
      next.open();
      Status end = next.end.get();
      if (!end.isOk()) {
        boolean retryable = Conformance.isRetryable(end);
        Report.status(retryable ? "reconnecting" : "failed", end);
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

  /** Closes the stream between two messages, and holds the process until it has ended. */
  private void stop() {
    if (stopping) {
      return;
    }
    stopping = true;
    Session open;
    synchronized (this) {
      open = session;
    }
    if (open != null) {
      open.close();
    }
    try {
      ended.await();
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** One stream. A StreamObserver of requests takes one call at a time: all is synchronized. */
  private abstract class Session implements StreamObserver<StreamResponse> {
    final CompletableFuture<Status> end = new CompletableFuture<>();
    String streamId = "";

    abstract void open();

    abstract void settle(Settlement settlement);

    abstract void close();

    void settled(Settled settled) {}

    /** Enough was settled: ends as early as nothing gets lost by it. */
    abstract void enough();

    @Override
    public synchronized void onNext(StreamResponse response) {
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
        case SETTLED -> settled(response.getSettled());
        default -> {}
      }
    }

    private void settleAll(Records records) {
      Report.records(records);
      for (Record record : work.inOrder(records)) {
        if (stopping) {
          return;
        }
        settle(work.settlement(record));
        if (work.isEnough()) {
          enough();
        }
      }
    }

    @Override
    public void onError(Throwable error) {
      end.complete(Status.fromThrowable(error));
    }

    @Override
    public void onCompleted() {
      end.complete(Status.OK);
    }
  }

  /** Records by Stream, settlements by Ack. */
  private final class StreamSession extends Session {
    private final AtomicInteger unanswered = new AtomicInteger(1);

    @Override
    void open() {
      consumer.stream(StreamRequest.getDefaultInstance(), this);
    }

    @Override
    void settle(Settlement settlement) {
      unanswered.incrementAndGet();
      ack(AckRequest.newBuilder().addSettlements(settlement), settlement);
    }

    @Override
    synchronized void close() {
      if (!streamId.isEmpty()) {
        ack(AckRequest.newBuilder().setCloseStream(streamId), null);
      }
    }

    /** When everything is answered, the process may end as it is. */
    @Override
    void enough() {
      stopping = true;
      answered();
    }

    private void answered() {
      if (unanswered.decrementAndGet() == 0) {
        end.complete(Status.OK);
      }
    }

    private void ack(AckRequest.Builder request, Settlement settlement) {
      consumer.ack(
          request.build(),
          new StreamObserver<>() {
            @Override
            public void onNext(AckResponse response) {
              if (settlement != null) {
                Report.answered(settlement, response.getRefusedList());
                answered();
              }
            }

            @Override
            public void onError(Throwable error) {
              end.complete(Status.fromThrowable(error));
            }

            @Override
            public void onCompleted() {}
          });
    }
  }

  /** Both inside of one stream. */
  private final class ConsumeSession extends Session {
    private record Unanswered(long requestId, Settlement settlement) {}

    private final Deque<Unanswered> unanswered = new ArrayDeque<>();
    private StreamObserver<ConsumeRequest> requests;
    private long newest;
    private boolean closed;

    @Override
    synchronized void open() {
      requests = consumer.consume(this);
      send(ConsumeRequest.newBuilder().setOpen(Open.getDefaultInstance()));
    }

    @Override
    void settle(Settlement settlement) {
      unanswered.add(new Unanswered(newest + 1, settlement));
      send(ConsumeRequest.newBuilder().setSettle(settlement));
    }

    private void send(ConsumeRequest.Builder request) {
      newest++;
      requests.onNext(request.setRequestId(newest).build());
    }

    @Override
    void settled(Settled settled) {
      while (!unanswered.isEmpty()
          && unanswered.peek().requestId <= settled.getUpToRequestId()) {
        Report.answered(unanswered.remove().settlement, settled.getRefusedList());
      }
    }

    @Override
    synchronized void close() {
      if (!closed && !streamId.isEmpty()) {
        closed = true;
        requests.onCompleted();
      }
    }

    @Override
    void enough() {
      stopping = true;
      close();
    }
  }
}
