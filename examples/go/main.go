// Prints records and acknowledges them, one message at a time, until SIGTERM or Ctrl-C.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"example.com/consumer/acklinev1"
)

func main() {
	told, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	target := cmp.Or(os.Getenv("ACKLINE_TARGET"), "unix:/run/ackline/ackline.sock")
	connection, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	consumer := acklinev1.NewConsumerServiceClient(connection)
	for told.Err() == nil {
		if err := consume(told, consumer); err != nil && !isAway(err) {
			log.Fatal(err)
		}
		select {
		case <-told.Done():
		case <-time.After(time.Second):
		}
	}
}

// isAway tells whether the sidecar ends, or the connection broke: reason to open the stream again.
func isAway(err error) bool {
	return status.Code(err) == codes.Unavailable || status.Code(err) == codes.Unknown
}

func work(topic string, partition int32, record *acklinev1.Record) {
	fmt.Printf("%s %d %d %q\n", topic, partition, record.Offset, record.Value)
}

// consume reads one stream to its end, or closes it between two messages when told.
func consume(told context.Context, consumer acklinev1.ConsumerServiceClient) error {
	ctx, cancel := context.WithCancel(context.Background()) // not told, which would break off an Ack
	defer cancel()
	stream, err := consumer.Stream(ctx, &acklinev1.StreamRequest{})
	if err != nil {
		return err
	}
	responses, ended := make(chan *acklinev1.StreamResponse), make(chan error, 1)
	go func() { ended <- receive(ctx, stream, responses) }()
	streamID := ""
	for {
		select {
		case err := <-ended:
			return err
		case <-told.Done():
			_, err := consumer.Ack(ctx, &acklinev1.AckRequest{CloseStream: streamID})
			return err
		case response := <-responses:
			if opened := response.GetOpened(); opened != nil {
				streamID = opened.StreamId
			}
			if err := workOff(ctx, consumer, response.GetRecords()); err != nil {
				return err
			}
		}
	}
}

func receive(ctx context.Context, stream acklinev1.ConsumerService_StreamClient, to chan<- *acklinev1.StreamResponse) error {
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		select {
		case to <- response:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func workOff(ctx context.Context, consumer acklinev1.ConsumerServiceClient, records *acklinev1.Records) error {
	if records == nil {
		return nil
	}
	deliveries := &acklinev1.Ids{}
	for _, record := range records.Records {
		work(records.Topic, records.Partition, record)
		deliveries.Ids = append(deliveries.Ids, record.Id)
	}
	done := &acklinev1.Settlement{Deliveries: deliveries, Outcome: acklinev1.Outcome_OUTCOME_ACK}
	_, err := consumer.Ack(ctx, &acklinev1.AckRequest{Settlements: []*acklinev1.Settlement{done}})
	return err
}
