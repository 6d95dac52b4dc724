package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The harness kills the broker with SIGKILL at `KILL ME`, and starts it again on the same data.
func franzKilled(ctx context.Context) {
	topic, group := franzTopic(ctx, 2), unique("group")
	member := franz(kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(200*time.Millisecond))
	values := make(chan string, 10_000)
	polling, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for polling.Err() == nil {
			// What fails while there is no broker is read, or committed, again.
			fetches := member.PollFetches(polling)
			fetches.EachRecord(func(record *kgo.Record) { values <- string(record.Value) })
			if !fetches.Empty() {
				_ = member.CommitUncommittedOffsets(polling)
			}
		}
	}()
	producer := franz(kgo.DefaultProduceTopic(topic))
	for at, value := range numbered("v", 300) {
		// Others are under way when the broker dies.
		producer.Produce(ctx, kgo.KeyStringRecord(value, value), func(_ *kgo.Record, err error) { must(err) })
		if at%10 == 9 && at != 199 {
			must(producer.Flush(ctx))
		}
		if at == 199 {
			fmt.Println("KILL ME")
		}
	}
	must(producer.Flush(ctx))
	producer.Close()
	ok("a producer goes on")

	seen := map[string]bool{}
	for len(seen) < 300 {
		select {
		case value := <-values:
			seen[value] = true
		case <-ctx.Done():
			check(false, "records of the member in time: %d of 300", len(seen))
		}
	}
	until(func() bool {
		client := franz()
		defer client.Close()
		committed := int64(0)
		for _, offset := range got(kadm.NewClient(client).FetchOffsets(ctx, group))[topic] {
			committed += offset.At
		}
		return committed == 300
	}, "the commit of everything")
	stop()
	<-done
	member.Close()
	ok("a member of a group goes on")

	reader := franz(kgo.ConsumeTopics(topic))
	defer reader.Close()
	read := take(ctx, reader, 300)
	last := map[int32]string{}
	for _, record := range read {
		check(string(record.Value) > last[record.Partition], "%s comes behind %s", record.Value, last[record.Partition])
		last[record.Partition] = string(record.Value)
	}
	ok("each record is there once and in order")
}
