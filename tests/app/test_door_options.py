"""Who may come in, as the options of `iris serve` say it: mistakes are told before anything is served."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from apps.iris_app.cli.serve import add_arguments
from apps.iris_app.cli.users_file import read_users
from apps.iris_app.door.secrets_in_logs import hide_in_logs
from apps.iris_app.door.settings import VARIABLE, DoorSettings
from iris_core.cli.main import main
from iris_core.errors import InputError

ROOT = Path(__file__).parents[2]
GOOD = "a-token-of-enough-letters"
NO_HOSTS = ("*", "*.example", "a:8000", "http://a", "a/b", "a b", "", ".", "-a", "a,b")
NO_ORIGINS = (
    "*", "a", "http://", "http://a/b", "ftp://a", "null", "http://*.a", "http://u@a", "http://a:x", "",
)  # fmt: skip


@pytest.fixture(autouse=True)
def started(monkeypatch):
    """What would be started: the command and its environment. Nothing is."""
    seen: list = []
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *more: object() if name == "monailabel" else find(name, *more),
    )
    monkeypatch.setattr(
        "os.execve", lambda program, command, environment: seen.append((command, environment))
    )
    monkeypatch.setattr("apps.iris_app.cli.serve._refuse_taken_port", lambda host, port: None)
    monkeypatch.delenv("IRIS_TOKEN", raising=False)
    return seen


def door_of(started: list) -> DoorSettings:
    return DoorSettings.from_environment(dict(started[-1][1]))


def users(folder: Path, text: str) -> str:
    path = folder / "users"
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "0", "192.0.2.1"])
def test_others_are_not_let_in_without_a_token_unless_that_is_wanted(host, started, tmp_path, capsys):
    assert main(["serve", str(tmp_path), "--host", host]) == 2
    said = capsys.readouterr().err
    assert "--token auto" in said and "--insecure" in said and started == []
    main(["serve", str(tmp_path), "--host", host, "--insecure"])
    main(["serve", str(tmp_path), "--host", host, "--token", GOOD])
    assert len(started) == 2


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_on_this_machine_alone_no_token_is_needed(host, started, tmp_path):
    main(["serve", str(tmp_path), "--host", host])
    assert door_of(started).tokens == {}


@pytest.mark.parametrize("token", ["", " ", "a b", "a/b", "a?b", "ä", "a\nb", "..", "x" * 201, "a;b", "%41"])
def test_a_token_that_cannot_stand_in_an_address_is_refused_and_not_shown(
    token, started, tmp_path, capsys, monkeypatch
):
    assert main(["serve", str(tmp_path), "--token", token]) == 2
    said = capsys.readouterr().err
    assert "cannot be a token" in said and (len(token) < 3 or token not in said)
    monkeypatch.setenv("IRIS_TOKEN", token.replace("\n", "/"))
    assert main(["serve", str(tmp_path)]) == 2 and started == []


def test_a_short_token_is_taken_with_a_warning(started, tmp_path, caplog):
    main(["serve", str(tmp_path), "--token", "short"])
    assert "easily guessed" in caplog.text and door_of(started).tokens == {"short": ""}


def test_the_environment_gives_a_token_and_no_child_process_gets_it(started, tmp_path, monkeypatch):
    monkeypatch.setenv("IRIS_TOKEN", GOOD)
    main(["serve", str(tmp_path)])
    command, environment = started[-1]
    assert GOOD not in " ".join(command) and "IRIS_TOKEN" not in environment
    assert DoorSettings.from_environment(environment).tokens == {GOOD: ""} and VARIABLE not in environment


def test_a_token_that_is_made_lies_in_a_file_of_ones_own_and_is_printed_to_no_log(started, tmp_path, capsys):
    main(["serve", str(tmp_path), "--token", "auto"])
    (token,) = door_of(started).tokens
    path = tmp_path / ".iris" / "token"
    assert path.read_text().strip() == token and path.stat().st_mode & 0o777 == 0o600 and len(token) > 40
    said = capsys.readouterr()
    assert token not in said.err + said.out and str(path) in said.err and "/t/TOKEN" in said.err
    main(["serve", str(tmp_path), "--token", "auto"])
    assert path.read_text().strip() != token
    main(["serve", str(tmp_path)])
    assert not path.exists()


def test_each_user_has_a_token(started, tmp_path):
    main(
        [
            "serve",
            str(tmp_path),
            "--users",
            users(tmp_path, "# team\n\nAnna B.: token-of-anna-12345\nbob:token-of-bob-1234567\n"),
        ]
    )
    assert door_of(started).tokens == {"token-of-anna-12345": "Anna B.", "token-of-bob-1234567": "bob"}
    (tmp_path / "users").chmod(0o600)
    main(["serve", str(tmp_path), "--users", str(tmp_path / "users"), "--token", GOOD])
    assert door_of(started).tokens[GOOD] == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no user"),
        ("\n# nobody\n", "names no user"),
        ("anna token-of-anna", "line 1: is no line"),
        (": token-of-anna", "is no line"),
        ("anna:", "cannot be a token"),
        ("anna: a b", "cannot be a token"),
        (f"anna: {GOOD}\nbob: {GOOD}", "line 2: this token belongs to another"),
        (f"anna: {GOOD}\nANNA: {GOOD}x", "ANNA stands there twice"),
        (f"{'x' * 65}: {GOOD}", "is no line"),
        (f"an\x07na: {GOOD}", "is no line"),
    ],
)
def test_a_mistake_in_the_file_of_users_is_told_without_a_token(text, said, started, tmp_path, capsys):
    assert main(["serve", str(tmp_path), "--users", users(tmp_path, text)]) == 2
    told = capsys.readouterr().err
    assert said in told and GOOD not in told and started == []


def test_a_file_of_users_that_others_can_read_is_told(tmp_path, caplog):
    path = Path(users(tmp_path, f"anna: {GOOD}"))
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        assert read_users(path) == {GOOD: "anna"}
    assert "chmod 600" in caplog.text
    with pytest.raises(InputError, match="cannot be read"):
        read_users(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("option", "value", "kept"),
    [
        ("--allow-host", "Iris.Example", ("iris.example",)),
        ("--allow-host", "192.0.2.7", ("192.0.2.7",)),
        ("--allow-host", "::2", ("[::2]",)),
        ("--allow-host", "[::2]", ("[::2]",)),
        ("--allow-origin", "https://Viewer.example:443/", ("https://viewer.example",)),
        ("--allow-origin", "http://viewer.example:3000", ("http://viewer.example:3000",)),
    ],
)
def test_names_and_origins_are_kept_as_browsers_write_them(option, value, kept, started, tmp_path):
    main(["serve", str(tmp_path), option, value])
    door = door_of(started)
    assert set(kept) <= {*door.hosts, *door.origins}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--allow-host", v) for v in NO_HOSTS),
        *(("--allow-origin", v) for v in NO_ORIGINS),
    ],
)  # fmt: skip
def test_what_is_no_name_and_no_origin_is_refused(option, value, started, tmp_path, capsys):
    assert main(["serve", str(tmp_path), option, value]) == 2
    assert option in capsys.readouterr().err and started == []


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[str, str]:
    """A certificate of our own and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = str(folder / "certificate.pem"), str(folder / "key.pem")
    words = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout {key} -out {certificate}"
    subprocess.run(["openssl", *words.split()], check=True, capture_output=True)
    return certificate, key


def test_a_certificate_is_handed_to_the_server(pair, started, tmp_path, capsys):
    main(["serve", str(tmp_path), "--certificate", pair[0], "--key", pair[1]])
    assert {"--ssl_certfile", pair[0], "--ssl_keyfile", pair[1]} <= set(started[-1][0])
    assert "server https://127.0.0.1:8000" in capsys.readouterr().err


def test_a_certificate_that_would_not_work_is_told(pair, started, tmp_path, capsys):
    certificate, key = pair
    other = tmp_path / "other.pem"
    words = ["openssl", "genrsa", "-out", str(other), "2048"]
    subprocess.run(words, check=True, capture_output=True)
    locked = tmp_path / "locked.pem"
    words = ["openssl", "rsa", "-aes256", "-passout", "pass:secret", "-in", key, "-out", str(locked)]
    subprocess.run(words, check=True, capture_output=True)
    for words in (
        ["--certificate", certificate],
        ["--key", key],
        ["--certificate", certificate, "--key", str(other)],
        ["--certificate", certificate, "--key", str(locked)],
        ["--certificate", certificate, "--key", str(tmp_path / "nowhere")],
        ["--certificate", key, "--key", certificate],
    ):
        assert main(["serve", str(tmp_path), *words]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1 and started == []


def test_a_token_is_masked_in_whatever_is_logged(caplog):
    """As text, as an argument, within an object, and in the message of an exception."""
    make = logging.getLogRecordFactory()
    try:
        hide_in_logs([GOOD, GOOD[:10]])
        log = logging.getLogger("somebody's library")
        with caplog.at_level(logging.INFO):
            log.info(f"asked for /t/{GOOD}/info/")
            log.info("%s and %d and %s", GOOD, 7, {"cookie": GOOD})
            log.info("%(path)s", {"path": f"/?token={GOOD}"})
            try:
                raise ValueError(GOOD)
            except ValueError:
                log.exception("failed")
    finally:
        logging.setLogRecordFactory(make)
    assert GOOD[:10] not in caplog.text and caplog.text.count("***") >= 5 and " and 7 and " in caplog.text


def test_every_option_of_the_door_is_in_the_help():
    import argparse

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    text = parser.format_help()
    for option in ("token", "users", "insecure", "allow-host", "allow-origin", "certificate", "key"):
        assert f"--{option}" in text
    assert (
        json.loads(DoorSettings().to_environment()[VARIABLE])["tokens"] == {}
        and os.environ.get(VARIABLE) is None
    )
