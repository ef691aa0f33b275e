"""Metrics, alerts and scaling as they are written about, held to the code."""

import re
from typing import Any

import pytest
import yaml

from hilum.settings import Settings
from hilum.workers import HEARTBEAT_S, LOST_S, WorkerState
from tests.docs.metrics import DATABASE, METRICS, WEB_SERVERS, WORKERS, Described
from tests.docs.places import ROOT, read
from tests.docs.test_deployment import SERVICES

SECTIONS = {
    "### Of the database": DATABASE,
    "### Of the web servers": WEB_SERVERS,
    "### Of the workers": WORKERS,
}
ALERTS: dict[str, Any] = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PROMETHEUS: dict[str, Any] = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
KEDA: dict[str, Any] = yaml.safe_load((ROOT / "deploy/keda.yml").read_text())

SAMPLES = {sample: metric for metric in METRICS for sample in metric.samples}


def named_in(query: str) -> set[str]:
    return set(re.findall(r"\bhilum_[a-z_]+", query))


@pytest.mark.parametrize("title", SECTIONS)
def test_every_metric_has_its_row_where_it_belongs_and_no_row_is_of_one_that_is_gone(
    title: str,
) -> None:
    section = read("monitoring.md").partition(f"{title}\n")[2].partition("\n#")[0]

    rows = [line for line in section.splitlines() if line.startswith("| `hilum_")]

    assert rows == [metric.row for metric in SECTIONS[title]]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_metric_is_named_and_told_as_all_of_them(metric: Described) -> None:
    assert re.fullmatch(r"hilum(_[a-z]+)+", metric.name)
    assert metric.note.endswith(".")
    assert "tenant" not in metric.labels


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_asks_for_metrics_and_labels_that_exist(rule: dict[str, Any]) -> None:
    named = named_in(rule["expr"])

    assert named
    assert named <= set(SAMPLES)
    for name, labels in re.findall(r"\b(hilum_[a-z_]+)\{([^}]*)\}", rule["expr"]):
        assert set(re.findall(r"(\w+)[=!]", labels)) <= set(SAMPLES[name].labels)
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"].endswith(".")


def test_alerts_know_the_states_of_workers() -> None:
    asked = re.findall(r'hilum_workers\{state="(\w+)"', str(RULES))

    assert asked
    assert set(asked) <= set(WorkerState)


def test_every_alert_has_its_row_with_what_to_do() -> None:
    rows = re.findall(r"^\| `(Hilum\w+)` \|", read("monitoring.md"), re.MULTILINE)

    assert rows == [rule["alert"] for rule in RULES]


def test_prometheus_reads_the_services_of_the_compose_file_where_they_listen() -> None:
    of_api, of_workers = PROMETHEUS["scrape_configs"]

    [discovery] = of_workers["dns_sd_configs"]
    assert of_api["static_configs"][0]["targets"] == ["api:8080"]
    assert "0.0.0.0:8080" in SERVICES["api"]["command"]
    for name in discovery["names"]:
        assert SERVICES[name]["environment"]["HILUM_METRICS_PORT"] == str(discovery["port"])
    assert PROMETHEUS["rule_files"] == ["alerts.yml"]


def test_workers_are_scaled_by_what_waits_and_runs() -> None:
    [trigger] = KEDA["spec"]["triggers"]

    assert named_in(trigger["metadata"]["query"]) == {"hilum_autoscale_jobs"}
    assert KEDA["spec"]["minReplicaCount"] >= 1


def test_numbers_in_its_sentences_are_those_of_the_code() -> None:
    said = read("monitoring.md")
    port = SERVICES["worker"]["environment"]["HILUM_METRICS_PORT"]

    assert f"every {HEARTBEAT_S:.0f} s" in said
    assert f"after {LOST_S:.0f} s of silence" in said
    assert f"it is {port}" in said
    assert Settings.model_fields["stall_s"].default == 60.0
