"""Idempotent producers and transactions, a request at a time."""

import pytest
from helpers import *
from records import *
from wire import unique


def new_producer(kafka, transactional_id=None, version=4, **fields):
    body = {"TransactionalId": transactional_id, "TransactionTimeoutMs": 30_000}
    if version >= 3:
        body |= {"ProducerId": -1, "ProducerEpoch": -1}
    answer = eventually(
        lambda: (found := kafka.request("InitProducerId", version, **(body | fields))).ErrorCode
        not in (COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, CONCURRENT_TRANSACTIONS)
        and found
    )
    return answer


@pytest.fixture
def producer(kafka):
    answer = new_producer(kafka)
    assert (answer.ErrorCode, answer.ProducerEpoch) == (NONE, 0)
    return answer.ProducerId


def numbered(producer, sequence, *values, epoch=0, **fields):
    return batch(*values, producer_id=producer, producer_epoch=epoch, sequence=sequence, **fields)


@pytest.mark.parametrize("version", range(6))
def test_ids_are_not_given_twice(kafka, version):
    ids = {new_producer(kafka, version=version).ProducerId for _ in range(5)}
    assert len(ids) == 5


def test_sequence(kafka, topic, producer):
    assert produce(kafka, topic, numbered(producer, 0, b"a", b"b")).BaseOffset == 0
    assert produce(kafka, topic, numbered(producer, 2, b"c")).BaseOffset == 2
    answer = produce(kafka, topic, numbered(producer, 4, b"e"))
    assert (answer.ErrorCode, answer.BaseOffset) == (OUT_OF_ORDER_SEQUENCE_NUMBER, -1)
    assert produce(kafka, topic, numbered(producer, 3, b"d")).BaseOffset == 3
    assert values(fetch(kafka, topic)) == [b"a", b"b", b"c", b"d"]


def test_repeated_batches_have_their_first_offsets(kafka, topic, producer):
    for sequence in range(8):
        produce(kafka, topic, numbered(producer, sequence))
    # The five youngest are known.
    for sequence in range(3, 8):
        answer = produce(kafka, topic, numbered(producer, sequence))
        assert (answer.ErrorCode, answer.BaseOffset) == (NONE, sequence)
    assert produce(kafka, topic, numbered(producer, 0)).ErrorCode in (
        OUT_OF_ORDER_SEQUENCE_NUMBER, DUPLICATE_SEQUENCE_NUMBER)
    assert end(kafka, topic) == 8


def test_first_sequence_of_an_unknown_producer(kafka, topic, producer):
    """A partition that knows nothing of a producer takes any sequence: it may have forgotten it."""
    answer = produce(kafka, topic, numbered(producer, 5))
    assert (answer.ErrorCode, answer.BaseOffset) == (NONE, 0)


def test_sequence_wraps(kafka, topic, producer):
    last = 2**31 - 1
    assert produce(kafka, topic, numbered(producer, last - 1, b"a", b"b")).ErrorCode == NONE
    assert produce(kafka, topic, numbered(producer, 0, b"c")).ErrorCode == NONE
    assert produce(kafka, topic, numbered(producer, 1, b"d")).BaseOffset == 3


def test_old_epoch(kafka, topic, producer):
    assert produce(kafka, topic, numbered(producer, 0, epoch=3)).ErrorCode == NONE
    answer = produce(kafka, topic, numbered(producer, 1, epoch=2))
    assert answer.ErrorCode == INVALID_PRODUCER_EPOCH
    assert produce(kafka, topic, numbered(producer, 1, epoch=3)).ErrorCode == NONE


def test_new_epoch_begins_at_0(kafka, topic, producer):
    produce(kafka, topic, numbered(producer, 0))
    answer = produce(kafka, topic, numbered(producer, 1, epoch=1))
    assert answer.ErrorCode == OUT_OF_ORDER_SEQUENCE_NUMBER
    assert produce(kafka, topic, numbered(producer, 0, epoch=1)).ErrorCode == NONE


def test_negative_sequence(kafka, topic, producer):
    assert produce(kafka, topic, numbered(producer, -1)).ErrorCode == INVALID_RECORD


def test_producers_do_not_meddle(kafka, topic, producer):
    other = new_producer(kafka).ProducerId
    for sequence in range(3):
        assert produce(kafka, topic, numbered(producer, sequence)).ErrorCode == NONE
        assert produce(kafka, topic, numbered(other, sequence)).ErrorCode == NONE


@pytest.mark.parametrize("epoch", [0, 7])
def test_epoch_is_raised_for_the_one_that_asks(kafka, producer, epoch):
    answer = new_producer(kafka, ProducerId=producer, ProducerEpoch=epoch)
    assert answer.ErrorCode == NONE


@pytest.mark.parametrize("timeout,code", [(0, INVALID_TRANSACTION_TIMEOUT),
                                          (-1, INVALID_TRANSACTION_TIMEOUT),
                                          (2_000_000_000, INVALID_TRANSACTION_TIMEOUT)])
def test_transaction_timeout(kafka, timeout, code):
    answer = new_producer(kafka, unique("t"), TransactionTimeoutMs=timeout)
    assert answer.ErrorCode == code


def test_empty_transactional_id(kafka):
    assert new_producer(kafka, "").ErrorCode == INVALID_REQUEST


class Transaction:
    """The old form: each partition is added by a request; or the new, by producing."""

    def __init__(self, kafka, topic):
        self.kafka, self.topic, self.name = kafka, topic, unique("t")
        self.begin()

    def begin(self):
        answer = new_producer(self.kafka, self.name)
        assert answer.ErrorCode == NONE
        self.id, self.epoch, self.sequence = answer.ProducerId, answer.ProducerEpoch, 0

    def fields(self):
        return {"TransactionalId": self.name, "ProducerId": self.id, "ProducerEpoch": self.epoch}

    def add(self, *partitions, version=3):
        names = {3: "V3AndBelow"}
        body = {f"{names[version]}{key}": value for key, value in self.fields().items()}
        rows = [{"Name": self.topic, "Partitions": list(partitions or [0])}]
        answer = self.kafka.request("AddPartitionsToTxn", version, V3AndBelowTopics=rows, **body)
        return {
            row.PartitionIndex: row.PartitionErrorCode
            for row in answer.ResultsByTopicV3AndBelow[0].ResultsByPartition
        }

    def send(self, *values, version=9, partition=0):
        records = numbered(self.id, self.sequence, *values, epoch=self.epoch, attributes=16)
        answer = produce(
            self.kafka, self.topic, records, partition=partition, version=version,
            TransactionalId=self.name,
        )
        if answer.ErrorCode == NONE:
            self.sequence += len(values)
        return answer.ErrorCode

    def end(self, committed, version=3):
        answer = self.kafka.request("EndTxn", version, Committed=committed, **self.fields())
        if answer.ErrorCode == NONE and version >= 5:
            self.id, self.epoch, self.sequence = answer.ProducerId, answer.ProducerEpoch, 0
        return answer.ErrorCode


@pytest.fixture
def transaction(kafka, topic):
    return Transaction(kafka, topic)


def committed(kafka, topic, count):
    """What a committed reader has in the end: the judge writes markers behind the answer."""

    def stable():
        answer = fetch(kafka, topic, IsolationLevel=1)
        return answer.LastStableOffset == count and answer

    answer = eventually(stable)
    aborted = {row.ProducerId: row.FirstOffset for row in answer.AbortedTransactions or ()}
    return answer, aborted


@pytest.mark.parametrize("commit", [True, False])
def test_old_form(kafka, topic, transaction, commit):
    assert transaction.add(0) == {0: NONE}
    assert transaction.send(b"a", b"b") == NONE
    answer = fetch(kafka, topic, IsolationLevel=1)
    assert (answer.HighWatermark, answer.LastStableOffset, values(answer)) == (2, 0, [])
    assert list_offsets(kafka, topic, -1).Offset == 2
    assert transaction.end(commit) == NONE
    answer, aborted = committed(kafka, topic, 3)
    assert aborted == ({} if commit else {transaction.id: 0})
    first, marker = batches_of(answer.Records)
    assert first.is_transactional and not first.is_control
    assert marker.is_control and marker.is_transactional
    assert (marker.producer_id, marker.count, marker.sequence) == (transaction.id, 1, -1)
    (_, record) = [row for row in records_of(answer.Records) if row.offset >= 1]
    assert record.key == (b"\0\0\0\1" if commit else b"\0\0\0\0")


def test_new_form(kafka, topic, transaction):
    """KIP-890: producing adds the partition, and every end raises the epoch."""
    for round in range(3):
        assert transaction.send(b"%d" % round, version=12) == NONE
        epoch = transaction.epoch
        assert transaction.end(round != 1, version=5) == NONE
        assert transaction.epoch == epoch + 1
        committed(kafka, topic, 2 * round + 2)
    _, aborted = committed(kafka, topic, 6)
    assert aborted == {transaction.id: 2}


def test_old_form_wants_its_partitions_added(kafka, topic, transaction):
    assert transaction.send(b"a", version=9) in (INVALID_TXN_STATE, TRANSACTION_ABORTABLE)
    assert end(kafka, topic) == 0


def test_end_of_nothing(transaction):
    assert transaction.end(True) == INVALID_TXN_STATE


def test_end_said_twice(kafka, topic, transaction):
    transaction.add()
    transaction.send(b"a")
    assert transaction.end(True) == NONE
    committed(kafka, topic, 2)
    assert transaction.end(True) == NONE
    assert transaction.end(False) == INVALID_TXN_STATE


def test_fenced(kafka, topic, transaction):
    transaction.add()
    transaction.send(b"old")
    young = Transaction(kafka, topic)
    young.name = transaction.name
    young.begin()
    assert young.id == transaction.id and young.epoch > transaction.epoch
    assert transaction.send(b"zombie") == INVALID_PRODUCER_EPOCH
    assert transaction.end(True) == PRODUCER_FENCED
    assert transaction.end(True, version=1) == INVALID_PRODUCER_EPOCH
    assert transaction.add(0)[0] == PRODUCER_FENCED
    _, aborted = committed(kafka, topic, 2)
    assert aborted == {transaction.id: 0}


@pytest.mark.parametrize(
    "field,value,code",
    [("id", 1 << 40, INVALID_PRODUCER_ID_MAPPING), ("name", "nobody", INVALID_PRODUCER_ID_MAPPING),
     ("name", "", INVALID_REQUEST)],
)
def test_somebody_elses(transaction, field, value, code):
    setattr(transaction, field, value)
    assert transaction.end(True) == code


def test_unknown_partition_spoils_all(kafka, topic, transaction):
    found = transaction.add(0, 9)
    assert found == {0: 55, 9: UNKNOWN_TOPIC_OR_PARTITION}, "not attempted, and why"


def test_stable_end_is_the_first_open(kafka, connect, topic):
    one, other = Transaction(kafka, topic), Transaction(connect(), topic)
    for each in (one, other):
        each.add()
        each.send(b"x")
    assert one.end(True) == NONE
    committed(kafka, topic, 1)
    assert list_offsets(kafka, topic, -1).Offset == 3
    assert other.end(False) == NONE
    _, aborted = committed(kafka, topic, 4)
    assert aborted == {other.id: 1}


@pytest.mark.parametrize("isolation,offset", [(0, 2), (1, 0)])
def test_list_offsets_by_isolation(kafka, topic, transaction, isolation, offset):
    transaction.add()
    transaction.send(b"a", b"b")
    answer = kafka.request(
        "ListOffsets", 7, ReplicaId=-1, IsolationLevel=isolation,
        Topics=[{"Name": topic, "Partitions": [{"PartitionIndex": 0, "Timestamp": -1}]}],
    )
    assert answer.Topics[0].Partitions[0].Offset == offset


def test_not_transactional_in_between(kafka, topic, transaction):
    transaction.add()
    transaction.send(b"a")
    assert produce(kafka, topic).BaseOffset == 1
    answer = fetch(kafka, topic, IsolationLevel=1)
    assert values(answer) == []
    # A producer in a transaction may not write beside it.
    records = numbered(transaction.id, transaction.sequence, b"b", epoch=transaction.epoch)
    assert produce(kafka, topic, records).ErrorCode == INVALID_TXN_STATE


@pytest.mark.parametrize("version,add", [(3, True), (5, False)])
def test_offsets(kafka, topic, transaction, version, add):
    """AddOffsetsToTxn and TxnOffsetCommit; from version 5 the second does both."""
    group = unique("g")
    if add:
        answer = kafka.request("AddOffsetsToTxn", 3, GroupId=group, **transaction.fields())
        assert answer.ErrorCode == NONE
    rows = [{"Name": topic, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 7}]}]
    answer = kafka.request(
        "TxnOffsetCommit", version, GroupId=group, Topics=rows, GenerationId=-1,
        **transaction.fields(),
    )
    assert answer.Topics[0].Partitions[0].ErrorCode == NONE

    def fetched(stable):
        rows = [{"GroupId": group, "Topics": [{"Name": topic, "PartitionIndexes": [0]}]}]
        answer = kafka.request("OffsetFetch", 8, Groups=rows, RequireStable=stable)
        part = answer.Groups[0].Topics[0].Partitions[0]
        return part.ErrorCode, part.CommittedOffset

    assert fetched(False) == (NONE, -1)
    assert fetched(True) == (88, -1), "unstable offset commit"
    assert transaction.end(True, version=3 if add else 5) == NONE
    assert eventually(lambda: fetched(True)[0] == NONE and fetched(True)) == (NONE, 7)


def test_describe(kafka, topic, transaction):
    transaction.add()
    transaction.send(b"a")
    answer = kafka.request("DescribeTransactions", 0, TransactionalIds=[transaction.name, "nobody"])
    found, missing = sorted(answer.TransactionStates, key=lambda row: row.ErrorCode)
    assert (found.TransactionState, found.ProducerId) == ("Ongoing", transaction.id)
    assert [(row.Topic, row.Partitions) for row in found.Topics] == [(topic, [0])]
    assert missing.ErrorCode == 105
    rows = [{"Name": topic, "PartitionIndexes": [0, 5]}]
    parts = kafka.request("DescribeProducers", 0, Topics=rows).Topics[0].Partitions
    (active,) = parts[0].ActiveProducers
    assert (active.ProducerId, active.LastSequence, active.CurrentTxnStartOffset) == (
        transaction.id, 0, 0)
    assert parts[1].ErrorCode == UNKNOWN_TOPIC_OR_PARTITION
    rows = kafka.request("ListTransactions", 0, StateFilters=["Ongoing"]).TransactionStates
    assert transaction.name in [row.TransactionalId for row in rows]
    answer = kafka.request("ListTransactions", 0, StateFilters=["Dreaming", "Empty"])
    assert answer.UnknownStateFilters == ["Dreaming"]
    assert transaction.name not in [row.TransactionalId for row in answer.TransactionStates]


def test_timeout_aborts(kafka, topic):
    name = unique("t")
    answer = new_producer(kafka, name, TransactionTimeoutMs=300)
    one = Transaction.__new__(Transaction)
    one.kafka, one.topic, one.name = kafka, topic, name
    one.id, one.epoch, one.sequence = answer.ProducerId, answer.ProducerEpoch, 0
    one.add()
    one.send(b"a")
    _, aborted = committed(kafka, topic, 2)
    assert aborted == {one.id: 0}
    assert one.end(True) in (PRODUCER_FENCED, INVALID_PRODUCER_EPOCH)
