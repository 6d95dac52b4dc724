package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func franz(options ...kgo.Opt) *kgo.Client {
	common := []kgo.Opt{kgo.SeedBrokers(bootstrap), kgo.FetchMaxWait(100 * time.Millisecond)}
	return got(kgo.NewClient(append(common, options...)...))
}

// franzTopic makes a topic with a name of its own.
func franzTopic(ctx context.Context, partitions int32) string {
	client := franz()
	defer client.Close()
	name := unique("franz")
	got(kadm.NewClient(client).CreateTopic(ctx, partitions, 1, nil, name))
	return name
}

func fill(ctx context.Context, topic string, values ...string) {
	client := franz(kgo.DefaultProduceTopic(topic))
	defer client.Close()
	for _, value := range values {
		client.Produce(ctx, kgo.KeyStringRecord(value, value), func(_ *kgo.Record, err error) { must(err) })
	}
	must(client.Flush(ctx))
}

// take polls until so many records are here.
func take(ctx context.Context, client *kgo.Client, count int) []*kgo.Record {
	var taken []*kgo.Record
	for len(taken) < count {
		fetches := client.PollFetches(ctx)
		must(fetches.Err())
		taken = append(taken, fetches.Records()...)
	}
	equal(len(taken), count, "records")
	return taken
}

func valuesOf(records []*kgo.Record) []string {
	values := make([]string, len(records))
	for at, record := range records {
		values[at] = string(record.Value)
	}
	return values
}

func franzRecords(ctx context.Context) {
	codecs := map[string]kgo.CompressionCodec{
		"none":   kgo.NoCompression(),
		"gzip":   kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(),
		"lz4":    kgo.Lz4Compression(),
		"zstd":   kgo.ZstdCompression(),
	}
	topic := franzTopic(ctx, 1)
	wanted := []string{}
	for name, codec := range codecs {
		client := franz(kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(codec))
		records := []*kgo.Record{}
		for _, value := range numbered(name+" is repeated and repeated and repeated ", 50) {
			records = append(records, kgo.StringRecord(value))
			wanted = append(wanted, value)
		}
		must(client.ProduceSync(ctx, records...).FirstErr())
		client.Close()
	}
	consumer := franz(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	equal(valuesOf(take(ctx, consumer, len(wanted))), wanted, "values")
	consumer.Close()
	ok("idempotent batches in every codec")

	topic = franzTopic(ctx, 3)
	at := time.UnixMilli(1_700_000_000_123)
	sent := &kgo.Record{Topic: topic, Key: []byte("k"), Value: nil, Timestamp: at, Headers: []kgo.RecordHeader{
		{Key: "twice", Value: []byte{0, 255}}, {Key: "twice", Value: nil}, {Key: "empty", Value: []byte{}}}}
	producer := franz(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	sent.Partition = 2
	must(producer.ProduceSync(ctx, sent, &kgo.Record{Topic: topic, Partition: 2, Value: []byte{}}).FirstErr())
	equal(sent.Offset, int64(0), "the first offset")
	producer.Close()
	consumer = franz(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {2: kgo.NewOffset().At(0)}}))
	read := take(ctx, consumer, 2)
	consumer.Close()
	equal(string(read[0].Key), "k", "key")
	check(read[0].Value == nil, "the value is null, not %v", read[0].Value)
	check(read[0].Timestamp.Equal(at), "timestamp is %v", read[0].Timestamp)
	equal(len(read[0].Headers), 3, "headers")
	equal(read[0].Headers[0].Value, []byte{0, 255}, "header")
	check(read[0].Headers[1].Value == nil, "a header's value is null")
	check(read[1].Key == nil && read[1].Value != nil && len(read[1].Value) == 0, "no key, empty value")
	ok("keys, headers, times, null and empty")

	fill(ctx, topic, numbered("v", 60)...)
	consumer = franz(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AfterMilli(1_700_000_000_124)))
	values := valuesOf(take(ctx, consumer, 61))
	slices.Sort(values)
	equal(values, append([]string{""}, numbered("v", 60)...), "values")
	consumer.Close()
	ok("three partitions, from a time on")

	consumer = franz(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(1000)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	fetches := consumer.PollFetches(ctx)
	check(errors.Is(fetches.Err(), kerr.OffsetOutOfRange), "out of range: %v", fetches.Err())
	consumer.Close()
	ok("an offset out of range is an error of its own")
}

func franzAdmin(ctx context.Context) {
	client := franz(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer client.Close()
	admin := kadm.NewClient(client)
	name, group := unique("admin"), unique("group")
	hour, text := "3600000", func(value string) *string { return &value }
	created := got(admin.CreateTopic(ctx, 2, 1, map[string]*string{"retention.ms": &hour}, name))
	equal(created.NumPartitions, int32(2), "partitions")
	_, err := admin.CreateTopic(ctx, 2, 1, nil, name)
	check(errors.Is(err, kerr.TopicAlreadyExists), "the second is refused: %v", err)
	listed := got(admin.ListTopics(ctx, name))[name]
	must(listed.Err)
	equal(listed.ID, created.ID, "topic id")
	equal(len(listed.Partitions), 2, "partitions")
	check(got(admin.ListTopics(ctx)).Has(name), "it is listed")
	ok("create and list topics")

	config := func(key string) string {
		described := got(got(admin.DescribeTopicConfigs(ctx, name)).On(name, nil))
		must(described.Err)
		for _, entry := range described.Configs {
			if entry.Key == key {
				return entry.MaybeValue()
			}
		}
		return "nothing"
	}
	equal(config("retention.ms"), "3600000", "retention.ms")
	change := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: text("7200000")}}
	must(got(got(admin.AlterTopicConfigs(ctx, change, name)).On(name, nil)).Err)
	equal(config("retention.ms"), "7200000", "retention.ms")
	bad := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: text("soon")}}
	err = got(got(admin.AlterTopicConfigs(ctx, bad, name)).On(name, nil)).Err
	check(errors.Is(err, kerr.InvalidConfig), "a value that is no number: %v", err)
	ok("configs")

	must(got(got(admin.UpdatePartitions(ctx, 3, name)).On(name, nil)).Err)
	until(func() bool { return len(got(admin.ListTopics(ctx, name))[name].Partitions) == 3 }, "three partitions")
	ok("more partitions")

	for at := range 10 {
		must(client.ProduceSync(ctx, &kgo.Record{Topic: name, Partition: 2, Value: []byte("v"),
			Timestamp: time.UnixMilli(1_700_000_000_000 + int64(at))}).FirstErr())
	}
	end := got(admin.ListEndOffsets(ctx, name))
	must(end.Error())
	equal(end.Offsets()[name][2].At, int64(10), "the end")
	after := got(admin.ListOffsetsAfterMilli(ctx, 1_700_000_000_004, name))
	must(after.Error())
	equal(after.Offsets()[name][2].At, int64(4), "the offset by time")
	newest := got(admin.ListMaxTimestampOffsets(ctx, name))
	must(newest.Error())
	equal(newest.Offsets()[name][2].At, int64(9), "the newest record's offset")
	deleted := got(admin.DeleteRecords(ctx, kadm.OffsetsFromRecords(kgo.Record{Topic: name, Partition: 2, Offset: 1})))
	must(deleted.Error())
	start := got(admin.ListStartOffsets(ctx, name))
	equal(start.Offsets()[name][2].At, deleted[name][2].LowWatermark, "the start")
	equal(deleted[name][2].LowWatermark, int64(2), "what was asked for")
	ok("offsets and deleting records")

	must(admin.CommitAllOffsets(ctx, group, kadm.OffsetsFromRecords(kgo.Record{Topic: name, Partition: 2, Offset: 5})))
	committed, _ := got(admin.FetchOffsets(ctx, group)).Lookup(name, 2)
	equal(committed.At, int64(6), "committed")
	lag := got(admin.Lag(ctx, group))[group]
	must(lag.Error())
	equal(lag.Lag.Total(), int64(4), "lag")
	check(slices.Contains(got(admin.ListGroups(ctx)).Groups(), group), "it is listed")
	described := got(admin.DescribeGroups(ctx, group))[group]
	equal(described.State, "Empty", "state")
	got(admin.DeleteGroup(ctx, group))
	_, err = admin.DeleteGroup(ctx, group)
	check(errors.Is(err, kerr.GroupIDNotFound), "the second is refused: %v", err)
	ok("a group's offsets, lag and end")

	brokers := got(admin.ListBrokers(ctx))
	equal(len(brokers), 1, "brokers")
	must(got(admin.DescribeBrokerConfigs(ctx, brokers[0].NodeID))[0].Err)
	equal(len(got(admin.DescribeAllLogDirs(ctx, nil))), 1, "brokers with directories")
	versions := got(admin.ApiVersions(ctx))
	for _, broker := range versions {
		must(broker.Err)
	}
	ok("brokers, directories, versions")

	must(got(got(admin.DeleteTopics(ctx, name)).On(name, nil)).Err)
	until(func() bool {
		detail := got(admin.ListTopics(ctx, name))[name]
		return errors.Is(detail.Err, kerr.UnknownTopicOrPartition)
	}, "the topic's end")
	_, err = admin.DeleteTopic(ctx, name)
	check(errors.Is(err, kerr.UnknownTopicOrPartition), "the second is refused: %v", err)
	ok("delete topics")
}

// configureGroup sets what only the broker knows of a group.
func configureGroup(ctx context.Context, client *kgo.Client, group string, configs map[string]string) {
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType = kmsg.ConfigResourceTypeGroupConfig
	resource.ResourceName = group
	for name, value := range configs {
		config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		config.Name, config.Value = name, &value
		resource.Configs = append(resource.Configs, config)
	}
	request := kmsg.NewPtrIncrementalAlterConfigsRequest()
	request.Resources = append(request.Resources, resource)
	for _, answer := range got(request.RequestWith(ctx, client)).Resources {
		must(kerr.ErrorForCode(answer.ErrorCode))
	}
}
