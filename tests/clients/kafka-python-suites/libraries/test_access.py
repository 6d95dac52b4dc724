"""Logins by every mechanism and client, and rules that hold: over a port where one logs in."""

import os
import warnings

import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from conftest import BOOTSTRAP
from helpers import eventually

SASL_BOOTSTRAP = os.environ.get("KAFKA_SASL_BOOTSTRAP", BOOTSTRAP)
MECHANISMS = ["SCRAM-SHA-256", "SCRAM-SHA-512"]


def credential(user, mechanism, password):
    kind = ScramMechanism.SCRAM_SHA_256 if mechanism.endswith("256") else ScramMechanism.SCRAM_SHA_512
    return UserScramCredentialUpsertion(user, ScramCredentialInfo(kind, 4096), password.encode())


def alter(admin, *changes):
    for result in admin.alter_user_scram_credentials(list(changes)).values():
        result.result(20)


@pytest.fixture
def user(admin, unique):
    """A user with both credentials."""
    name = unique("user")
    for mechanism in MECHANISMS:
        # Apache Kafka takes one change for each user in a request.
        alter(admin, credential(name, mechanism, "secret"))
    return name


def settings(user, mechanism, password="secret"):
    return {
        "bootstrap.servers": SASL_BOOTSTRAP,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": mechanism,
        "sasl.username": user,
        "sasl.password": password,
    }


def produce(producer, topic):
    """The error, if there is one."""
    errors = []
    try:
        producer.produce(topic, b"x", callback=lambda error, _message: errors.append(error))
    except KafkaException as refused:
        # The client knows already.
        return refused.args[0].name()
    assert producer.flush(20) == 0
    return errors[0] and errors[0].name()


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_confluent_logs_in(user, topic, mechanism):
    assert produce(Producer(settings(user, mechanism)), topic) is None


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_wrong_password_is_refused(user, mechanism):
    seen = []
    wrong = {**settings(user, mechanism, "wrong"), "error_cb": lambda error: seen.append(error.name())}
    producer = Producer(wrong)

    def refused():
        producer.poll(0.1)
        return "_AUTHENTICATION" in seen

    eventually(refused, "the refusal")


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_kafka_python_logs_in(user, topic, mechanism):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from kafka import KafkaProducer

        producer = KafkaProducer(
            bootstrap_servers=SASL_BOOTSTRAP,
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism=mechanism,
            sasl_plain_username=user,
            sasl_plain_password="secret",
        )
        assert producer.send(topic, b"x").get(20).offset == 0
        producer.close()


def test_credentials_are_told_and_removed(admin, user):
    told = admin.describe_user_scram_credentials([user])[user].result(20)
    assert sorted(info.iterations for info in told.scram_credential_infos) == [4096, 4096]
    alter(admin, UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_256))
    alter(admin, UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_512))
    with pytest.raises(KafkaException) as refused:
        admin.describe_user_scram_credentials([user])[user].result(20)
    assert refused.value.args[0].name() == "RESOURCE_NOT_FOUND"
    with pytest.raises(KafkaException) as refused:
        alter(admin, UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_512))
    assert refused.value.args[0].name() == "RESOURCE_NOT_FOUND"


@pytest.mark.parametrize("iterations", [4095, 16385])
def test_iterations_have_bounds(admin, unique, iterations):
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, iterations)
    with pytest.raises(KafkaException) as refused:
        alter(admin, UserScramCredentialUpsertion(unique("user"), info, b"secret"))
    assert refused.value.args[0].name() == "UNACCEPTABLE_CREDENTIAL"


def rule(topic, user, operation, permission=AclPermissionType.ALLOW, pattern=ResourcePatternType.LITERAL):
    return AclBinding(ResourceType.TOPIC, topic, pattern, f"User:{user}", "*", operation, permission)


def about(topic, pattern=ResourcePatternType.MATCH):
    any_operation, any_permission = AclOperation.ANY, AclPermissionType.ANY
    return AclBindingFilter(ResourceType.TOPIC, topic, pattern, None, None, any_operation, any_permission)


def add(admin, *rules):
    for result in admin.create_acls(list(rules)).values():
        result.result(20)


def remove(admin, topic):
    """How many rules there were."""
    (result,) = admin.delete_acls([about(topic)]).values()
    return len(result.result(20))


def test_a_rule_allows_what_it_says_and_nothing_else(admin, user, topic):
    assert produce(Producer(settings(user, "SCRAM-SHA-256")), topic) is None
    add(admin, rule(topic, user, AclOperation.READ))

    def denied():
        error = produce(Producer(settings(user, "SCRAM-SHA-256")), topic)
        return error == "TOPIC_AUTHORIZATION_FAILED"

    eventually(denied, "the rule")
    group = {"group.id": topic, "auto.offset.reset": "earliest"}
    consumer = Consumer({**settings(user, "SCRAM-SHA-256"), **group})
    consumer.subscribe([topic])
    message = eventually(lambda: consumer.poll(1), "a record")
    assert message.error() is None and message.value() == b"x"
    consumer.close()
    assert remove(admin, topic) == 1

    def allowed():
        return produce(Producer(settings(user, "SCRAM-SHA-256")), topic) is None

    eventually(allowed, "the end of the rule")


def test_deny_goes_before_allow_and_prefixes_count(admin, user, topic):
    deny = AclPermissionType.DENY
    add(
        admin,
        rule(topic, user, AclOperation.ALL),
        rule(topic[:-3], user, AclOperation.WRITE, deny, ResourcePatternType.PREFIXED),
    )
    found = admin.describe_acls(about(topic)).result(20)
    assert sorted(acl.name for acl in found) == sorted([topic, topic[:-3]])
    found = admin.describe_acls(about(topic, ResourcePatternType.LITERAL)).result(20)
    assert [acl.name for acl in found] == [topic]

    def denied():
        error = produce(Producer(settings(user, "SCRAM-SHA-512")), topic)
        return error == "TOPIC_AUTHORIZATION_FAILED"

    eventually(denied, "the rule")
    assert remove(admin, topic) == 2


def test_plain_users_do_not_change_who_may_come_in(user, unique):
    """What no rule is about is open on Bongsu, but for access itself; Kafka's judge is set to be open."""
    if SASL_BOOTSTRAP != BOOTSTRAP:
        pytest.skip("Apache Kafka opens the cluster, too, where no rule is about it")
    plain = AdminClient(settings(user, "SCRAM-SHA-256"))
    with pytest.raises(KafkaException) as refused:
        alter(plain, credential(unique("user"), "SCRAM-SHA-256", "secret"))
    assert refused.value.args[0].name() == "CLUSTER_AUTHORIZATION_FAILED"
