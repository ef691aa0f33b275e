"""The compose file and the images, as far as they can be held without Docker."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.main import COMMANDS
from hilum.settings import Settings
from tests.docs.places import ROOT, read

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
DOCKERFILES = sorted((ROOT / "deploy").glob("Dockerfile.*"))

CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
KNOWN_KEYS = {
    "build", "cap_drop", "command", "depends_on", "deploy", "env_file", "environment",
    "healthcheck", "image", "init", "logging", "ports", "profiles", "read_only", "restart",
    "security_opt", "shm_size", "stop_grace_period", "tmpfs", "user", "volumes",
}  # fmt: skip


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_uses_keys_of_the_compose_specification(name: str) -> None:
    assert set(SERVICES[name]) <= KNOWN_KEYS


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_waits_for_exists_and_can_become_true(name: str) -> None:
    for other, wanted in SERVICES[name].get("depends_on", {}).items():
        assert other in SERVICES
        assert wanted["condition"] in CONDITIONS
        if wanted["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]


@pytest.mark.parametrize("name", SERVICES)
def test_named_volumes_are_declared(name: str) -> None:
    mounted = {mount.split(":")[0] for mount in SERVICES[name].get("volumes", [])}

    assert mounted <= set(COMPOSE["volumes"])


@pytest.mark.parametrize("name", OURS)
def test_our_services_set_settings_that_exist_and_every_one_without_a_default(name: str) -> None:
    given = {key for key in SERVICES[name]["environment"] if key.startswith("HILUM_")}
    known = {f"HILUM_{field.upper()}" for field in Settings.model_fields}
    required = {
        f"HILUM_{name.upper()}"
        for name, field in Settings.model_fields.items()
        if field.is_required()
    }

    assert given <= known
    assert required <= given


@pytest.mark.parametrize("name", OURS)
def test_our_services_run_a_command_that_exists(name: str) -> None:
    program, command, *_ = SERVICES[name]["command"]

    assert program == "hilum"
    assert command in COMMANDS


@pytest.mark.parametrize("name", OURS)
def test_our_services_are_confined(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"cpus", "memory"} <= set(service["deploy"]["resources"]["limits"])


def test_no_secret_has_a_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    used = re.findall(r"\$\{([A-Z_]*(?:PASSWORD|SECRET)[A-Z_]*)([^}]*)\}", text)

    assert {name for name, _ in used} == {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "HILUM_SECRET_KEY"}
    assert all(rest.startswith(":?") for _, rest in used)


def test_every_variable_of_the_compose_file_is_in_the_example_environment() -> None:
    used = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
    example = (ROOT / ".env.example").read_text()

    assert [name for name in sorted(used) if f"{name}=" not in example] == []


def test_ports_are_open_to_this_machine_alone() -> None:
    assert SERVICES["api"]["ports"] == ["127.0.0.1:${API_PORT:-8080}:8080"]
    assert SERVICES["dimse"]["ports"] == ["127.0.0.1:${DIMSE_PORT:-11112}:11112"]
    assert {name for name in SERVICES if "ports" in SERVICES[name]} == {"api", "dimse"}


def test_only_the_gpu_profile_asks_for_a_gpu() -> None:
    asking = {
        name: service["profiles"]
        for name, service in SERVICES.items()
        if "reservations" in service["deploy"]["resources"]
    }

    assert asking == {"worker": ["gpu"]}
    assert SERVICES["worker-cpu"]["profiles"] == ["cpu"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_in_the_deployment_document(name: str) -> None:
    assert f"| `{name}` |" in read("deployment.md")


def test_a_worker_gets_longer_to_stop_than_it_takes() -> None:
    from worker.celery import CONFIGURATION  # noqa: PLC0415 - the rest needs no Celery

    grace_s = int(SERVICES["worker"]["stop_grace_period"].removesuffix("s"))

    assert grace_s > CONFIGURATION["worker_soft_shutdown_timeout"]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_images_copy_what_exists_and_is_let_in(path: Path) -> None:
    text = path.read_text()
    let_in = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE)
        for source in line.split()[:-1]
    }

    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert Path(source).parts[0] in let_in or source in let_in, source


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_images_do_not_run_as_root_and_install_by_hash(path: Path) -> None:
    text = path.read_text()

    last_user = re.findall(r"^USER (\S+)$", text.split("FROM")[-1], re.MULTILINE)
    assert last_user == ["hilum"]
    assert "--require-hashes locks/" in text
    assert f"locks/{path.suffix[1:]}.lock" in text
