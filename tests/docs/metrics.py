"""Every metric as the code has it."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from api.collector import GAUGES
from api.metrics import COUNTED as OF_WEB_SERVERS
from worker.metrics import COUNTED as OF_WORKERS

SUFFIXES = {"gauge": ("",), "counter": ("",), "histogram": ("_bucket", "_count", "_sum")}
"""What is appended to a name, by type, to make those of its samples."""


@dataclass(frozen=True)
class Described:
    """A metric.

    Attributes:
        name: with the ending that Prometheus gives to counters.
        type: gauge, counter or histogram.
        labels: in the order of the code.
        note: its sentence.
    """

    name: str
    type: str
    labels: tuple[str, ...]
    note: str

    @property
    def row(self) -> str:
        labels = ", ".join(f"`{label}`" for label in self.labels)
        return f"| `{self.name}` | {self.type} | {labels or '-'} | {self.note} |"

    @property
    def samples(self) -> set[str]:
        return {f"{self.name}{suffix}" for suffix in SUFFIXES[self.type]}


def _described(metric: MetricWrapperBase) -> Described:
    [family] = metric.describe()
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return Described(name, family.type, metric._labelnames, family.documentation)


def _counted(registry: CollectorRegistry) -> list[Described]:
    return [_described(one) for one in registry._collector_to_names]  # type: ignore[arg-type]  # all of them are


DATABASE = [Described(one.name, "gauge", one.labels, one.note) for one in GAUGES]
WEB_SERVERS = _counted(OF_WEB_SERVERS)
WORKERS = _counted(OF_WORKERS)
METRICS = [*DATABASE, *WEB_SERVERS, *WORKERS]
