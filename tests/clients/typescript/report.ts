/** Tells the tests what happens, one JSON object a line. */

import { crc32 } from "node:zlib";
import { writeSync } from "node:fs";
import type { ServiceError } from "@grpc/grpc-js";
import {
  Outcome,
  RefusalReason,
  WithdrawReason,
  type Record,
  type Records,
  type Refusal,
  type Settlement,
  type Withdrawn,
} from "../gen/ackline/v1/consumer.js";

export function say(event: string, fields: object = {}): void {
  writeAll(Buffer.from(JSON.stringify({ event, worker: 0, ...fields }) + "\n"));
}

/** At once, so that nothing is left behind when the process ends. A pipe that is full says EAGAIN. */
function writeAll(line: Buffer): void {
  while (line.length > 0) {
    try {
      line = line.subarray(writeSync(1, line));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
    }
  }
}

export function reportRecords(records: Records): void {
  for (const record of records.records) {
    say("record", {
      id: record.id,
      topic: records.topic,
      partition: records.partition,
      assignment: records.assignment,
      offset: record.offset,
      timestamp_ms: record.timestampMs,
      attempt: record.attempt,
      key_size: record.key?.length ?? null,
      value_size: record.value?.length ?? null,
      digest: digest(record),
    });
  }
}

export function reportWithdrawn(withdrawn: Withdrawn): void {
  const ranges = withdrawn.deliveries?.ranges.map(({ first, last }) => [first, last]);
  say("withdrawn", { ranges, reason: WithdrawReason[withdrawn.reason] });
}

/** How the settlement of one delivery was answered; `refused` is what the answer says about any. */
export function reportAnswer(settlement: Settlement, refused: Refusal[]): void {
  const id = settlement.deliveries!.ids[0];
  const outcome = Outcome[settlement.outcome];
  const mine = refused.find(({ deliveries }) =>
    deliveries?.ranges.some(({ first, last }) => first <= id && id <= last),
  );
  if (mine) say("refused", { id, outcome, reason: RefusalReason[mine.reason] });
  else say("accepted", { id, outcome });
}

export function reportStatus(event: string, error: ServiceError): void {
  say(event, { code: error.code, message: error.details });
}

/** CRC-32 of everything in the record. Null differs from empty, and no field runs into the next. */
function digest(record: Record): number {
  let crc = 0;
  const add = (kind: number, content: Buffer): void => {
    const head = Buffer.alloc(5);
    head.writeUInt8(kind, 0);
    head.writeUInt32BE(content.length, 1);
    crc = crc32(content, crc32(head, crc));
  };
  const optional = (content: Buffer | undefined): void => (content ? add(1, content) : add(0, Buffer.alloc(0)));
  optional(record.key);
  optional(record.value);
  for (const header of record.headers) {
    if (header.rawName.length > 0) add(3, header.rawName);
    else add(2, Buffer.from(header.name));
    optional(header.value);
  }
  return crc;
}
