package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"example.com/consumer/acklinev1"
)

// The consumer works off what `ackline fake` delivers in Kafka's place: all of it, although its streams end and
// its partition is lost.
func TestEverythingIsSettled(t *testing.T) {
	lines := []string{
		`{"do": "close_streams", "after_delivered": 5}`,
		`{"do": "lose", "partition": 0, "after_delivered": 12}`,
	}
	for number := range 30 {
		lines = append(lines, fmt.Sprintf(`{"key": "%d", "value": "%d"}`, number%3, number))
	}
	directory := t.TempDir()
	records := filepath.Join(directory, "records.jsonl")
	if err := os.WriteFile(records, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	target := "unix:" + filepath.Join(directory, "ackline.sock")
	fake := exec.Command(cmp.Or(os.Getenv("ACKLINE"), "ackline"), "fake",
		"--records", records, "--listen", target, "--until-settled", "--timeout", "60s")
	fake.Stderr = os.Stderr // its summary
	if err := fake.Start(); err != nil {
		t.Fatal(err)
	}
	connection, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	told, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		for told.Err() == nil {
			if err := consume(told, acklinev1.NewConsumerServiceClient(connection)); err != nil && !isAway(err) {
				t.Error(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
	if err := fake.Wait(); err != nil {
		t.Fatal("not everything was settled: ", err)
	}
}
