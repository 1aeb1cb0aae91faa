"""Kinds of tests: which run here, how many ran, and which must not have run zero times.

Kinds are the markers `real_data` (needs IRIS_REAL_DATA), `dicom` (writes SEGs by the extra of that name) and
`hosts` with the host that it needs (`nnunet`, `monailabel`, `dicomweb`, `browser`); else a test
is `core`.
IRIS_REQUIRED_KINDS="core real_data" makes a run fail in which one of them ran no test.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest

from iris_core.allocator import reuse_memory

# Threads of OpenMP that wait sleep: for tensors this small they would wait longer than they work. Read once,
# when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
KINDS = ("core", "real_data", "dicom", "hosts", "nnunet", "monailabel", "dicomweb", "browser")
_ran: pytest.StashKey[Counter[str]] = pytest.StashKey()


def kinds_of(item: pytest.Item) -> list[str]:
    """The kinds of a test, by its markers."""
    return [kind for kind in KINDS if item.get_closest_marker(kind)] or ["core"]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real studies in nnU-Net raw layout; a test that asks for it is marked `real_data`."""
    return Path(os.environ["IRIS_REAL_DATA"])


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ran] = Counter()
    reuse_memory()  # as every program of ours does


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not os.environ.get("IRIS_REAL_DATA"):
        for item in items:
            if "real_data" in kinds_of(item):
                item.add_marker(pytest.mark.skip(reason="IRIS_REAL_DATA names no folder of real studies"))


def pytest_collection_finish() -> None:
    if "torch" in sys.modules:  # else no test needs it, and its import would cost a second
        from tests import quick_convolutions

        quick_convolutions.install()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" and not report.skipped:
        item.config.stash[_ran].update(kinds_of(item))
    return report


def missing_kinds(config: pytest.Config) -> list[str]:
    """The kinds that IRIS_REQUIRED_KINDS asks for and that ran no test."""
    required = os.environ.get("IRIS_REQUIRED_KINDS", "").split()
    return [kind for kind in required if not config.stash[_ran][kind]]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == 0 and not session.config.option.collectonly and missing_kinds(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.option.collectonly:
        return
    ran = config.stash[_ran]
    terminalreporter.write_line("tests run: " + ", ".join(f"{kind} {ran[kind]}" for kind in KINDS))
    for kind in missing_kinds(config):
        terminalreporter.write_line(f"FAILED: no test of the kind '{kind}' ran; one must", red=True)
