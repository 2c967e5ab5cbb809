// The conformance application in Go. Its command line and its report are those of tests/clients/README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"example.com/consumer/acklinev1"
)

const reconnectAfter = 100 * time.Millisecond

func main() {
	door := flag.String("door", "stream", "where settlements go: stream or consume")
	var work work
	work.flags()
	flag.Parse()
	target := os.Getenv("ACKLINE_TARGET")
	connection, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatalf("cannot use the target %q: %v", target, err)
	}
	told, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	application := &application{
		consumer: acklinev1.NewConsumerServiceClient(connection),
		door:     *door,
		work:     &work,
		told:     told,
		stop:     stop,
		forget:   func() bool { return true },
	}
	os.Exit(application.run())
}

// application reads, works and settles in one goroutine; another one closes the stream when the signal comes.
type application struct {
	consumer acklinev1.ConsumerServiceClient
	door     string
	work     *work
	// told is done once the application is to stop, by the signal or by stop.
	told context.Context
	stop context.CancelFunc
	// forget takes back that the open stream is closed once told is done.
	forget func() bool
	// working is held while a message is worked on, so that a stream is closed between two messages.
	working sync.Mutex
}

// door is a way to read records and settle them.
type door interface {
	Recv() (*acklinev1.StreamResponse, error)
	opened(streamID string)
	settle(settlement *acklinev1.Settlement) error
	settled(settled *acklinev1.Settled)
	close() error
}

func (a *application) run() int {
	ctx := context.Background()
	if token := os.Getenv("ACKLINE_TOKEN"); token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	for a.told.Err() == nil {
		err := a.session(ctx)
		if err == nil {
			continue
		}
		if code := status.Code(err); code != codes.Unavailable && code != codes.Unknown {
			reportStatus("failed", err)
			return 1
		}
		reportStatus("reconnecting", err)
		select {
		case <-a.told.Done():
		case <-time.After(reconnectAfter):
		}
	}
	report(event{"event": "ended"})
	return 0
}

// session reads one stream to its end.
func (a *application) session(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() { a.forget() }()
	door, err := a.open(ctx)
	if err != nil {
		return err
	}
	for {
		response, err := door.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := a.take(door, response); err != nil {
			return err
		}
		if a.work.isEnough() && a.told.Err() == nil {
			// With Stream everything is answered already, so the process may end as it is.
			if a.door == "stream" {
				a.forget()
				a.stop()
				return nil
			}
			a.stop()
		}
	}
}

func (a *application) open(ctx context.Context) (door, error) {
	if a.door == "consume" {
		return openConsume(ctx, a.consumer)
	}
	return openStream(ctx, a.consumer)
}

func (a *application) take(door door, response *acklinev1.StreamResponse) error {
	a.working.Lock()
	defer a.working.Unlock()
	switch response := response.Response.(type) {
	case *acklinev1.StreamResponse_Opened:
		report(event{"event": "opened", "stream": response.Opened.StreamId})
		door.opened(response.Opened.StreamId)
		a.forget = context.AfterFunc(a.told, func() { a.close(door) })
	case *acklinev1.StreamResponse_Records:
		reportRecords(response.Records)
		return a.settleAll(door, response.Records)
	case *acklinev1.StreamResponse_Withdrawn:
		reportWithdrawn(response.Withdrawn)
	case *acklinev1.StreamResponse_Settled:
		door.settled(response.Settled)
	}
	return nil
}

func (a *application) settleAll(door door, records *acklinev1.Records) error {
	for settlement := range a.work.settlements(records) {
		if a.told.Err() != nil {
			return nil
		}
		if err := door.settle(settlement); err != nil {
			return err
		}
	}
	return nil
}

func (a *application) close(door door) {
	a.working.Lock()
	defer a.working.Unlock()
	if err := door.close(); err != nil {
		reportStatus("reconnecting", err)
	}
}

// streamDoor reads records by Stream and settles them by Ack.
type streamDoor struct {
	grpc.ServerStreamingClient[acklinev1.StreamResponse]
	consumer acklinev1.ConsumerServiceClient
	streamID string
}

func openStream(ctx context.Context, consumer acklinev1.ConsumerServiceClient) (door, error) {
	responses, err := consumer.Stream(ctx, &acklinev1.StreamRequest{})
	if err != nil {
		return nil, err
	}
	return &streamDoor{ServerStreamingClient: responses, consumer: consumer}, nil
}

func (d *streamDoor) opened(streamID string)       { d.streamID = streamID }
func (d *streamDoor) settled(_ *acklinev1.Settled) {}

func (d *streamDoor) settle(settlement *acklinev1.Settlement) error {
	request := &acklinev1.AckRequest{Settlements: []*acklinev1.Settlement{settlement}}
	answer, err := d.consumer.Ack(d.Context(), request)
	if err != nil {
		return err
	}
	reportAnswer(settlement, answer.Refused)
	return nil
}

func (d *streamDoor) close() error {
	_, err := d.consumer.Ack(d.Context(), &acklinev1.AckRequest{CloseStream: d.streamID})
	return err
}

// consumeDoor does both inside of one stream. Send is only called under application.working: it must not be called by
// two goroutines at once.
type consumeDoor struct {
	grpc.BidiStreamingClient[acklinev1.ConsumeRequest, acklinev1.StreamResponse]
	unanswered []unanswered
	newest     uint64
}

type unanswered struct {
	requestID  uint64
	settlement *acklinev1.Settlement
}

func openConsume(ctx context.Context, consumer acklinev1.ConsumerServiceClient) (door, error) {
	stream, err := consumer.Consume(ctx)
	if err != nil {
		return nil, err
	}
	door := &consumeDoor{BidiStreamingClient: stream}
	return door, door.send(&acklinev1.ConsumeRequest{Request: &acklinev1.ConsumeRequest_Open{Open: &acklinev1.Open{}}})
}

func (d *consumeDoor) opened(string) {}

func (d *consumeDoor) settle(settlement *acklinev1.Settlement) error {
	d.unanswered = append(d.unanswered, unanswered{d.newest + 1, settlement})
	return d.send(&acklinev1.ConsumeRequest{Request: &acklinev1.ConsumeRequest_Settle{Settle: settlement}})
}

func (d *consumeDoor) send(request *acklinev1.ConsumeRequest) error {
	d.newest++
	request.RequestId = d.newest
	if err := d.Send(request); !errors.Is(err, io.EOF) {
		return err
	}
	return nil // The stream has ended. Recv tells how.
}

func (d *consumeDoor) settled(settled *acklinev1.Settled) {
	for len(d.unanswered) > 0 && d.unanswered[0].requestID <= settled.UpToRequestId {
		reportAnswer(d.unanswered[0].settlement, settled.Refused)
		d.unanswered = d.unanswered[1:]
	}
}

func (d *consumeDoor) close() error { return d.CloseSend() }
