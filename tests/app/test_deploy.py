"""The files for a deployment name only what there is: options, files, services. Programs check the rest."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from apps.iris_app.cli.serve import add_arguments

DEPLOY = Path(__file__).parents[2] / "docs/deploy"


def compose() -> dict:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_arguments(parser)
    return parser.parse_args(words)


def test_the_compose_file_starts_the_server_with_options_that_it_has():
    command = compose()["services"]["iris"]["command"]
    given = arguments([re.sub(r"\$\{IRIS_NAME.*\}", "iris.example", word) for word in command[1:]])
    assert command[0] == "serve" and given.studies == "http://archive:8042/dicom-web"
    assert given.host == "0.0.0.0" and given.allow_host == ["iris.example"] and not given.insecure
    assert str(given.users) == "/run/secrets/users"


def test_every_service_network_volume_and_secret_of_the_compose_file_is_defined():
    whole = compose()
    services = whole["services"]
    for service in services.values():
        names = [s if isinstance(s, str) else s["source"] for s in service.get("secrets", [])]
        assert {*names} <= {*whole["secrets"]} and {*service["networks"]} <= {*whole["networks"]}
        assert {*service.get("depends_on", [])} <= {*services}
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in whole["volumes"] or (DEPLOY / source).is_file()
    assert (DEPLOY / services["iris"]["build"]["context"] / services["iris"]["build"]["dockerfile"]).is_file()


def test_only_the_proxy_can_be_reached_from_outside():
    whole = compose()
    assert [name for name, service in whole["services"].items() if "ports" in service] == ["proxy"]
    assert whole["networks"]["inner"]["internal"] is True
    assert [name for name, s in whole["services"].items() if "outer" in s["networks"]] == ["proxy"]


def test_the_unit_starts_the_server_with_options_that_it_has():
    text = (DEPLOY / "iris.service").read_text().replace("\\\n", " ")
    words = re.search(r"^ExecStart=(.*)$", text, re.M)[1].split()
    given = arguments(words[2:])
    assert words[:2] == ["/opt/iris/bin/iris", "serve"] and given.users and given.certificate and given.key
    credentials = re.findall(r"^LoadCredential=([^:]+):", text, re.M)
    assert {path.name for path in (given.users, given.certificate, given.key)} == {*credentials}


def test_systemd_has_nothing_to_say_of_the_unit(tmp_path):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    text = (DEPLOY / "iris.service").read_text()
    unit = tmp_path / "iris.service"
    unit.write_text(text.replace("/opt/iris/bin/iris", "/bin/true"))
    done = subprocess.run([program, "verify", str(unit)], capture_output=True, text=True)
    assert [line for line in (done.stdout + done.stderr).splitlines() if "iris.service" in line] == []


def test_the_proxys_log_holds_no_address():
    """An address of Slicer begins with a token."""
    text = (DEPLOY / "nginx.conf").read_text()
    (form,) = re.findall(r"^log_format without_address '(.*)';", text, re.M)
    assert not re.search(
        r"\$(request\b|request_uri|uri|args|http_referer|http_cookie|http_authorization)", form
    )
    assert re.findall(r"access_log\s+\S+\s+(\S+);", text) == ["without_address"]
