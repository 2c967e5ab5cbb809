/** Prints records and acknowledges them, one message at a time, until SIGTERM or Ctrl-C. */

import { setTimeout as sleep } from "node:timers/promises";
import { credentials, status, type ServiceError } from "@grpc/grpc-js";
import {
  AckRequest,
  AckResponse,
  ConsumerServiceClient,
  Outcome,
  Settlement,
  StreamRequest,
  type Record,
  type StreamResponse,
} from "./gen/ackline/v1/consumer.js";

const AWAY = [status.UNAVAILABLE, status.UNKNOWN]; // the sidecar ends, or the connection broke
const target = process.env.ACKLINE_TARGET ?? "unix:/run/ackline/ackline.sock";
const consumer = new ConsumerServiceClient(target, credentials.createInsecure());
let stopping = false;
let streamId = "";
let working = Promise.resolve(); // the message in hand: the stream is closed between two of them

function work(topic: string, partition: number, record: Record): void {
  console.log(topic, partition, record.offset, record.value?.toString());
}

function ack(request: Partial<AckRequest>): Promise<AckResponse> {
  return new Promise((resolve, reject) =>
    consumer.ack(AckRequest.fromPartial(request), (error, response) => (error ? reject(error) : resolve(response))),
  );
}

async function take(response: StreamResponse["response"]): Promise<void> {
  if (response?.$case === "opened") streamId = response.value.streamId;
  if (response?.$case !== "records") return;
  const { topic, partition, records } = response.value;
  for (const record of records) work(topic, partition, record);
  const deliveries = { ids: records.map(({ id }) => id) };
  await ack({ settlements: [Settlement.fromPartial({ deliveries, outcome: Outcome.OUTCOME_ACK })] });
}

async function consume(): Promise<void> {
  for await (const { response } of consumer.stream(StreamRequest.fromPartial({}))) {
    if (stopping) return; // what was not worked on goes to somebody else
    await (working = take(response));
  }
}

async function stop(): Promise<void> {
  stopping = true;
  await working;
  await ack({ closeStream: streamId });
}

// A call that fails because the sidecar is gone fails for consume as well.
for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => void stop().catch(() => {}));

while (!stopping) {
  try {
    await consume();
  } catch (error) {
    if (!AWAY.includes((error as ServiceError).code)) throw error;
    await sleep(1000);
  }
}
consumer.close();
