package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// saramaConfig is a configuration that speaks as new a protocol as Sarama knows.
func saramaConfig() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Producer.Return.Successes = true
	config.Producer.Return.Errors = true
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	return config
}

func idempotent(config *sarama.Config) *sarama.Config {
	config.Producer.Idempotent = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Net.MaxOpenRequests = 1
	return config
}

func saramaTopic(partitions int32) string {
	admin := got(sarama.NewClusterAdmin([]string{bootstrap}, saramaConfig()))
	defer admin.Close()
	name := unique("sarama")
	must(admin.CreateTopic(name, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false))
	return name
}

// readAll reads so many records of partition 0.
func readAll(ctx context.Context, config *sarama.Config, topic string, count int) []*sarama.ConsumerMessage {
	consumer := got(sarama.NewConsumer([]string{bootstrap}, config))
	defer consumer.Close()
	partition := got(consumer.ConsumePartition(topic, 0, sarama.OffsetOldest))
	defer partition.Close()
	messages := []*sarama.ConsumerMessage{}
	for len(messages) < count {
		select {
		case message := <-partition.Messages():
			messages = append(messages, message)
		case <-ctx.Done():
			check(false, "records in time: %d of %d", len(messages), count)
		}
	}
	return messages
}

func saramaProducers(ctx context.Context) {
	codecs := map[string]sarama.CompressionCodec{
		"none":   sarama.CompressionNone,
		"gzip":   sarama.CompressionGZIP,
		"snappy": sarama.CompressionSnappy,
		"lz4":    sarama.CompressionLZ4,
		"zstd":   sarama.CompressionZSTD,
	}
	for name, codec := range codecs {
		topic := saramaTopic(1)
		config := idempotent(saramaConfig())
		config.Producer.Compression = codec
		producer := got(sarama.NewSyncProducer([]string{bootstrap}, config))
		messages := []*sarama.ProducerMessage{}
		for _, value := range numbered("repeated and repeated and repeated ", 50) {
			messages = append(messages, &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(value),
				Key:     sarama.StringEncoder("k"),
				Headers: []sarama.RecordHeader{{Key: []byte("codec"), Value: []byte(name)}}})
		}
		must(producer.SendMessages(messages))
		_, offset, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic})
		must(err)
		equal(offset, int64(50), "the last offset")
		must(producer.Close())
		read := readAll(ctx, saramaConfig(), topic, 51)
		for at, value := range numbered("repeated and repeated and repeated ", 50) {
			equal(string(read[at].Value), value, "value")
			equal(string(read[at].Key), "k", "key")
			equal(read[at].Offset, int64(at), "offset")
			equal(string(read[at].Headers[0].Value), name, "header")
		}
		check(read[50].Key == nil && read[50].Value == nil, "null key and value")
	}
	ok("synchronous and idempotent, in every codec")

	topic := saramaTopic(1)
	producer := got(sarama.NewAsyncProducer([]string{bootstrap}, idempotent(saramaConfig())))
	go func() {
		for _, value := range numbered("v", 500) {
			producer.Input() <- &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(value)}
		}
	}()
	for at := range 500 {
		select {
		case message := <-producer.Successes():
			equal(message.Offset, int64(at), "offset")
		case err := <-producer.Errors():
			must(err)
		}
	}
	must(producer.Close())
	read := readAll(ctx, saramaConfig(), topic, 500)
	for at, value := range numbered("v", 500) {
		equal(string(read[at].Value), value, "value")
	}
	ok("asynchronous and idempotent, in order")

	for _, version := range []sarama.KafkaVersion{sarama.V1_0_0_0, sarama.V2_1_0_0, sarama.V2_8_0_0} {
		config := saramaConfig()
		config.Version = version
		config.Producer.RequiredAcks = sarama.WaitForLocal
		producer := got(sarama.NewSyncProducer([]string{bootstrap}, config))
		topic := saramaTopic(1)
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder("v")})
		must(err)
		must(producer.Close())
		equal(string(readAll(ctx, config, topic, 1)[0].Value), "v", "value")
	}
	ok("configured for a Kafka of 1.0, 2.1, 2.8")
}

// handler collects values, marks them, and knows how many partitions it has.
type handler struct {
	values chan<- string
	lock   sync.Mutex
	claims int
}

func (h *handler) Setup(session sarama.ConsumerGroupSession) error {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.claims = 0
	for _, partitions := range session.Claims() {
		h.claims += len(partitions)
	}
	return nil
}

func (h *handler) Cleanup(sarama.ConsumerGroupSession) error {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.claims = 0
	return nil
}

func (h *handler) count() int {
	h.lock.Lock()
	defer h.lock.Unlock()
	return h.claims
}

func (h *handler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			h.values <- string(message.Value)
			session.MarkMessage(message, "")
			session.Commit()
		case <-session.Context().Done():
			return nil
		}
	}
}

type saramaMember struct {
	*handler
	group sarama.ConsumerGroup
	done  chan struct{}
}

func startSaramaMember(group, topic string, config *sarama.Config, values chan<- string) *saramaMember {
	m := &saramaMember{&handler{values: values}, got(sarama.NewConsumerGroup([]string{bootstrap}, group, config)),
		make(chan struct{})}
	go func() {
		defer close(m.done)
		for {
			err := m.group.Consume(context.Background(), []string{topic}, m.handler)
			if errors.Is(err, sarama.ErrClosedConsumerGroup) {
				return
			}
			must(err)
		}
	}()
	return m
}

func (m *saramaMember) leave() {
	must(m.group.Close())
	<-m.done
}

func saramaGroup(ctx context.Context) {
	strategies := []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange(), sarama.NewBalanceStrategySticky(),
		sarama.NewBalanceStrategyRoundRobin()}
	for _, strategy := range strategies {
		topic, group := saramaTopic(4), unique("group")
		config := saramaConfig()
		config.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond
		config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
		config.Consumer.Offsets.AutoCommit.Enable = false
		producer := got(sarama.NewSyncProducer([]string{bootstrap}, saramaConfig()))
		send := func(values []string) {
			messages := []*sarama.ProducerMessage{}
			for _, value := range values {
				messages = append(messages, &sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(value),
					Value: sarama.StringEncoder(value)})
			}
			must(producer.SendMessages(messages))
		}
		values := make(chan string, 1000)
		take := func(wanted []string) {
			seen := []string{}
			for len(seen) < len(wanted) {
				select {
				case value := <-values:
					seen = append(seen, value)
				case <-ctx.Done():
					check(false, "records in time: %d of %d", len(seen), len(wanted))
				}
			}
			slices.Sort(seen)
			equal(seen, wanted, "values")
		}
		first := startSaramaMember(group, topic, config, values)
		send(numbered("a", 20))
		take(numbered("a", 20))
		equal(first.count(), 4, "partitions of the only member")
		second := startSaramaMember(group, topic, config, values)
		until(func() bool { return first.count() == 2 && second.count() == 2 }, "the new assignment")
		send(numbered("b", 20))
		take(numbered("b", 20))
		first.leave()
		until(func() bool { return second.count() == 4 }, "all partitions")
		send(numbered("c", 20))
		take(numbered("c", 20))
		second.leave()
		third := startSaramaMember(group, topic, config, values)
		send([]string{"last"})
		take([]string{"last"})
		third.leave()
		must(producer.Close())
		ok(strategy.Name() + ": two members in turn, commits, nothing twice")
	}
}

func saramaTransaction(ctx context.Context) {
	source, sink, group := saramaTopic(1), saramaTopic(1), unique("group")
	config := idempotent(saramaConfig())
	config.Producer.Transaction.ID = unique("transactional")
	producer := got(sarama.NewAsyncProducer([]string{bootstrap}, config))
	send := func(value string) {
		producer.Input() <- &sarama.ProducerMessage{Topic: sink, Value: sarama.StringEncoder(value)}
		select {
		case <-producer.Successes():
		case err := <-producer.Errors():
			must(err)
		}
	}
	round := func(value string, offset int64) {
		must(producer.BeginTxn())
		send(value)
		offsets := map[string][]*sarama.PartitionOffsetMetadata{source: {{Partition: 0, Offset: offset}}}
		must(producer.AddOffsetsToTxn(offsets, group))
	}
	round("aborted", 7)
	must(producer.AbortTxn())
	round("committed", 9)
	must(producer.CommitTxn())
	must(producer.Close())
	config = saramaConfig()
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	equal(string(readAll(ctx, config, sink, 1)[0].Value), "committed", "the first that is committed")
	equal(string(readAll(ctx, saramaConfig(), sink, 1)[0].Value), "aborted", "the first of all")
	admin := got(sarama.NewClusterAdmin([]string{bootstrap}, saramaConfig()))
	defer admin.Close()
	committed := got(admin.ListConsumerGroupOffsets(group, map[string][]int32{source: {0}}))
	equal(committed.GetBlock(source, 0).Offset, int64(9), "the committed offset")
	ok("aborted and committed with offsets")
}

func saramaAdmin(context.Context) {
	admin := got(sarama.NewClusterAdmin([]string{bootstrap}, saramaConfig()))
	defer admin.Close()
	name, hour, day := unique("admin"), "3600000", "86400000"
	detail := &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: 1,
		ConfigEntries: map[string]*string{"retention.ms": &hour}}
	must(admin.CreateTopic(name, detail, false))
	err := admin.CreateTopic(name, detail, false)
	check(errors.Is(err, sarama.ErrTopicAlreadyExists), "the second is refused: %v", err)
	topics := got(admin.ListTopics())
	equal(topics[name].NumPartitions, int32(2), "partitions")
	equal(*topics[name].ConfigEntries["retention.ms"], hour, "what is not the default is listed")
	must(admin.CreatePartitions(name, 3, nil, false))
	until(func() bool { return len(got(admin.DescribeTopics([]string{name}))[0].Partitions) == 3 }, "partitions")
	config := func() string {
		resource := sarama.ConfigResource{Type: sarama.TopicResource, Name: name, ConfigNames: []string{"retention.ms"}}
		entries := got(admin.DescribeConfig(resource))
		equal(len(entries), 1, "entries")
		return entries[0].Value
	}
	must(admin.AlterConfig(sarama.TopicResource, name, map[string]*string{"retention.ms": &day}, false))
	equal(config(), day, "what is altered whole")
	must(admin.IncrementalAlterConfig(sarama.TopicResource, name, map[string]sarama.IncrementalAlterConfigsEntry{
		"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &hour}}, false))
	equal(config(), hour, "what is altered alone")
	ok("topics, partitions, configs")

	producer := got(sarama.NewSyncProducer([]string{bootstrap}, saramaConfig()))
	for range 5 {
		got(0, second(producer.SendMessage(&sarama.ProducerMessage{Topic: name, Partition: 0, Key: sarama.StringEncoder("k")})))
	}
	must(producer.Close())
	client := got(sarama.NewClient([]string{bootstrap}, saramaConfig()))
	total, fullest := int64(0), int32(0)
	for partition := range int32(3) {
		end := got(client.GetOffset(name, partition, sarama.OffsetNewest))
		total += end
		if end > 0 {
			fullest = partition
		}
	}
	equal(total, int64(5), "records")
	must(admin.DeleteRecords(name, map[int32]int64{fullest: 5}))
	equal(got(client.GetOffset(name, fullest, sarama.OffsetOldest)), int64(5), "the start")
	must(client.Close())
	brokers, controller, err := admin.DescribeCluster()
	must(err)
	equal(len(brokers), 1, "brokers")
	equal(brokers[0].ID(), controller, "the controller")
	got(admin.DescribeLogDirs([]int32{controller}))
	ok("offsets, deleting records, the cluster")

	group := unique("group")
	offsets := got(sarama.NewOffsetManagerFromClient(group, got(sarama.NewClient([]string{bootstrap}, saramaConfig()))))
	partition := got(offsets.ManagePartition(name, 1))
	partition.MarkOffset(3, "noted")
	offsets.Commit()
	must(partition.Close())
	must(offsets.Close())
	block := got(admin.ListConsumerGroupOffsets(group, nil)).GetBlock(name, 1)
	equal(block.Offset, int64(3), "the committed offset")
	equal(block.Metadata, "noted", "its metadata")
	_, listed := got(admin.ListConsumerGroups())[group]
	check(listed, "the group is listed")
	equal(got(admin.DescribeConsumerGroups([]string{group}))[0].State, "Empty", "state")
	must(admin.DeleteConsumerGroupOffset(group, name, 1))
	until(func() bool {
		err := admin.DeleteConsumerGroup(group)
		return err == nil || errors.Is(err, sarama.ErrGroupIDNotFound)
	}, "the group's end")
	ok("a group's offsets and end")

	must(admin.DeleteTopic(name))
	err = admin.DeleteTopic(name)
	check(errors.Is(err, sarama.ErrUnknownTopicOrPartition), "the second is refused: %v", err)
	ok("delete topics")
}

// second gives the error of what answers more than one value.
func second(_ int32, _ int64, err error) error {
	return err
}
