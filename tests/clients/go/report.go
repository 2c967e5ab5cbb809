package main

import (
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"log"
	"os"
	"sync"

	"google.golang.org/grpc/status"

	"example.com/consumer/acklinev1"
)

// event is one line for the tests.
type event map[string]any

var reporting sync.Mutex

func report(event event) {
	event["worker"] = 0
	line, err := json.Marshal(event)
	if err != nil {
		log.Fatal(err)
	}
	reporting.Lock()
	defer reporting.Unlock()
	if _, err := os.Stdout.Write(append(line, '\n')); err != nil {
		log.Fatal(err)
	}
}

func reportRecords(records *acklinev1.Records) {
	for _, record := range records.Records {
		report(event{
			"event":        "record",
			"id":           record.Id,
			"topic":        records.Topic,
			"partition":    records.Partition,
			"assignment":   records.Assignment,
			"offset":       record.Offset,
			"timestamp_ms": record.TimestampMs,
			"attempt":      record.Attempt,
			"key_size":     size(record.Key),
			"value_size":   size(record.Value),
			"digest":       digest(record),
		})
	}
}

func reportWithdrawn(withdrawn *acklinev1.Withdrawn) {
	ranges := [][2]uint64{}
	for _, ids := range withdrawn.Deliveries.Ranges {
		ranges = append(ranges, [2]uint64{ids.First, ids.Last})
	}
	report(event{"event": "withdrawn", "ranges": ranges, "reason": withdrawn.Reason.String()})
}

// reportAnswer tells how the settlement of one delivery was answered; refused is what the answer says about any.
func reportAnswer(settlement *acklinev1.Settlement, refused []*acklinev1.Refusal) {
	id, outcome := settlement.Deliveries.Ids[0], settlement.Outcome.String()
	for _, refusal := range refused {
		for _, ids := range refusal.Deliveries.Ranges {
			if ids.First <= id && id <= ids.Last {
				report(event{"event": "refused", "id": id, "outcome": outcome, "reason": refusal.Reason.String()})
				return
			}
		}
	}
	report(event{"event": "accepted", "id": id, "outcome": outcome})
}

func reportStatus(name string, err error) {
	report(event{"event": name, "code": uint32(status.Code(err)), "message": status.Convert(err).Message()})
}

// size of a field, nil if it is null.
func size(content []byte) any {
	if content == nil {
		return nil
	}
	return len(content)
}

// digest is the CRC-32 of everything in the record. Null differs from empty, and no field runs into the next.
func digest(record *acklinev1.Record) uint32 {
	crc := crc32.NewIEEE()
	add := func(kind byte, content []byte) {
		_ = binary.Write(crc, binary.BigEndian, kind)
		_ = binary.Write(crc, binary.BigEndian, uint32(len(content)))
		_, _ = crc.Write(content)
	}
	optional := func(content []byte) {
		if content == nil {
			add(0, nil)
		} else {
			add(1, content)
		}
	}
	optional(record.Key)
	optional(record.Value)
	for _, header := range record.Headers {
		if len(header.RawName) > 0 {
			add(3, header.RawName)
		} else {
			add(2, []byte(header.Name))
		}
		optional(header.Value)
	}
	return crc.Sum32()
}
