"""The formats, the paths, who may read them, and the dashboard."""

import json
import os
import re
from pathlib import Path

import pika
import pytest
from http_api import Api
from metrics import OPEN_METRICS, scrape, value

DASHBOARD = Path(__file__).parents[4] / "docs" / "grafana" / "bongsu.json"
DOCUMENT = Path(__file__).parents[4] / "docs" / "metrics.md"
FAMILIES = [
    "connection_churn_metrics",
    "node_metrics",
    "queue_coarse_metrics",
    "queue_consumer_count",
    "queue_metrics",
    "queue_delivery_metrics",
    "queue_age_metrics",
    "group_metrics",
    "exchange_metrics",
    "channel_metrics",
    "connection_coarse_metrics",
    "connection_metrics",
    "vhost_status",
]
# What RabbitMQ's own overview dashboard asks for.
OF_THE_OVERVIEW = """
    rabbitmq_build_info rabbitmq_identity_info rabbitmq_connections rabbitmq_channels
    rabbitmq_queues rabbitmq_consumers rabbitmq_queue_messages_ready
    rabbitmq_queue_messages_unacked rabbitmq_global_messages_received_total
    rabbitmq_global_messages_confirmed_total rabbitmq_global_messages_routed_total
    rabbitmq_global_messages_unroutable_dropped_total
    rabbitmq_global_messages_unroutable_returned_total
    rabbitmq_global_messages_delivered_consume_manual_ack_total
    rabbitmq_global_messages_delivered_consume_auto_ack_total
    rabbitmq_global_messages_delivered_get_manual_ack_total
    rabbitmq_global_messages_delivered_get_auto_ack_total rabbitmq_global_messages_get_empty_total
    rabbitmq_global_messages_redelivered_total rabbitmq_global_messages_acknowledged_total
    rabbitmq_global_messages_delivered_total rabbitmq_channel_messages_published_total
    rabbitmq_queues_declared_total rabbitmq_queues_created_total rabbitmq_queues_deleted_total
    rabbitmq_channels_opened_total rabbitmq_channels_closed_total
    rabbitmq_connections_opened_total rabbitmq_connections_closed_total
    rabbitmq_process_resident_memory_bytes rabbitmq_resident_memory_limit_bytes
    rabbitmq_disk_space_available_bytes rabbitmq_process_open_fds rabbitmq_process_max_fds
    rabbitmq_process_open_tcp_sockets rabbitmq_process_max_tcp_sockets
""".split()
DIFFICULT = 'a "queue" \\ of lines – å'


@pytest.fixture
def queue(amqp):
    channel = amqp().channel()
    channel.queue_declare(DIFFICULT)
    yield DIFFICULT
    channel.queue_delete(DIFFICULT)


@pytest.mark.parametrize("accept", [None, OPEN_METRICS])
@pytest.mark.parametrize("path", ["/metrics", "/metrics/per-object", "/metrics/detailed"])
def test_both_formats_are_read_by_their_parsers(api, queue, path, accept):
    query = "".join(f"&family={family}" for family in FAMILIES)
    samples = scrape(api, f"{path}?{query}", accept=accept)
    assert value(samples, "rabbitmq_build_info", product_name="Bongsu") == 1
    if path != "/metrics":
        infix = "detailed_" if path.endswith("detailed") else ""
        assert value(samples, f"rabbitmq_{infix}queue_messages_ready", queue=DIFFICULT) == 0


def test_all_that_the_overview_dashboard_asks_for_is_there(api):
    assert set(OF_THE_OVERVIEW) <= set(scrape(api))


def test_dashboard_asks_for_what_there_is_and_no_more(api):
    dashboard = json.loads(DASHBOARD.read_text())
    known = set(scrape(api))
    expressions = [
        target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])
    ]
    assert len(expressions) > 50
    for expression in expressions:
        named = re.findall(r"\b(?:rabbitmq|bongsu)_\w+", expression)
        assert named, expression
        assert set(named) <= known, set(named) - known


def test_document_lists_every_metric(api, queue):
    text = DOCUMENT.read_text()
    families = "".join(f"&family={family}" for family in FAMILIES)
    names = set(scrape(api)) | set(scrape(api, "/metrics/per-object"))
    detailed = scrape(api, f"/metrics/detailed?{families}")
    names |= {name.replace("_detailed_", "_") for name in detailed}
    names = {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}
    # A name that ends so without being of a histogram.
    missing = sorted(name for name in names if f"`{name}`" not in text)
    assert not missing


def test_pages_do_not_overlap_and_are_bounded(api, amqp):
    channel = amqp().channel()
    names = {f"page-{index}" for index in range(25)}
    for name in names:
        channel.queue_declare(name)
    seen = []
    for page in range(1, 10):
        path = f"/metrics/detailed?family=queue_coarse_metrics&page={page}&page_size=7"
        found = scrape(api, path).get("rabbitmq_detailed_queue_messages", [])
        seen += [labels["queue"] for labels, _ in found]
    assert len(seen) == len(set(seen))
    assert names <= set(seen)
    for name in names:
        channel.queue_delete(name)
    for wrong in ("page=0", "page=x", "page_size=1000000", "family=unheard_of"):
        response = api.get(f"/metrics/detailed?{wrong}")
        assert response.status_code == 400, wrong
        assert response.json()["reason"]


def test_admin_port_asks_who_it_is():
    for path in ("/metrics", "/metrics/per-object", "/metrics/detailed"):
        assert Api(os.environ["HTTP_URL"]).get(path).status_code == 401


def test_own_listener_is_open_and_tells_nothing_else(own_broker):
    from brokers import free_port

    port = free_port()
    own_broker(metrics_listen=f"127.0.0.1:{port}")
    api = Api(f"http://127.0.0.1:{port}")
    assert value(scrape(api), "rabbitmq_queues") == 0
    for path in ("/api/overview", "/health/live", "/bongsu/v1/queues", "/"):
        assert api.get(path).status_code == 404, path


def test_clients_are_told_by_protocol(own_broker):
    broker = own_broker()
    api = Api(broker.http, "guest", "guest")
    parameters = pika.URLParameters(f"amqp://guest:guest@127.0.0.1:{broker.amqp_port}/%2F")
    connection = pika.BlockingConnection(parameters)
    samples = scrape(api)
    assert value(samples, "bongsu_connections", protocol="AMQP 0-9-1") == 1
    assert value(samples, "bongsu_connections", protocol="Kafka") == 0
    connection.close()
