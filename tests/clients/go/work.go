package main

import (
	"flag"
	"iter"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/consumer/acklinev1"
)

// work is what is done with records, as the command line wants it.
type work struct {
	order      string
	retryEvery int64
	retryDelay int64
	busy       int
	stopAfter  int
	settled    int
}

func (w *work) flags() {
	flag.StringVar(&w.order, "order", "arrival", "in which order the records of a message are settled: arrival or reversed")
	flag.Int64Var(&w.retryEvery, "retry-every", 0, "records whose offset it divides fail at their first attempt")
	flag.Int64Var(&w.retryDelay, "retry-delay-ms", 0, "when a failed record is to come again")
	flag.IntVar(&w.busy, "busy-ms", 0, "how long to hold the goroutine with the first record")
	flag.IntVar(&w.stopAfter, "stop-after", 0, "how many records to settle before ending")
}

// settlements yields those of a message, one delivery each.
func (w *work) settlements(records *acklinev1.Records) iter.Seq[*acklinev1.Settlement] {
	list := slices.Clone(records.Records)
	if w.order == "reversed" {
		slices.Reverse(list)
	}
	return func(yield func(*acklinev1.Settlement) bool) {
		for _, record := range list {
			if w.isEnough() {
				return
			}
			hold(time.Duration(w.busy) * time.Millisecond)
			w.busy = 0
			w.settled++
			if !yield(w.settlement(record)) {
				return
			}
		}
	}
}

func (w *work) settlement(record *acklinev1.Record) *acklinev1.Settlement {
	settlement := &acklinev1.Settlement{
		Deliveries: &acklinev1.Ids{Ids: []uint64{record.Id}},
		Outcome:    acklinev1.Outcome_OUTCOME_ACK,
	}
	if w.retryEvery > 0 && record.Offset%w.retryEvery == 0 && record.Attempt == 1 {
		settlement.Outcome = acklinev1.Outcome_OUTCOME_RETRY
		settlement.RetryDelay = durationpb.New(time.Duration(w.retryDelay) * time.Millisecond)
	}
	return settlement
}

func (w *work) isEnough() bool {
	return w.stopAfter > 0 && w.settled >= w.stopAfter
}

// hold keeps the goroutine for so long, as a computation would, but leaves the CPU to the other applications.
func hold(duration time.Duration) {
	time.Sleep(duration)
}
