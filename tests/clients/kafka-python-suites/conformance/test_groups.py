"""Groups, a request at a time: classic, the broker's own, and share groups."""

import uuid

import pytest
from helpers import *
from records import *
from wire import unique

NOBODY = ""


@pytest.fixture
def group(kafka):
    name = unique("g")
    answer = eventually(
        lambda: (found := kafka.request("FindCoordinator", 2, Key=name)).ErrorCode == NONE and found
    )
    assert answer.Port
    return name


def join(kafka, group, member=NOBODY, version=5, **fields):
    body = {
        "GroupId": group, "SessionTimeoutMs": 60_000, "MemberId": member,
        "ProtocolType": "consumer",
        "Protocols": [{"Name": "range", "Metadata": b"meta"}],
    }
    if version >= 1:
        body["RebalanceTimeoutMs"] = 10_000
    return kafka.request("JoinGroup", version, **(body | fields))


def sync(kafka, group, member, generation, assignments=(), version=3, **fields):
    rows = [{"MemberId": name, "Assignment": data} for name, data in dict(assignments).items()]
    return kafka.request(
        "SyncGroup", version, GroupId=group, GenerationId=generation, MemberId=member,
        Assignments=rows, **fields,
    )


def heartbeat(kafka, group, member, generation, version=3, **fields):
    return kafka.request(
        "Heartbeat", version, GroupId=group, GenerationId=generation, MemberId=member, **fields
    ).ErrorCode


def commit(kafka, group, topic, offset, member=NOBODY, generation=-1, version=7, **fields):
    part = {"PartitionIndex": 0, "CommittedOffset": offset} | fields.pop("part", {})
    answer = kafka.request(
        "OffsetCommit", version, GroupId=group, GenerationIdOrMemberEpoch=generation,
        MemberId=member, Topics=[{"Name": topic, "Partitions": [part]}], **fields,
    )
    return answer.Topics[0].Partitions[0].ErrorCode


def fetched(kafka, group, topic, partition=0, version=7):
    answer = kafka.request(
        "OffsetFetch", version, GroupId=group,
        Topics=[{"Name": topic, "PartitionIndexes": [partition]}],
    )
    return answer.Topics[0].Partitions[0]


class Member:
    """The only member of a classic group, joined and synced."""

    def __init__(self, kafka, group, **fields):
        self.kafka, self.group = kafka, group
        first = join(kafka, group, **fields)
        self.id = first.MemberId
        if first.ErrorCode == MEMBER_ID_REQUIRED:
            first = join(kafka, group, self.id, **fields)
        assert first.ErrorCode == NONE
        self.generation, self.leader = first.GenerationId, first.Leader
        self.joined = first
        answer = sync(kafka, group, self.id, self.generation, {self.id: b"mine"})
        assert (answer.ErrorCode, answer.Assignment) == (NONE, b"mine")

    def beat(self):
        return heartbeat(self.kafka, self.group, self.id, self.generation)


@pytest.mark.parametrize("version", range(7))
def test_find_coordinator(kafka, version):
    def found():
        """One row, in the form of one or of many."""
        if version < 4:
            body = {"Key": "a"} | ({"KeyType": 0} if version >= 1 else {})
            rows = [kafka.request("FindCoordinator", version, **body)]
        else:
            keys = ["a", "b"]
            rows = kafka.request("FindCoordinator", version, KeyType=0, CoordinatorKeys=keys)
            rows = rows.Coordinators
            assert [row.Key for row in rows] == keys
        return rows[0].ErrorCode == NONE and rows[0]

    answer = eventually(found)
    assert (answer.NodeId, answer.Port > 0) == (1, True)


def test_find_coordinator_of_an_unknown_kind(kafka):
    assert kafka.request("FindCoordinator", 2, Key="x", KeyType=9).ErrorCode == INVALID_REQUEST


@pytest.mark.parametrize("version", range(10))
def test_join_and_sync(kafka, group, version):
    first = join(kafka, group, version=version)
    member = first.MemberId
    if version >= 4:
        assert (first.ErrorCode, bool(member)) == (MEMBER_ID_REQUIRED, True)
        first = join(kafka, group, member, version=version)
    assert (first.ErrorCode, first.GenerationId) == (NONE, 1)
    assert (first.Leader, first.ProtocolName) == (member, "range")
    assert [(row.MemberId, row.Metadata) for row in first.Members] == [(member, b"meta")]
    sync_version = min(version, 5)
    fields = {"ProtocolType": "consumer", "ProtocolName": "range"} if sync_version == 5 else {}
    answer = sync(kafka, group, member, 1, {member: b"parts"}, version=sync_version, **fields)
    assert (answer.ErrorCode, answer.Assignment) == (NONE, b"parts")
    assert heartbeat(kafka, group, member, 1, version=min(version, 4)) == NONE


def test_two_members(kafka, connect, group):
    one, second = Member(kafka, group), connect()
    required = join(second, group)
    # The second waits for the first, who is told by a heartbeat.
    second.send(
        "JoinGroup", 5, GroupId=group, SessionTimeoutMs=10_000, RebalanceTimeoutMs=10_000,
        MemberId=required.MemberId, ProtocolType="consumer",
        Protocols=[{"Name": "roundrobin", "Metadata": b""}, {"Name": "range", "Metadata": b"two"}],
    )
    eventually(lambda: one.beat() == REBALANCE_IN_PROGRESS)
    again = join(kafka, group, one.id)
    other = second.receive()
    assert again.GenerationId == other.GenerationId == 2
    assert again.ProtocolName == other.ProtocolName == "range"
    assert again.Leader == other.Leader == one.id
    assert {row.MemberId for row in again.Members} == {one.id, other.MemberId}
    assert other.Members == [], "only the leader hears of all"
    second.send("SyncGroup", 3, GroupId=group, GenerationId=2, MemberId=other.MemberId)
    assert second.is_quiet(0.05)
    shares = {one.id: b"1", other.MemberId: b"2"}
    assert sync(kafka, group, one.id, 2, shares).Assignment == b"1"
    assert second.receive().Assignment == b"2"
    # One leaves: the other is told.
    answer = second.request("LeaveGroup", 3, GroupId=group, Members=[{"MemberId": other.MemberId}])
    assert (answer.ErrorCode, answer.Members[0].ErrorCode) == (NONE, NONE)
    assert heartbeat(kafka, group, one.id, 2) == REBALANCE_IN_PROGRESS


def test_member_that_vanishes_while_all_join(kafka, connect, group):
    """The rebalance waits no longer than its time for one who is gone."""
    first = connect()
    gone = Member(first, group, SessionTimeoutMs=1000, RebalanceTimeoutMs=1000)
    first.close()
    required = join(kafka, group)
    answer = join(kafka, group, required.MemberId)
    assert (answer.ErrorCode, answer.Leader) == (NONE, answer.MemberId)
    assert gone.id not in [row.MemberId for row in answer.Members]


@pytest.mark.parametrize(
    "fields,code",
    [
        ({"GroupId": ""}, INVALID_GROUP_ID),
        ({"SessionTimeoutMs": 1}, INVALID_SESSION_TIMEOUT),
        ({"SessionTimeoutMs": 100_000_000}, INVALID_SESSION_TIMEOUT),
        ({"MemberId": "nobody"}, UNKNOWN_MEMBER_ID),
        ({"ProtocolType": ""}, INCONSISTENT_GROUP_PROTOCOL),
        ({"Protocols": []}, INCONSISTENT_GROUP_PROTOCOL),
    ],
)
def test_join_refused(kafka, group, fields, code):
    assert join(kafka, group, **fields).ErrorCode == code


@pytest.mark.parametrize("fields", [{"ProtocolType": "connect"},
                                    {"Protocols": [{"Name": "sticky", "Metadata": b""}]}])
def test_join_a_group_of_others(kafka, connect, group, fields):
    Member(kafka, group)
    assert join(connect(), group, **fields).ErrorCode == INCONSISTENT_GROUP_PROTOCOL


def test_what_is_not_so(kafka, group, topic):
    member = Member(kafka, group)
    assert heartbeat(kafka, group, "nobody", 1) == UNKNOWN_MEMBER_ID
    assert heartbeat(kafka, group, member.id, 9) == ILLEGAL_GENERATION
    assert heartbeat(kafka, unique("g"), member.id, 1) == UNKNOWN_MEMBER_ID
    assert sync(kafka, group, "nobody", 1).ErrorCode == UNKNOWN_MEMBER_ID
    assert sync(kafka, group, member.id, 9).ErrorCode == ILLEGAL_GENERATION
    assert commit(kafka, group, topic, 1, "nobody", 1) == UNKNOWN_MEMBER_ID
    assert commit(kafka, group, topic, 1, member.id, 9) == ILLEGAL_GENERATION
    assert commit(kafka, group, topic, 1) == UNKNOWN_MEMBER_ID, "nobody, in a group with members"
    assert commit(kafka, group, topic, 1, member.id, 1) == NONE
    answer = kafka.request("LeaveGroup", 3, GroupId=group, Members=[{"MemberId": "nobody"}])
    assert answer.Members[0].ErrorCode == UNKNOWN_MEMBER_ID


def test_sync_again_has_the_same(kafka, group):
    member = Member(kafka, group)
    assert sync(kafka, group, member.id, 1).Assignment == b"mine"


def test_join_again_as_a_follower_changes_nothing(kafka, group):
    member = Member(kafka, group)
    # The leader that joins again makes a new generation.
    answer = join(kafka, group, member.id)
    assert (answer.ErrorCode, answer.GenerationId) == (NONE, 2)


def test_static_member_comes_back(kafka, connect, group):
    member = Member(kafka, group, GroupInstanceId="one")
    answer = join(connect(), group, GroupInstanceId="one")
    assert answer.ErrorCode == NONE
    assert answer.MemberId != member.id
    assert answer.GenerationId == 1, "the same assignment, without a rebalance"
    assert sync(kafka, group, answer.MemberId, 1).Assignment == b"mine"
    assert heartbeat(kafka, group, member.id, 1, GroupInstanceId="one") == FENCED_INSTANCE_ID
    assert heartbeat(kafka, group, member.id, 1) == UNKNOWN_MEMBER_ID


def test_static_member_is_removed_by_name(kafka, group):
    Member(kafka, group, GroupInstanceId="one")
    rows = [{"MemberId": "", "GroupInstanceId": "one"}, {"MemberId": "", "GroupInstanceId": "no"}]
    answer = kafka.request("LeaveGroup", 3, GroupId=group, Members=rows)
    assert [row.ErrorCode for row in answer.Members] == [NONE, UNKNOWN_MEMBER_ID]


@pytest.mark.parametrize("version", range(2, 11))
def test_commit_and_fetch(kafka, group, topic, version):
    part = {"PartitionIndex": 0, "CommittedOffset": 5, "CommittedMetadata": "five"}
    row = {"Name": topic, "Partitions": [part]}
    if version >= 10:
        row = {"TopicId": topic_id(kafka, topic), "Partitions": [part]}
    body = {"GenerationIdOrMemberEpoch": -1, "MemberId": ""}
    answer = kafka.request("OffsetCommit", version, GroupId=group, Topics=[row], **body)
    assert answer.Topics[0].Partitions[0].ErrorCode == NONE
    found = fetched(kafka, group, topic)
    assert (found.ErrorCode, found.CommittedOffset, found.Metadata) == (NONE, 5, "five")


@pytest.mark.parametrize("version", range(1, 11))
def test_fetch_offsets(kafka, group, topic, version):
    commit(kafka, group, topic, 5, part={"CommittedLeaderEpoch": 0})
    if version < 8:
        rows = [{"Name": topic, "PartitionIndexes": [0, 1]}]
        topics = kafka.request("OffsetFetch", version, GroupId=group, Topics=rows).Topics
    else:
        row = {"Name": topic} if version < 10 else {"TopicId": topic_id(kafka, topic)}
        rows = [{"GroupId": group, "Topics": [row | {"PartitionIndexes": [0, 1]}]}]
        (found,) = kafka.request("OffsetFetch", version, Groups=rows).Groups
        assert (found.GroupId, found.ErrorCode) == (group, NONE)
        topics = found.Topics
    parts = {part.PartitionIndex: part for part in topics[0].Partitions}
    assert (parts[0].CommittedOffset, parts[1].CommittedOffset) == (5, -1)
    assert parts[1].ErrorCode == NONE
    if version >= 5:
        assert (parts[0].CommittedLeaderEpoch, parts[1].CommittedLeaderEpoch) == (0, -1)


def test_fetch_all_offsets(kafka, group, topic):
    commit(kafka, group, topic, 5)
    answer = kafka.request("OffsetFetch", 7, GroupId=group, Topics=None)
    assert [row.Name for row in answer.Topics] == [topic]
    answer = kafka.request("OffsetFetch", 8, Groups=[{"GroupId": group, "Topics": None},
                                                     {"GroupId": unique("g"), "Topics": None}])
    assert [len(row.Topics) for row in answer.Groups] == [1, 0]


def test_commit_to_nowhere(kafka, group):
    assert commit(kafka, group, unique("nowhere"), 1) == UNKNOWN_TOPIC_OR_PARTITION


def test_commit_with_much_metadata(kafka, group, topic):
    part = {"CommittedMetadata": "x" * 5000}
    assert commit(kafka, group, topic, 1, part=part) == OFFSET_METADATA_TOO_LARGE
    assert commit(kafka, group, topic, 1, part={"CommittedMetadata": "x" * 4096}) == NONE


@pytest.mark.parametrize("version", range(7))
def test_describe(kafka, group, version):
    fields = {"GroupInstanceId": "static"} if version >= 4 else {}
    member = Member(kafka, group, **fields)
    (found,) = kafka.request("DescribeGroups", version, Groups=[group]).Groups
    assert (found.ErrorCode, found.GroupState) == (NONE, "Stable")
    assert (found.ProtocolType, found.ProtocolData) == ("consumer", "range")
    (row,) = found.Members
    assert (row.MemberId, row.ClientId) == (member.id, "conformance")
    assert row.ClientHost.startswith("/127.")
    assert (row.MemberMetadata, row.MemberAssignment) == (b"meta", b"mine")


def test_describe_of_nobody(kafka):
    (found,) = kafka.request("DescribeGroups", 5, Groups=[unique("g")]).Groups
    assert (found.ErrorCode, found.GroupState, found.Members) == (NONE, "Dead", [])
    (found,) = kafka.request("DescribeGroups", 6, Groups=[unique("g")]).Groups
    assert (found.ErrorCode, found.GroupState) == (GROUP_ID_NOT_FOUND, "Dead")


def listed(kafka, version, group, **filters):
    answer = kafka.request("ListGroups", version, **filters)
    assert answer.ErrorCode == NONE
    return next((row for row in answer.Groups if row.GroupId == group), None)


@pytest.mark.parametrize("version", range(6))
def test_list(kafka, group, version):
    Member(kafka, group)
    row = listed(kafka, version, group)
    assert row.ProtocolType == "consumer"
    if version >= 4:
        assert row.GroupState == "Stable"
        assert listed(kafka, version, group, StatesFilter=["Empty"]) is None
        assert listed(kafka, version, group, StatesFilter=["stable"])
    if version >= 5:
        assert row.GroupType == "classic"
        assert listed(kafka, version, group, TypesFilter=["consumer"]) is None
        assert listed(kafka, version, group, TypesFilter=["Classic"])


def test_delete(kafka, group, topic):
    member = Member(kafka, group)
    commit(kafka, group, topic, 5, member.id, 1)
    names = [group, unique("g"), ""]
    rows = kafka.request("DeleteGroups", 2, GroupsNames=names).Results
    codes = {row.GroupId: row.ErrorCode for row in rows}
    assert codes == {group: NON_EMPTY_GROUP, names[1]: GROUP_ID_NOT_FOUND, "": GROUP_ID_NOT_FOUND}
    kafka.request("LeaveGroup", 3, GroupId=group, Members=[{"MemberId": member.id}])
    (row,) = kafka.request("DeleteGroups", 2, GroupsNames=[group]).Results
    assert row.ErrorCode == NONE
    assert fetched(kafka, group, topic).CommittedOffset == -1


def test_delete_offsets(kafka, group, topic):
    commit(kafka, group, topic, 5)
    rows = [{"Name": topic, "Partitions": [{"PartitionIndex": 0}]}]
    answer = kafka.request("OffsetDelete", 0, GroupId=group, Topics=rows)
    assert (answer.ErrorCode, answer.Topics[0].Partitions[0].ErrorCode) == (NONE, NONE)
    assert fetched(kafka, group, topic).CommittedOffset == -1
    answer = kafka.request("OffsetDelete", 0, GroupId=unique("g"), Topics=rows)
    assert answer.ErrorCode == GROUP_ID_NOT_FOUND


def test_delete_of_a_topic_forgets_its_offsets(kafka, group, topic):
    commit(kafka, group, topic, 5)
    kafka.request("DeleteTopics", 5, TopicNames=[topic], TimeoutMs=5000)
    eventually(lambda: metadata(kafka, topic).ErrorCode == UNKNOWN_TOPIC_OR_PARTITION)
    auto_create(kafka, topic)
    eventually(lambda: fetched(kafka, group, topic).CommittedOffset == -1)


# The broker's own assignment (KIP-848).


def consumer(kafka, group, member, epoch, topics=None, version=1, **fields):
    body = {"GroupId": group, "MemberId": member, "MemberEpoch": epoch}
    if epoch == 0:
        body |= {"RebalanceTimeoutMs": 5000, "TopicPartitions": []}
    if topics is not None:
        body["SubscribedTopicNames"] = topics
    return kafka.request("ConsumerGroupHeartbeat", version, **(body | fields))


def parts_of(answer):
    if answer.Assignment is None:
        return None
    return sorted(part for row in answer.Assignment.TopicPartitions for part in row.Partitions)


def test_consumer_protocol(kafka, connect, group, new_topic):
    topic = new_topic(partitions=4)
    one, two = str(uuid.uuid4()), str(uuid.uuid4())
    answer = consumer(kafka, group, one, 0, [topic])
    assert (answer.ErrorCode, answer.MemberId) == (NONE, one)
    assert answer.MemberEpoch >= 1 and answer.HeartbeatIntervalMs > 0
    assert parts_of(answer) == [0, 1, 2, 3]
    assert answer.Assignment.TopicPartitions[0].TopicId == topic_id(kafka, topic)
    epoch = answer.MemberEpoch
    owned = [{"TopicId": topic_id(kafka, topic), "Partitions": [0, 1, 2, 3]}]
    assert parts_of(consumer(kafka, group, one, epoch, TopicPartitions=owned)) is None, "no change"
    # The second gets what the first has given up.
    answer = consumer(kafka, group, two, 0, [topic])
    assert (answer.ErrorCode, parts_of(answer)) == (NONE, [])
    epoch_of_two = answer.MemberEpoch
    kept = eventually(lambda: parts_of(consumer(kafka, group, one, epoch, TopicPartitions=owned)))
    assert len(kept) == 2
    owned[0]["Partitions"] = kept
    epoch = consumer(kafka, group, one, epoch, TopicPartitions=owned).MemberEpoch
    assert epoch >= epoch_of_two
    got = eventually(lambda: parts_of(consumer(kafka, group, two, epoch_of_two, TopicPartitions=[])))
    assert sorted(kept + got) == [0, 1, 2, 3]
    # Leaving is the epoch -1.
    assert consumer(kafka, group, two, -1).MemberEpoch == -1
    answer = consumer(kafka, group, one, epoch, TopicPartitions=owned)
    assert answer.ErrorCode == NONE


def test_consumer_protocol_describe_and_list(kafka, group, topic):
    member = str(uuid.uuid4())
    consumer(kafka, group, member, 0, [topic])
    (found,) = kafka.request("ConsumerGroupDescribe", 1, GroupIds=[group]).Groups
    assert (found.ErrorCode, found.GroupState, found.AssignorName) == (NONE, "Stable", "uniform")
    (row,) = found.Members
    assert (row.MemberId, row.SubscribedTopicNames) == (member, [topic])
    assert row.Assignment.TopicPartitions[0].TopicName == topic
    row = listed(kafka, 5, group)
    assert (row.GroupType, row.GroupState) == ("consumer", "Stable")
    # The classic requests keep off.
    assert join(kafka, group).ErrorCode in (MEMBER_ID_REQUIRED, INCONSISTENT_GROUP_PROTOCOL)
    (found,) = kafka.request("ConsumerGroupDescribe", 1, GroupIds=[unique("g")]).Groups
    assert found.ErrorCode == GROUP_ID_NOT_FOUND


@pytest.mark.parametrize(
    "fields,code",
    [
        ({"GroupId": ""}, INVALID_REQUEST),
        ({"MemberId": ""}, INVALID_REQUEST),
        ({"RebalanceTimeoutMs": -1}, INVALID_REQUEST),
        ({"TopicPartitions": None}, INVALID_REQUEST),
        ({"SubscribedTopicNames": None}, INVALID_REQUEST),
        ({"ServerAssignor": "nobody"}, UNSUPPORTED_ASSIGNOR),
        ({"SubscribedTopicRegex": "["}, INVALID_REGULAR_EXPRESSION),
        ({"MemberEpoch": -3}, INVALID_REQUEST),
        ({"MemberEpoch": 5}, GROUP_ID_NOT_FOUND),
    ],
)
def test_consumer_protocol_refused(kafka, group, topic, fields, code):
    answer = consumer(kafka, group, str(uuid.uuid4()), 0, [topic], **fields)
    assert answer.ErrorCode == code


def test_consumer_protocol_epochs(kafka, group, topic):
    member = str(uuid.uuid4())
    epoch = consumer(kafka, group, member, 0, [topic]).MemberEpoch
    assert consumer(kafka, group, member, epoch + 1).ErrorCode == FENCED_MEMBER_EPOCH
    assert consumer(kafka, group, "nobody", epoch).ErrorCode == UNKNOWN_MEMBER_ID
    assert commit(kafka, group, topic, 1, member, epoch, version=9) == NONE
    assert commit(kafka, group, topic, 1, member, epoch + 1, version=9) == STALE_MEMBER_EPOCH
    assert commit(kafka, group, topic, 1, "nobody", epoch, version=9) == UNKNOWN_MEMBER_ID
    rows = [{"GroupId": group, "MemberId": member, "MemberEpoch": epoch + 1, "Topics": None}]
    answer = kafka.request("OffsetFetch", 9, Groups=rows)
    assert answer.Groups[0].ErrorCode == STALE_MEMBER_EPOCH


def test_consumer_protocol_static(kafka, group, topic):
    member, other = str(uuid.uuid4()), str(uuid.uuid4())
    epoch = consumer(kafka, group, member, 0, [topic], InstanceId="one").MemberEpoch
    answer = consumer(kafka, group, other, 0, [topic], InstanceId="one")
    assert answer.ErrorCode == UNRELEASED_INSTANCE_ID
    assert consumer(kafka, group, member, -2, InstanceId="one").MemberEpoch == -2
    answer = consumer(kafka, group, other, 0, [topic], InstanceId="one")
    assert (answer.ErrorCode, parts_of(answer)) == (NONE, [0])
    answer = consumer(kafka, group, member, epoch, InstanceId="one")
    assert answer.ErrorCode == FENCED_INSTANCE_ID


# Share groups (KIP-932).


def share_beat(kafka, group, member, epoch, topics=None, **fields):
    body = {"GroupId": group, "MemberId": member, "MemberEpoch": epoch}
    if topics is not None:
        body["SubscribedTopicNames"] = topics
    return kafka.request("ShareGroupHeartbeat", 1, **(body | fields))


class Sharer:
    """A member of a share group on one partition, whose session is open."""

    def __init__(self, kafka, group, topic):
        self.kafka, self.group, self.id = kafka, group, str(uuid.uuid4())
        self.topic_id = topic_id(kafka, topic)
        answer = share_beat(kafka, group, self.id, 0, [topic])
        assert answer.ErrorCode == NONE
        self.epoch = answer.MemberEpoch
        if parts_of(answer) != [0]:
            eventually(lambda: parts_of(share_beat(kafka, group, self.id, self.epoch)) == [0])
        self.session = 0

    def fetch(self, acknowledged=(), session=None, **fields):
        session = self.session if session is None else session
        part = {"PartitionIndex": 0, "AcknowledgementBatches": rows_of(acknowledged)}
        answer = self.kafka.request("ShareFetch", 1, **({
            "GroupId": self.group, "MemberId": self.id, "ShareSessionEpoch": session,
            "MaxWaitMs": 300, "MinBytes": 1, "MaxBytes": 1 << 20, "MaxRecords": 500,
            "BatchSize": 500,
            "Topics": [{"TopicId": self.topic_id, "Partitions": [part]}],
        } | fields))
        if answer.ErrorCode == NONE:
            self.session = session + 1
        return answer

    def take(self):
        """The part that has records."""
        def part():
            answer = self.fetch()
            assert answer.ErrorCode == NONE
            parts = [row for topic in answer.Responses for row in topic.Partitions]
            return parts and parts[0].AcquiredRecords and parts[0]

        return eventually(part)

    def acknowledge(self, *acknowledged, session=None):
        session = self.session if session is None else session
        part = {"PartitionIndex": 0, "AcknowledgementBatches": rows_of(acknowledged)}
        answer = self.kafka.request(
            "ShareAcknowledge", 1, GroupId=self.group, MemberId=self.id, ShareSessionEpoch=session,
            Topics=[{"TopicId": self.topic_id, "Partitions": [part]}],
        )
        if answer.ErrorCode != NONE:
            return answer.ErrorCode
        self.session = session + 1
        return answer.Responses[0].Partitions[0].ErrorCode


def rows_of(acknowledged):
    return [
        {"FirstOffset": first, "LastOffset": last, "AcknowledgeTypes": types}
        for first, last, types in acknowledged
    ]


ACCEPT, RELEASE, REJECT = 1, 2, 3


@pytest.fixture
def sharer(kafka, topic):
    group = unique("share")
    rows = [{"Name": "share.auto.offset.reset", "ConfigOperation": 0, "Value": "earliest"}]
    kafka.request(
        "IncrementalAlterConfigs", 1,
        Resources=[{"ResourceType": 32, "ResourceName": group, "Configs": rows}],
    )
    return Sharer(kafka, group, topic)


def acquired(part):
    return [(row.FirstOffset, row.LastOffset, row.DeliveryCount) for row in part.AcquiredRecords]


def test_share(kafka, topic, sharer):
    produce(kafka, topic, batch(b"a", b"b", b"c"))
    part = sharer.take()
    assert values(part) == [b"a", b"b", b"c"]
    assert acquired(part) == [(0, 2, 1)]
    assert sharer.acknowledge((0, 2, [ACCEPT, RELEASE, REJECT])) == NONE
    part = sharer.take()
    assert acquired(part) == [(1, 1, 2)]
    answer = sharer.fetch([(1, 1, [ACCEPT])])
    assert answer.Responses[0].Partitions[0].AcknowledgeErrorCode == NONE
    assert sharer.acknowledge((1, 1, [ACCEPT])) in (NONE, INVALID_RECORD_STATE)


# Beyond the end, and twice the same: what nobody holds, or what nobody may say. The judge is
# not the same in both.
NOT_HELD = (INVALID_REQUEST, INVALID_RECORD_STATE)


@pytest.mark.parametrize(
    "rows,code",
    [
        ([(5, 5, [ACCEPT])], NOT_HELD),
        ([(2, 1, [ACCEPT])], INVALID_REQUEST),
        ([(0, 0, [9])], INVALID_REQUEST),
        ([(0, 2, [ACCEPT, ACCEPT])], INVALID_REQUEST),
        ([(0, 0, [])], INVALID_REQUEST),
        ([(1, 1, [ACCEPT]), (0, 0, [ACCEPT])], INVALID_REQUEST),
        ([(0, 1, [ACCEPT]), (1, 2, [ACCEPT])], NOT_HELD),
    ],
)
def test_share_bad_acknowledgement(kafka, topic, sharer, rows, code):
    produce(kafka, topic, batch(b"a", b"b", b"c"))
    sharer.take()
    found = sharer.acknowledge(*rows)
    assert found in code if code is NOT_HELD else found == code


def test_share_sessions(kafka, connect, topic, sharer):
    assert sharer.fetch(session=7).ErrorCode == SHARE_SESSION_NOT_FOUND
    assert sharer.acknowledge((0, 0, [ACCEPT]), session=3) == SHARE_SESSION_NOT_FOUND
    assert sharer.fetch(session=0).ErrorCode == NONE
    assert sharer.fetch(session=7).ErrorCode == INVALID_SHARE_SESSION_EPOCH
    assert sharer.acknowledge((0, 0, [ACCEPT]), session=0) == INVALID_SHARE_SESSION_EPOCH
    assert sharer.fetch(session=1, Topics=[]).ErrorCode == NONE


def test_share_session_that_closes_gives_all_back(kafka, topic, sharer):
    produce(kafka, topic, batch(b"a", b"b"))
    assert acquired(sharer.take()) == [(0, 1, 1)]
    assert sharer.fetch(session=-1, Topics=[]).ErrorCode == NONE
    sharer.session = 0
    # A closed session's records were not delivered in vain: the count stands.
    assert [row[:2] for row in acquired(sharer.take())] == [(0, 1)]


def test_share_between_two(kafka, connect, topic, sharer):
    produce(kafka, topic, batch(b"a"))
    other = Sharer(connect(), sharer.group, topic)
    assert acquired(sharer.take()) == [(0, 0, 1)]
    other.fetch()
    answer = other.fetch()
    assert not [part.AcquiredRecords for row in answer.Responses for part in row.Partitions
                if part.AcquiredRecords]
    assert other.acknowledge((0, 0, [ACCEPT])) == INVALID_RECORD_STATE
    assert sharer.acknowledge((0, 0, [RELEASE])) == NONE
    assert acquired(other.take()) == [(0, 0, 2)]


@pytest.mark.parametrize(
    "fields,code",
    [
        ({"GroupId": ""}, INVALID_REQUEST),
        ({"MemberId": ""}, INVALID_REQUEST),
        ({"SubscribedTopicNames": None}, INVALID_REQUEST),
        ({"MemberEpoch": 5}, GROUP_ID_NOT_FOUND),
    ],
)
def test_share_heartbeat_refused(kafka, topic, fields, code):
    group = unique("share")
    answer = share_beat(kafka, group, str(uuid.uuid4()), 0, [topic], **fields)
    assert answer.ErrorCode == code


def test_share_offsets(kafka, topic, sharer):
    produce(kafka, topic, batch(b"a", b"b", b"c"))
    sharer.take()
    (found,) = kafka.request("ShareGroupDescribe", 1, GroupIds=[sharer.group]).Groups
    assert (found.ErrorCode, found.GroupState) == (NONE, "Stable")
    assert [row.MemberId for row in found.Members] == [sharer.id]
    assert listed(kafka, 5, sharer.group).GroupType == "share"

    def offset():
        rows = [{"GroupId": sharer.group,
                 "Topics": [{"TopicName": topic, "Partitions": [0]}]}]
        answer = kafka.request("DescribeShareGroupOffsets", 0, Groups=rows)
        return answer.Groups[0].Topics[0].Partitions[0].StartOffset

    alter = [{"TopicName": topic, "Partitions": [{"PartitionIndex": 0, "StartOffset": 2}]}]
    answer = kafka.request("AlterShareGroupOffsets", 0, GroupId=sharer.group, Topics=alter)
    assert answer.ErrorCode == NON_EMPTY_GROUP
    # As clients leave: the session first, which gives back what is held.
    assert sharer.fetch(session=-1, Topics=[]).ErrorCode == NONE
    share_beat(kafka, sharer.group, sharer.id, -1)
    answer = kafka.request("AlterShareGroupOffsets", 0, GroupId=sharer.group, Topics=alter)
    assert answer.ErrorCode == NONE
    assert answer.Responses[0].Partitions[0].ErrorCode == NONE
    eventually(lambda: offset() == 2)
    (row,) = kafka.request("DeleteGroups", 2, GroupsNames=[sharer.group]).Results
    assert row.ErrorCode == NONE
