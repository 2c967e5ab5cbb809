package dev.ackline.conformance;

import com.google.protobuf.ByteString;
import dev.ackline.v1.Header;
import dev.ackline.v1.IdRange;
import dev.ackline.v1.Opened;
import dev.ackline.v1.Record;
import dev.ackline.v1.Records;
import dev.ackline.v1.Refusal;
import dev.ackline.v1.Settlement;
import dev.ackline.v1.Withdrawn;
import io.grpc.Status;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.stream.Collectors;
import java.util.zip.CRC32;

/** Tells the tests what happens, one JSON object a line. */
final class Report {
  private Report() {}

  static void opened(Opened opened) {
    say("opened", "\"stream\":" + quoted(opened.getStreamId()));
  }

  static void records(Records records) {
    for (Record record : records.getRecordsList()) {
      say(
          "record",
          "\"id\":" + record.getId(),
          "\"topic\":" + quoted(records.getTopic()),
          "\"partition\":" + records.getPartition(),
          "\"assignment\":" + records.getAssignment(),
          "\"offset\":" + record.getOffset(),
          "\"timestamp_ms\":" + record.getTimestampMs(),
          "\"attempt\":" + record.getAttempt(),
          "\"key_size\":" + (record.hasKey() ? record.getKey().size() : "null"),
          "\"value_size\":" + (record.hasValue() ? record.getValue().size() : "null"),
          "\"digest\":" + digest(record));
    }
  }

  static void withdrawn(Withdrawn withdrawn) {
    String ranges =
        withdrawn.getDeliveries().getRangesList().stream()
            .map(ids -> "[" + ids.getFirst() + "," + ids.getLast() + "]")
            .collect(Collectors.joining(",", "[", "]"));
    say("withdrawn", "\"ranges\":" + ranges, "\"reason\":" + quoted(withdrawn.getReason().name()));
  }

  /** How one delivery's settlement was answered; {@code refused} is what was said of any. */
  static void answered(Settlement settlement, List<Refusal> refused) {
    long id = settlement.getDeliveries().getIds(0);
    String about = "\"id\":" + id;
    String outcome = "\"outcome\":" + quoted(settlement.getOutcome().name());
    for (Refusal refusal : refused) {
      for (IdRange ids : refusal.getDeliveries().getRangesList()) {
        if (ids.getFirst() <= id && id <= ids.getLast()) {
          say("refused", about, outcome, "\"reason\":" + quoted(refusal.getReason().name()));
          return;
        }
      }
    }
    say("accepted", about, outcome);
  }

  static void status(String event, Status status) {
    String message = String.valueOf(status.getDescription());
    say(event, "\"code\":" + status.getCode().value(), "\"message\":" + quoted(message));
  }

  static synchronized void say(String event, String... fields) {
    StringBuilder line = new StringBuilder("{\"worker\":0,\"event\":").append(quoted(event));
    for (String field : fields) {
      line.append(',').append(field);
    }
    System.out.println(line.append('}'));
  }

  private static String quoted(String text) {
    StringBuilder quoted = new StringBuilder("\"");
    text.chars()
        .forEach(
            character -> {
              if (character < 0x20 || character == '"' || character == '\\') {
                quoted.append(String.format("\\u%04x", character));
              } else {
                quoted.append((char) character);
              }
            });
    return quoted.append('"').toString();
  }

  /** CRC-32 of the whole record. Null differs from empty, and no field runs into the next. */
  private static long digest(Record record) {
    CRC32 crc = new CRC32();
    add(crc, record.hasKey() ? 1 : 0, record.getKey());
    add(crc, record.hasValue() ? 1 : 0, record.getValue());
    for (Header header : record.getHeadersList()) {
      if (header.getRawName().isEmpty()) {
        add(crc, 2, header.getNameBytes());
      } else {
        add(crc, 3, header.getRawName());
      }
      add(crc, header.hasValue() ? 1 : 0, header.getValue());
    }
    return crc.getValue();
  }

  private static void add(CRC32 crc, int kind, ByteString content) {
    crc.update(ByteBuffer.allocate(5).put((byte) kind).putInt(content.size()).flip());
    crc.update(content.asReadOnlyByteBuffer());
  }
}
