/** What is done with records, as the command line wants it. */

import { parseArgs } from "node:util";
import { Outcome, Settlement, type Record, type Records } from "../gen/ackline/v1/consumer.js";

const { values } = parseArgs({
  options: {
    door: { type: "string", default: "stream" },
    order: { type: "string", default: "arrival" },
    "retry-every": { type: "string", default: "0" },
    "retry-delay-ms": { type: "string", default: "0" },
    "busy-ms": { type: "string", default: "0" },
    "stop-after": { type: "string", default: "0" },
  },
});

export const door = values.door;
const reversed = values.order === "reversed";
const retryEvery = Number(values["retry-every"]);
const retryDelayMs = Number(values["retry-delay-ms"]);
const stopAfter = Number(values["stop-after"]);
let busyMs = Number(values["busy-ms"]);
let settled = 0;

/** Those of a message, one delivery each. */
export function* settlements(records: Records): Generator<Settlement> {
  const list = reversed ? records.records.toReversed() : records.records;
  for (const record of list) {
    if (isEnough()) return;
    hold(busyMs);
    busyMs = 0;
    settled++;
    yield settlement(record);
  }
}

export function isEnough(): boolean {
  return stopAfter > 0 && settled >= stopAfter;
}

function settlement(record: Record): Settlement {
  const deliveries = { ids: [record.id] };
  if (retryEvery > 0 && record.offset % retryEvery === 0 && record.attempt === 1) {
    const seconds = Math.floor(retryDelayMs / 1000);
    const retryDelay = { seconds, nanos: (retryDelayMs % 1000) * 1_000_000 };
    return Settlement.fromPartial({ deliveries, outcome: Outcome.OUTCOME_RETRY, retryDelay });
  }
  return Settlement.fromPartial({ deliveries, outcome: Outcome.OUTCOME_ACK });
}

/** Holds the event loop for so long, as a computation would, but leaves the CPU to the other applications. */
function hold(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}
