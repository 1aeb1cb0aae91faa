"""After a new label every pre-label is stale; people still open fresh ones. Simulated, with 600 studies."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from apps.iris_app.prelabels.turn import Turn

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]

COUNT, SUBMITS, EVERY, LANES = 600, 10, 120.0, 2
SECONDS = 3.0  # for one small study; two are computed at once
PEOPLE = 5


class Hospital:
    """Six hundred studies, a job, and people who label, on a clock of their own.

    Args:
        known: whether likeness was measured for all studies before, as after a quiet night.
        seed: of what people do.
        walks: people go through the list instead of asking for the next study.
    """

    def __init__(self, monkeypatch, known: bool, seed: int, walks: bool) -> None:
        from apps.iris_app.lib import strategies
        from apps.iris_app.prelabels import turn

        self.now, self.version, self.chance, self.walks = 1.0, 0, random.Random(seed), walks
        self.ids = [f"case_{number:03}" for number in range(COUNT)]
        self.labelled: set[str] = set()
        self.fresh: dict[str, int] = {}  # study -> version of its pre-label
        self.wanted: list[str] = []
        self.given: dict[str, float] = {}
        self.likeness = {name: {"a": self.chance.random()} for name in self.ids} if known else {}
        results = SimpleNamespace(
            latest_likeness=lambda name: self.likeness.get(name, {}), likeness=lambda name, key: None
        )
        service = SimpleNamespace(
            results=results, given=self.given, unlabelled=self.unlabelled, prelabels=self.prelabels,
            refresh=lambda: None, catalogue=None,
        )  # fmt: skip
        self.next = strategies.NextStudy(service)
        self.turn = Turn(SimpleNamespace(wanted=None), results)
        self.datastore = SimpleNamespace(get_image_info=lambda name: {})
        monkeypatch.setattr(turn, "read_json", lambda path, default: self.wanted)
        monkeypatch.setattr(strategies.time, "time", lambda: self.now)

    def unlabelled(self) -> list[str]:
        return [name for name in self.ids if name not in self.labelled]

    def prelabels(self) -> dict:
        record = {"label_info": [{"name": "a"}]}
        return {
            name: SimpleNamespace(key="", record=record | {"expected_dice": {"a": self.dice(name)}})
            for name, version in self.fresh.items()
            if version == self.version and name not in self.labelled
        }

    def dice(self, name: str) -> float:
        return random.Random(f"{name} {self.version}").random()

    def open(self) -> str:
        """What a person opens: the next study, one that is open already, or the next one of the list."""
        if self.wanted and self.chance.random() < 0.2:
            name = self.chance.choice([w for w in self.wanted[-8:] if w not in self.labelled] or self.wanted)
        elif self.walks:
            name = next(n for n in self.unlabelled() if n not in self.given)
            self.given[name] = self.now
        else:
            name = self.next({}, self.datastore)["id"]
        self.wanted = [*[w for w in self.wanted if w != name][-19:], name]
        return name

    def run(self) -> tuple[int, int]:
        """How many studies were opened a minute or more after a submit, and how many of them were fresh."""
        opened = fresh = 0
        work: list[tuple[float, str]] = []  # (when it is done, study)
        people = sorted(self.chance.uniform(0, 30) for _ in range(PEOPLE))
        submitted, self.version = 0.0, 1
        end = SUBMITS * EVERY
        while self.now < end:
            self.now += 0.5
            for done in [item for item in work if item[0] <= self.now]:
                work.remove(done)
                self.fresh[done[1]] = self.version
            if self.now - submitted >= EVERY:
                submitted, work = self.now, []
                self.labelled.add(self.open())
                self.version += 1
            if len(work) < LANES:
                at_work = {name for _, name in work}
                waiting = [n for n in self.unlabelled() if self.fresh.get(n) != self.version]
                due = [n for n in self.turn.order(waiting, str(self.version)) if n not in at_work]
                work += [(self.now + SECONDS, name) for name in due[: LANES - len(work)]]
            while people[0] <= self.now:
                people = sorted([*people[1:], self.now + self.chance.uniform(15, 45)])
                name = self.open()
                if self.now - submitted >= 60 and name not in self.labelled:
                    opened += 1
                    fresh += self.fresh.get(name) == self.version
        return opened, fresh


@pytest.mark.parametrize("walks", [False, True])
@pytest.mark.parametrize("known", [True, False])
def test_a_minute_after_a_submit_people_open_fresh_prelabels(monkeypatch, known, walks):
    opened = fresh = 0
    for seed in range(2):
        one = Hospital(monkeypatch, known, seed, walks).run()
        opened, fresh = opened + one[0], fresh + one[1]
    print(f"known {known}, walks {walks}: {fresh} of {opened} fresh")
    assert opened > 150 and fresh >= 0.95 * opened
