package dev.ackline.conformance;

import com.google.protobuf.Duration;
import dev.ackline.v1.Ids;
import dev.ackline.v1.Outcome;
import dev.ackline.v1.Record;
import dev.ackline.v1.Records;
import dev.ackline.v1.Settlement;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;

/** What is done with records, as the command line wants it. */
final class Work {
  private final boolean reversed;
  private final long retryEvery;
  private final long retryDelayMs;
  private final int stopAfter;
  private long busyMs;
  private int settled;

  Work(Map<String, String> options) {
    reversed = options.getOrDefault("--order", "arrival").equals("reversed");
    retryEvery = Long.parseLong(options.getOrDefault("--retry-every", "0"));
    retryDelayMs = Long.parseLong(options.getOrDefault("--retry-delay-ms", "0"));
    stopAfter = Integer.parseInt(options.getOrDefault("--stop-after", "0"));
    busyMs = Long.parseLong(options.getOrDefault("--busy-ms", "0"));
  }

  /** The records of a message, in the order in which they are to be settled. */
  List<Record> inOrder(Records records) {
    List<Record> list = new ArrayList<>(records.getRecordsList());
    if (reversed) {
      Collections.reverse(list);
    }
    return list;
  }

  /** Works on a record, and says how its delivery ended. */
  Settlement settlement(Record record) {
    hold();
    settled++;
    Settlement.Builder settlement =
        Settlement.newBuilder().setDeliveries(Ids.newBuilder().addIds(record.getId()));
    if (retryEvery > 0 && record.getOffset() % retryEvery == 0 && record.getAttempt() == 1) {
      return settlement
          .setOutcome(Outcome.OUTCOME_RETRY)
          .setRetryDelay(duration(retryDelayMs))
          .build();
    }
    return settlement.setOutcome(Outcome.OUTCOME_ACK).build();
  }

  boolean isEnough() {
    return stopAfter > 0 && settled >= stopAfter;
  }

  private static Duration duration(long millis) {
    return Duration.newBuilder()
        .setSeconds(millis / 1000)
        .setNanos((int) (millis % 1000) * 1_000_000)
        .build();
  }

  /** Holds the thread for as long as the options want, once, but leaves the CPU to the other applications. */
  private void hold() {
    long until = System.nanoTime() + busyMs * 1_000_000;
    for (long left = busyMs * 1_000_000; left > 0; left = until - System.nanoTime()) {
      LockSupport.parkNanos(left);
    }
    busyMs = 0;
  }
}
