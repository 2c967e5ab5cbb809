/** The conformance application in TypeScript. Its command line and its report are those of tests/clients/README.md. */

import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { credentials, Metadata, status, type ServiceError } from "@grpc/grpc-js";
import {
  AckRequest,
  AckResponse,
  ConsumeRequest,
  ConsumerServiceClient,
  StreamRequest,
  type Settled,
  type Settlement,
  type StreamResponse,
} from "../gen/ackline/v1/consumer.js";
import { reportAnswer, reportRecords, reportStatus, reportWithdrawn, say } from "./report.js";
import * as work from "./work.js";

const RECONNECT_MS = 100;

const consumer = new ConsumerServiceClient(process.env.ACKLINE_TARGET!, credentials.createInsecure());
const ack = promisify<AckRequest, Metadata, AckResponse>(consumer.ack.bind(consumer));
const metadata = new Metadata();
if (process.env.ACKLINE_TOKEN) metadata.set("authorization", `Bearer ${process.env.ACKLINE_TOKEN}`);

interface Door {
  responses: AsyncIterable<StreamResponse>;
  opened(streamId: string): void;
  settle(settlement: Settlement): Promise<void>;
  settled(settled: Settled): void;
  close(): Promise<void>;
}

/** Records by Stream, settlements by Ack. */
class StreamDoor implements Door {
  readonly responses = consumer.stream(StreamRequest.fromPartial({}), metadata);
  private streamId = "";

  opened(streamId: string): void {
    this.streamId = streamId;
  }

  async settle(settlement: Settlement): Promise<void> {
    const response = await ack(AckRequest.fromPartial({ settlements: [settlement] }), metadata);
    reportAnswer(settlement, response.refused);
  }

  settled(): void {}

  async close(): Promise<void> {
    await ack(AckRequest.fromPartial({ closeStream: this.streamId }), metadata);
  }
}

/** Both inside of one stream. */
class ConsumeDoor implements Door {
  readonly responses = consumer.consume(metadata);
  private newest = 0;
  private readonly unanswered = new Map<number, Settlement>();

  constructor() {
    this.send({ $case: "open", value: { topics: [], notices: [], client: "" } });
  }

  opened(): void {}

  async settle(settlement: Settlement): Promise<void> {
    this.unanswered.set(this.newest + 1, settlement);
    this.send({ $case: "settle", value: settlement });
  }

  settled({ upToRequestId, refused }: Settled): void {
    for (const [requestId, settlement] of this.unanswered) {
      if (requestId > upToRequestId) return;
      this.unanswered.delete(requestId);
      reportAnswer(settlement, refused);
    }
  }

  async close(): Promise<void> {
    this.responses.end();
  }

  private send(request: ConsumeRequest["request"]): void {
    this.newest++;
    this.responses.write({ requestId: this.newest, request });
  }
}

let stopping = false;
let door: Door | undefined;
/** The message that is being worked on; a stream is closed between two messages. */
let working = Promise.resolve();

async function main(): Promise<number> {
  process.once("SIGTERM", stopWhenTold);
  process.once("SIGINT", stopWhenTold);
  while (!stopping) {
    try {
      await read(work.door === "consume" ? new ConsumeDoor() : new StreamDoor());
    } catch (error) {
      const { code } = error as ServiceError;
      if (code === undefined) throw error;
      if (code !== status.UNAVAILABLE && code !== status.UNKNOWN) {
        reportStatus("failed", error as ServiceError);
        return 1;
      }
      reportStatus("reconnecting", error as ServiceError);
      await sleep(RECONNECT_MS);
    }
  }
  say("ended");
  return 0;
}

async function read(door: Door): Promise<void> {
  for await (const { response } of door.responses) {
    working = take(door, response);
    await working;
    if (work.isEnough() && !stopping) {
      stopping = true;
      // With Stream everything is answered already, so the process may end as it is.
      if (door instanceof StreamDoor) return;
      await door.close();
    }
  }
}

async function take(of: Door, response: StreamResponse["response"]): Promise<void> {
  switch (response?.$case) {
    case "opened":
      say("opened", { stream: response.value.streamId });
      of.opened(response.value.streamId);
      door = of;
      if (stopping) await of.close();
      break;
    case "records":
      reportRecords(response.value);
      for (const settlement of work.settlements(response.value)) {
        if (stopping) return;
        await of.settle(settlement);
      }
      break;
    case "withdrawn":
      reportWithdrawn(response.value);
      break;
    case "settled":
      of.settled(response.value);
  }
}

async function stopWhenTold(): Promise<void> {
  stopping = true;
  try {
    await working;
    await door?.close();
  } catch (error) {
    reportStatus("reconnecting", error as ServiceError);
  }
}

process.exit(await main());
