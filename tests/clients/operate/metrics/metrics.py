"""Reads what Prometheus would, with its own parsers, and gives numbers by name and labels."""

from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def scrape(api, path="/metrics", *, accept=None):
    """Samples: name -> [(labels, value)]."""
    response = api.get(path, headers={"Accept": accept} if accept else {})
    assert response.status_code == 200, (path, response.status_code, response.text)
    parse = open_metrics if accept else prometheus
    samples = {}
    for family in parse(response.text):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return samples


def value(samples, name, **labels):
    """The one sample with these labels among its own."""
    matching = [
        found for of, found in samples.get(name, []) if labels.items() <= of.items()
    ]
    assert len(matching) == 1, (name, labels, samples.get(name))
    return matching[0]
