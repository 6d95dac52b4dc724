package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func franzClassic(ctx context.Context) {
	for name, balancer := range map[string]kgo.GroupBalancer{
		"cooperative-sticky": kgo.CooperativeStickyBalancer(),
		"sticky":             kgo.StickyBalancer(),
		"range":              kgo.RangeBalancer(),
		"roundrobin":         kgo.RoundRobinBalancer(),
	} {
		franzGroup(ctx, name, kgo.Balancers(balancer), kgo.HeartbeatInterval(200*time.Millisecond))
	}
	franzStatic(ctx)
}

func franzNext(ctx context.Context) {
	franzGroup(ctx, "the broker's uniform", kgo.Balancers(kgo.StickyBalancer()), kgo.ServerSideBalancer())
	franzGroup(ctx, "the broker's range", kgo.Balancers(kgo.RangeBalancer()), kgo.ServerSideBalancer())
}

// member is one of a group; its polls go to one channel, its assignment is what it was told.
type member struct {
	client *kgo.Client
	stop   context.CancelFunc
	done   chan struct{}
}

func startMember(ctx context.Context, records chan<- *kgo.Record, options ...kgo.Opt) *member {
	client := franz(append([]kgo.Opt{
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.SessionTimeout(10 * time.Second),
	}, options...)...)
	ctx, stop := context.WithCancel(ctx)
	m := &member{client, stop, make(chan struct{})}
	go func() {
		defer close(m.done)
		for {
			fetches := client.PollFetches(ctx)
			if ctx.Err() != nil {
				return
			}
			must(fetches.Err())
			for _, record := range fetches.Records() {
				records <- record
			}
			if !fetches.Empty() {
				must(client.CommitUncommittedOffsets(context.Background()))
			}
		}
	}()
	return m
}

// leave ends the polling, and then the membership.
func (m *member) leave() {
	m.stop()
	<-m.done
	m.client.Close()
}

// share gives how many partitions each member has.
func partitionsOf(ctx context.Context, group string, next bool) []int {
	client := franz()
	defer client.Close()
	admin := kadm.NewClient(client)
	counts := []int{}
	if next {
		described := got(admin.DescribeConsumerGroups(ctx, group))[group]
		must(described.Err)
		for _, one := range described.Members {
			count := 0
			for _, partitions := range one.Assignment {
				count += len(partitions)
			}
			counts = append(counts, count)
		}
	} else {
		described := got(admin.DescribeGroups(ctx, group))[group]
		must(described.Err)
		if described.State != "Stable" {
			return nil
		}
		for _, one := range described.Members {
			assignment, is := one.Assigned.AsConsumer()
			check(is, "the assignment is a consumer's")
			count := 0
			for _, topic := range assignment.Topics {
				count += len(topic.Partitions)
			}
			counts = append(counts, count)
		}
	}
	slices.Sort(counts)
	return counts
}

func collect(records <-chan *kgo.Record, count int, what string) []string {
	values := []string{}
	deadline := time.After(patience)
	for len(values) < count {
		select {
		case record := <-records:
			values = append(values, string(record.Value))
		case <-deadline:
			check(false, "%s in time: %d of %d", what, len(values), count)
		}
	}
	slices.Sort(values)
	return values
}

func franzGroup(ctx context.Context, name string, options ...kgo.Opt) {
	topic, group := franzTopic(ctx, 4), unique("group")
	next := strings.HasPrefix(name, "the broker")
	if next {
		admin := franz()
		configureGroup(ctx, admin, group, map[string]string{"consumer.heartbeat.interval.ms": "200"})
		admin.Close()
	}
	options = append(options, kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group))
	records := make(chan *kgo.Record, 1000)
	settled := func(wanted ...int) {
		until(func() bool { return slices.Equal(partitionsOf(ctx, group, next), wanted) }, "the assignment")
	}
	fill(ctx, topic, numbered("a", 40)...)
	first := startMember(ctx, records, options...)
	equal(collect(records, 40, "records of one member"), numbered("a", 40), "values")
	settled(4)
	second := startMember(ctx, records, options...)
	settled(2, 2)
	fill(ctx, topic, numbered("b", 40)...)
	equal(collect(records, 40, "records of two members"), numbered("b", 40), "values")
	first.leave()
	settled(4)
	fill(ctx, topic, numbered("c", 40)...)
	equal(collect(records, 40, "records of the one that stayed"), numbered("c", 40), "values")
	second.leave()
	third := startMember(ctx, records, options...)
	settled(4)
	fill(ctx, topic, "last")
	equal(collect(records, 1, "the last record"), []string{"last"}, "what was committed is not read again")
	third.leave()
	client := franz()
	defer client.Close()
	committed := int64(0)
	for _, offset := range got(kadm.NewClient(client).FetchOffsets(ctx, group))[topic] {
		committed += offset.At
	}
	equal(committed, int64(121), "the sum of what is committed")
	ok(name + ": two members in turn, commits, nothing twice")
}

func franzStatic(ctx context.Context) {
	topic, group := franzTopic(ctx, 2), unique("group")
	records := make(chan *kgo.Record, 100)
	options := []kgo.Opt{kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group), kgo.InstanceID("one")}
	fill(ctx, topic, "a", "b")
	first := startMember(ctx, records, options...)
	equal(collect(records, 2, "records"), []string{"a", "b"}, "values")
	first.leave()
	equal(partitionsOf(ctx, group, false), []int{2}, "it has not left")
	second := startMember(ctx, records, options...)
	fill(ctx, topic, "c")
	equal(collect(records, 1, "its record"), []string{"c"}, "values")
	second.leave()
	client := franz()
	defer client.Close()
	admin := kadm.NewClient(client)
	left := got(admin.LeaveGroup(ctx, kadm.LeaveGroup(group).InstanceIDs("one").Reason("test")))
	must(left["one"].Err)
	equal(got(admin.DescribeGroups(ctx, group))[group].State, "Empty", "state")
	ok("a static member comes back, and is removed by an admin")
}

func franzShare(ctx context.Context) {
	topic, group := franzTopic(ctx, 2), unique("share")
	admin := franz()
	defer admin.Close()
	configureGroup(ctx, admin, group, map[string]string{
		"share.auto.offset.reset":     "earliest",
		"share.heartbeat.interval.ms": "500",
	})
	acknowledged := make(chan kgo.ShareAckResults, 1000)
	open := func() *kgo.Client {
		return franz(kgo.ConsumeTopics(topic), kgo.ShareGroup(group),
			kgo.ShareAckCallback(func(_ *kgo.Client, results kgo.ShareAckResults) {
				select {
				case acknowledged <- results:
				default:
				}
			}))
	}
	fill(ctx, topic, numbered("v", 20)...)
	client := open()
	released, first := "", []string{}
	// What is not acknowledged when the next poll begins counts as accepted.
	for len(first) < 21 {
		fetches := client.PollFetches(ctx)
		must(fetches.Err())
		for _, record := range fetches.Records() {
			value := string(record.Value)
			switch first = append(first, value); {
			case len(first) == 4:
				released = value
				record.Ack(kgo.AckRelease)
			case len(first) == 5:
				record.Ack(kgo.AckReject)
			default:
				record.Ack(kgo.AckAccept)
			}
			equal(record.DeliveryCount() == 2, value == released && len(first) > 4, "the second delivery of "+value)
		}
		must(client.FlushAcks(ctx))
	}
	slices.Sort(first)
	again, _ := slices.BinarySearch(first, released)
	equal(slices.Delete(first, again, again+1), numbered("v", 20), "values")
	ok("accept, release and reject; what was released comes again, counted")
	second := open()
	until(func() bool {
		described := got(kadm.NewClient(admin).DescribeShareGroups(ctx, group))[group]
		must(described.Err)
		return described.GroupState == "Stable" && len(described.Members) == 2
	}, "two members")
	values := make(chan string, 1000)
	polling, stop := context.WithCancel(ctx)
	done := make(chan struct{}, 2)
	for _, one := range []*kgo.Client{client, second} {
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				fetches := one.PollFetches(polling)
				if polling.Err() != nil && fetches.Empty() {
					return
				}
				for _, record := range fetches.Records() {
					values <- string(record.Value)
					record.Ack(kgo.AckAccept)
				}
			}
		}()
	}
	fill(ctx, topic, numbered("w", 100)...)
	seen := []string{}
	for range 100 {
		select {
		case value := <-values:
			seen = append(seen, value)
		case <-ctx.Done():
			check(false, "records of two members in time: %d of 100", len(seen))
		}
	}
	slices.Sort(seen)
	equal(seen, numbered("w", 100), "values")
	stop()
	<-done
	<-done
	must(client.FlushAcks(ctx))
	must(second.FlushAcks(ctx))
	// What is told of a session's last request is nobody's business any more.
	for len(acknowledged) > 0 {
		must((<-acknowledged).Error())
	}
	client.Close()
	second.Close()
	ok("two members share the records, each once")

	until(func() bool {
		described := got(kadm.NewClient(admin).DescribeShareGroupOffsets(ctx, group))[group]
		must(described.Err)
		zero, one := described.Offsets[topic][0], described.Offsets[topic][1]
		return zero.Lag == 0 && one.Lag == 0
	}, "no lag")
	ok("the group has nothing left")
}

func franzTransactions(ctx context.Context) {
	source, sink, group := franzTopic(ctx, 2), franzTopic(ctx, 1), unique("group")
	fill(ctx, source, numbered("v", 40)...)
	open := func() *kgo.GroupTransactSession {
		return got(kgo.NewGroupTransactSession(
			kgo.SeedBrokers(bootstrap),
			kgo.TransactionalID(unique("transactional")),
			kgo.FetchMaxWait(100*time.Millisecond),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.ConsumerGroup(group),
			kgo.ConsumeTopics(source),
			kgo.RequireStableFetchOffsets(),
		))
	}
	session := open()
	round := func(commit kgo.TransactionEndTry) (taken int) {
		fetches := session.PollFetches(ctx)
		must(fetches.Err())
		must(session.Begin())
		fetches.EachRecord(func(record *kgo.Record) {
			taken++
			session.Produce(ctx, &kgo.Record{Topic: sink, Key: record.Key, Value: append([]byte("out "), record.Value...)},
				func(_ *kgo.Record, err error) { must(err) })
		})
		// An abort would drop what is not sent yet.
		must(session.Client().Flush(ctx))
		equal(got(session.End(ctx, commit)), bool(commit), "committed")
		return taken
	}
	check(round(kgo.TryAbort) > 0, "something was read")
	for taken := 0; taken < 40; {
		taken += round(kgo.TryCommit)
	}
	session.Close()
	committed := franz(kgo.ConsumeTopics(sink), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	values := valuesOf(take(ctx, committed, 40))
	committed.Close()
	slices.Sort(values)
	equal(values, numbered("out v", 40), "what is committed")
	ok("consume, transform, produce; an aborted round is read again and seen by nobody")

	uncommitted := franz(kgo.ConsumeTopics(sink))
	for count := 0; count <= 40; {
		fetches := uncommitted.PollFetches(ctx)
		must(fetches.Err())
		count += fetches.NumRecords()
	}
	uncommitted.Close()
	ok("the aborted ones are there for those who do not ask")

	session = open()
	fill(ctx, source, "last")
	equal(round(kgo.TryCommit), 1, "what is left to read")
	session.Close()
	ok("offsets are committed with the records")

	id := unique("transactional")
	old := franz(kgo.TransactionalID(id), kgo.DefaultProduceTopic(sink))
	must(old.BeginTransaction())
	must(old.ProduceSync(ctx, kgo.StringRecord("of the old one")).FirstErr())
	admin := franz()
	defer admin.Close()
	described := got(kadm.NewClient(admin).DescribeTransactions(ctx, id))[id]
	must(described.Err)
	equal(described.State, "Ongoing", "state")
	newer := franz(kgo.TransactionalID(id), kgo.DefaultProduceTopic(sink))
	must(newer.BeginTransaction())
	must(newer.ProduceSync(ctx, kgo.StringRecord("of the new one")).FirstErr())
	must(newer.EndTransaction(ctx, kgo.TryCommit))
	err := old.ProduceSync(ctx, kgo.StringRecord("too late")).FirstErr()
	check(err != nil && !errors.Is(err, context.DeadlineExceeded), "the old one is fenced: %v", err)
	old.Close()
	newer.Close()
	ok("a newer producer fences the old one")
}
