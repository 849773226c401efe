"""`.env.example` and docker-compose.yml agree with the settings that exist."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from fasttrack.settings import Settings

TOP = Path(__file__).parents[2]
LINE = re.compile(r"^#FASTTRACK_([A-Z_]+)=(.*)$")


def listed() -> dict[str, tuple[str, str]]:
    """Each setting of the example: its default as written, and the comment above it."""
    lines = (TOP / ".env.example").read_text().splitlines()
    found = ((LINE.match(line), above) for above, line in pairwise(lines))
    return {match[1].lower(): (match[2], above) for match, above in found if match}


def as_written(name: str) -> str:
    if name == "state_dir":
        return "~/.local/state/fasttrack"
    match Settings.model_fields[name].get_default(call_default_factory=True):
        case None:
            return ""
        case timedelta() as duration:
            return f"{duration.total_seconds():g}"
        case default:
            return str(default)


def test_the_example_lists_every_setting_and_no_other() -> None:
    assert listed().keys() == {*Settings.model_fields, "settings_file"}


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_a_setting_is_listed_with_its_default_and_its_meaning(name: str) -> None:
    default, meaning = listed()[name]
    assert default == as_written(name)
    assert re.fullmatch(r"# \S.*\.", meaning)


def test_the_example_holds_no_value_that_is_used_unread() -> None:
    assigned = re.findall(r"^([A-Z_]+)=(.*)$", (TOP / ".env.example").read_text(), re.M)
    assert assigned == [("POSTGRES_PASSWORD", ""), ("VALKEY_PASSWORD", "")]


def services() -> dict[str, dict[str, Any]]:
    composed = yaml.safe_load((TOP / "docker-compose.yml").read_text())
    found: dict[str, dict[str, Any]] = composed["services"]
    return found


def test_compose_gives_containers_no_more_than_they_need() -> None:
    for name, service in services().items():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"][0] == "no-new-privileges:true"
        assert len(service["security_opt"]) == 1 or name == "cluster"
        assert "ports" not in service
    image = (TOP / "infra" / "Dockerfile").read_text()
    assert re.search(r"^USER fasttrack$", image, re.M)


def test_the_stand_in_of_a_cluster_is_started_only_by_its_profile() -> None:
    with_profile = {name for name, service in services().items() if "profiles" in service}
    assert with_profile == {"cluster"}
    mounted = services()["cluster"]["volumes"][0].partition(":")[0]
    assert (TOP / mounted / "standin" / "__main__.py").is_file()


def test_compose_runs_the_api_and_asks_it_whether_it_can_work() -> None:
    api = services()["api"]
    assert api["command"] == ["api", "--host", "0.0.0.0", "--port", "8811"]
    assert "/readyz" in api["healthcheck"]["test"][-1]
    assert set(api["depends_on"]) == {"postgres", "valkey", "migrate"}


def test_compose_sets_only_settings_that_exist() -> None:
    set_here = {name for service in services().values() for name in service["environment"]}
    ours = {name.removeprefix("FASTTRACK_").lower() for name in set_here if name.startswith("FASTTRACK_")}
    assert ours == {"state_dir", "database_url", "redis_url"}
    assert ours <= Settings.model_fields.keys()
