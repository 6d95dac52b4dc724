// What a Node service does with kafkajs, one scenario a run; each behaviour an `ok`.
//
// Usage: KAFKA_BOOTSTRAP=127.0.0.1:9092 node client.js SCENARIO
'use strict'

const assert = require('node:assert/strict')
const { randomUUID } = require('node:crypto')
const { setTimeout: sleep } = require('node:timers/promises')
const { CompressionTypes, ConfigResourceTypes, Kafka, logLevel, PartitionAssigners } = require('kafkajs')

const PATIENCE_MS = 30_000
const kafka = new Kafka({
  brokers: [process.env.KAFKA_BOOTSTRAP ?? '127.0.0.1:9092'],
  logLevel: logLevel.NOTHING,
})

const ok = (behaviour) => console.log(`ok ${behaviour}`)
const unique = (prefix) => `${prefix}-${randomUUID().slice(0, 13)}`
const numbered = (prefix, count) =>
  Array.from({ length: count }, (_, at) => prefix + String(at).padStart(3, '0'))

async function until(probe, what) {
  const deadline = Date.now() + PATIENCE_MS
  while (!(await probe())) {
    assert.ok(Date.now() < deadline, `${what} in time`)
    await sleep(20)
  }
}

/** Runs with a client that is connected, and disconnected in the end. */
async function using(client, body) {
  await client.connect()
  try {
    return await body(client)
  } finally {
    await client.disconnect()
  }
}

const admin = (body) => using(kafka.admin(), body)

async function newTopic(numPartitions) {
  const topic = unique('kafkajs')
  await admin((it) => it.createTopics({ topics: [{ topic, numPartitions, replicationFactor: 1 }] }))
  return topic
}

const send = (topic, values) =>
  using(kafka.producer({ idempotent: true }), (producer) =>
    producer.send({ topic, messages: values.map((value) => ({ key: value, value })) }))

/** A member of a group: what it has got, and which partitions it has. */
async function member(groupId, topic, options = {}) {
  const consumer = kafka.consumer({
    groupId,
    sessionTimeout: 10_000,
    rebalanceTimeout: 10_000,
    heartbeatInterval: 200,
    maxWaitTimeInMs: 100,
    ...options,
  })
  const it = { consumer, messages: [], partitions: 0 }
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    it.partitions = (payload.memberAssignment[topic] ?? []).length
  })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({
    autoCommitThreshold: 1,
    eachMessage: async ({ partition, message }) => {
      it.messages.push({ partition, ...message })
    },
  })
  return it
}

const valuesOf = (...members) =>
  members.flatMap((it) => it.messages.map((message) => message.value?.toString() ?? null)).sort()

/** Reads a topic of one partition. */
async function readAll(topic, count, options = {}) {
  const it = await member(unique('reader'), topic, options)
  await until(() => it.messages.length >= count, `${count} records`)
  await it.consumer.disconnect()
  assert.equal(it.messages.length, count)
  return it.messages
}

async function records() {
  for (const [name, compression] of Object.entries({ none: CompressionTypes.None, gzip: CompressionTypes.GZIP })) {
    const topic = await newTopic(1)
    await using(kafka.producer({ idempotent: true }), async (producer) => {
      const messages = numbered('repeated and repeated and repeated ', 50).map((value) => ({ value }))
      const [first] = await producer.send({ topic, compression, messages })
      assert.equal(first.baseOffset, '0')
      const [second] = await producer.send({ topic, compression, messages: [{ value: 'last' }] })
      assert.equal(second.baseOffset, '50')
    })
    const read = await readAll(topic, 51)
    assert.deepEqual(read.map((message) => message.value.toString()),
      [...numbered('repeated and repeated and repeated ', 50), 'last'])
    ok(`idempotent batches: ${name}`)
  }
  const topic = await newTopic(1)
  await using(kafka.producer(), (producer) =>
    producer.send({
      topic,
      messages: [
        { key: 'k', value: null, timestamp: '1700000000123', headers: { one: Buffer.from([0, 255]), two: ['a', 'b'] } },
        { key: null, value: '' },
      ],
    }))
  const [first, second] = await readAll(topic, 2)
  assert.equal(first.key.toString(), 'k')
  assert.equal(first.value, null)
  assert.equal(first.timestamp, '1700000000123')
  assert.deepEqual([...first.headers.one], [0, 255])
  assert.deepEqual(first.headers.two.map(String), ['a', 'b'])
  assert.equal(second.key, null)
  assert.equal(second.value.length, 0)
  ok('keys, headers, times, null and empty')

  await using(kafka.producer({ allowAutoTopicCreation: false, retry: { retries: 1, initialRetryTime: 10 } }), (producer) =>
    assert.rejects(producer.send({ topic: unique('missing'), messages: [{ value: 'v' }] }),
      (error) => (error.cause ?? error).type === 'UNKNOWN_TOPIC_OR_PARTITION'))
  ok('a topic that is not there')
}

async function group() {
  const [topic, groupId] = [await newTopic(4), unique('group')]
  const options = { partitionAssigners: [PartitionAssigners.roundRobin] }
  await send(topic, numbered('a', 20))
  const first = await member(groupId, topic, options)
  await until(() => first.messages.length >= 20, 'records of one member')
  assert.deepEqual(valuesOf(first), numbered('a', 20))
  assert.equal(first.partitions, 4)
  ok('one member has all')
  const second = await member(groupId, topic, options)
  await until(() => first.partitions === 2 && second.partitions === 2, 'the new assignment')
  await send(topic, numbered('b', 20))
  await until(() => first.messages.length + second.messages.length >= 40, 'records of two members')
  assert.deepEqual(valuesOf(first, second), [...numbered('a', 20), ...numbered('b', 20)])
  assert.ok(second.messages.length > 0)
  const described = await admin((it) => it.describeGroups([groupId]))
  assert.equal(described.groups[0].state, 'Stable')
  assert.equal(described.groups[0].members.length, 2)
  ok('two members in turn')
  await first.consumer.disconnect()
  await until(() => second.partitions === 4, 'all partitions')
  await send(topic, numbered('c', 20))
  await until(() => first.messages.length + second.messages.length >= 60, 'records of the one that stayed')
  await second.consumer.disconnect()
  const third = await member(groupId, topic, options)
  await send(topic, ['last'])
  await until(() => third.messages.length >= 1, 'the last record')
  assert.deepEqual(valuesOf(third), ['last'])
  third.consumer.seek({ topic, partition: third.messages[0].partition, offset: '0' })
  const before = third.messages.length
  await until(() => third.messages.length > before && valuesOf(third).filter((value) => value === 'last').length === 2,
    'the record again')
  await third.consumer.disconnect()
  ok('one leaves, commits hold, and a seek')
}

async function transactions() {
  const [source, sink, groupId] = [await newTopic(1), await newTopic(1), unique('group')]
  const transactionalId = unique('transactional')
  const open = () => kafka.producer({ transactionalId, maxInFlightRequests: 1, idempotent: true })
  await using(open(), async (producer) => {
    const round = async (value, offset) => {
      const transaction = await producer.transaction()
      await transaction.send({ topic: sink, messages: [{ value }] })
      await transaction.sendOffsets({
        consumerGroupId: groupId,
        topics: [{ topic: source, partitions: [{ partition: 0, offset }] }],
      })
      return transaction
    }
    await (await round('aborted', '7')).abort()
    await (await round('committed', '9')).commit()
    await (await round('also committed', '11')).commit()
  })
  assert.deepEqual((await readAll(sink, 2)).map((message) => message.value.toString()),
    ['committed', 'also committed'])
  assert.equal((await readAll(sink, 3, { readUncommitted: true }))[0].value.toString(), 'aborted')
  const [committed] = await admin((it) => it.fetchOffsets({ groupId, topics: [source] }))
  assert.equal(committed.partitions[0].offset, '11')
  ok('aborted and committed, with offsets')

  const old = open()
  await using(old, async () => {
    const transaction = await old.transaction()
    await transaction.send({ topic: sink, messages: [{ value: 'of the old one' }] })
    await using(open(), async (newer) => {
      const other = await newer.transaction()
      await other.send({ topic: sink, messages: [{ value: 'of the new one' }] })
      await other.commit()
    })
    await assert.rejects(transaction.commit(), (error) =>
      ['INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED'].includes((error.cause ?? error).type))
  })
  assert.deepEqual((await readAll(sink, 3)).map((message) => message.value.toString()),
    ['committed', 'also committed', 'of the new one'])
  ok('a newer producer fences the old one')
}

async function administering() {
  await admin(async (it) => {
    const [topic, groupId] = [unique('admin'), unique('group')]
    const wanted = { topic, numPartitions: 2, configEntries: [{ name: 'retention.ms', value: '3600000' }] }
    assert.equal(await it.createTopics({ topics: [wanted] }), true)
    assert.equal(await it.createTopics({ topics: [wanted] }), false)
    assert.ok((await it.listTopics()).includes(topic))
    await it.createPartitions({ topicPartitions: [{ topic, count: 3 }] })
    await until(async () => (await it.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length === 3,
      'three partitions')
    ok('topics and partitions')

    const config = async () => {
      const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames: ['retention.ms'] }]
      const described = await it.describeConfigs({ includeSynonyms: true, resources })
      return described.resources[0].configEntries[0].configValue
    }
    assert.equal(await config(), '3600000')
    const configEntries = [{ name: 'retention.ms', value: '7200000' }]
    await it.alterConfigs({
      validateOnly: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }],
    })
    assert.equal(await config(), '7200000')
    ok('configs')

    await using(kafka.producer(), (producer) =>
      producer.send({
        topic,
        messages: Array.from({ length: 10 }, (_, at) => ({
          partition: 1, value: 'v', timestamp: String(1_700_000_000_000 + at),
        })),
      }))
    const ofOne = (offsets) => offsets.find(({ partition }) => partition === 1)
    assert.equal(ofOne(await it.fetchTopicOffsets(topic)).high, '10')
    assert.equal(ofOne(await it.fetchTopicOffsetsByTimestamp(topic, 1_700_000_000_004)).offset, '4')
    await it.deleteTopicRecords({ topic, partitions: [{ partition: 1, offset: '10' }] })
    assert.equal(ofOne(await it.fetchTopicOffsets(topic)).low, '10')
    ok('offsets and deleting records')

    await it.setOffsets({ groupId, topic, partitions: [{ partition: 1, offset: '5' }] })
    const [committed] = await it.fetchOffsets({ groupId, topics: [topic] })
    assert.equal(ofOne(committed.partitions).offset, '5')
    assert.ok((await it.listGroups()).groups.some((group) => group.groupId === groupId))
    assert.equal((await it.describeGroups([groupId])).groups[0].state, 'Empty')
    await it.deleteGroups([groupId])
    await using(kafka.admin({ retry: { retries: 0 } }), (hasty) =>
      assert.rejects(hasty.deleteGroups([groupId]), (error) =>
        error.groups[0].error.type === 'GROUP_ID_NOT_FOUND'))
    ok("a group's offsets and end")

    const { brokers, controller } = await it.describeCluster()
    assert.deepEqual(brokers.map((broker) => broker.nodeId), [controller])
    await it.deleteTopics({ topics: [topic] })
    await until(async () => !(await it.listTopics()).includes(topic), "the topic's end")
    ok('the cluster, deleting topics')
  })
}

const scenarios = { records, group, transactions, admin: administering }
const scenario = scenarios[process.argv[2]]
if (!scenario) {
  console.error(`usage: client.js ${Object.keys(scenarios).join('|')}`)
  process.exit(2)
}
scenario().then(
  () => process.exit(0),
  (error) => {
    console.error(error)
    process.exit(1)
  },
)
