"""A person at OHIF: real server, real archive, real viewer in a headless browser, CT and MR."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from iris_core.volume_io import read_label
from tests.hosts.app_server import AppServer, require_programs

pytestmark = [pytest.mark.hosts, pytest.mark.browser]

FLAGS = (
    "--headless --no-sandbox --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --use-gl=angle --use-angle=swiftshader"
)
SLOW = 120_000  # ms
COUNTS = """() => {
    const segmentation = services.segmentationService.getSegmentation('1');
    if (!segmentation) return [];
    const volume = services.segmentationService.getLabelmapVolume('1');
    const values = volume.voxelManager.getCompleteScalarDataArray();
    const [columns, rows, slices] = volume.dimensions;
    const counts = [];
    for (let k = 0; k < slices; k++) {
        const found = {};
        for (let n = k * columns * rows; n < (k + 1) * columns * rows; n++) {
            if (!values[n]) continue;
            const name = segmentation.segments[values[n]].label;
            found[name] = (found[name] || 0) + 1;
        }
        counts.push(found);
    }
    return counts;
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    require_programs("Orthanc", "chromium")
    server = AppServer(tmp_path_factory.mktemp("demo"), tmp_path_factory.mktemp("server"), "--demo-dicom")
    server.until(lambda: server.idle(4), 240)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def series(server) -> dict[str, dict]:
    """Patient -> what the datastore says of the image series."""
    objects = server.get("/datastore/?output=all")["objects"]
    return {
        entry["image"]["info"]["PatientID"]: entry["image"]["info"] | {"id": name}
        for name, entry in objects.items()
    }


@pytest.fixture(scope="module")
def page(server):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-browser"), args=FLAGS.split()
        )
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.route(re.compile(r"^(?!http://127\.0\.0\.1|blob:|data:)"), lambda route: route.abort())
        yield page
        browser.close()


def opened(page, server, study: str, **options: str) -> None:
    """Opens a study, connects to the server at the address that the field has, and sets options."""
    page.goto(f"{server.url}/ohif/monai-label?StudyInstanceUIDs={study}")
    page.wait_for_selector("#monailabelServerURL", timeout=SLOW)
    assert page.input_value("#monailabelServerURL") == f"{server.url}/"
    for _ in range(20):  # the viewer takes a segmentation only once its viewports have a volume
        page.click(".settingsTable button.actionButton")
        page.wait_for_timeout(3000)
        if page.evaluate("() => Boolean(services.segmentationService.getSegmentation('1'))"):
            break
    if options:
        page.click("text=Options / Configurations")
        for name, value in options.items():
            field = page.locator(f"#inferin_context{name}")
            is_list = field.evaluate("element => element.tagName") == "SELECT"
            field.select_option(value) if is_list else field.fill(value)
        page.get_by_role("button", name="Confirm", exact=True).click()


def segment(page, server, study: str, **options: str) -> None:
    """Runs the model on a study, as a person would."""
    opened(page, server, study, **options)
    page.click('button[title="Run Segmentation"]')
    page.wait_for_function(f"() => ({COUNTS})().some(found => Object.keys(found).length)", timeout=SLOW)


def pictured(page, name: str, folder: Path) -> None:
    """Keeps a picture of the page where IRIS_SCREENS says, for people to look at."""
    kept = Path(os.environ.get("IRIS_SCREENS", folder))
    kept.mkdir(parents=True, exist_ok=True)
    if page.locator("[data-cy=confirm-and-hide-button]").is_visible():
        page.click("[data-cy=confirm-and-hide-button]")
    page.screenshot(path=kept / f"ohif-{name}.png")


def server_counts(server, series: str, folder: Path) -> Counter:
    """How many slices of the server's own answer hold so many voxels of these classes."""
    names = {v: n for n, v in server.get("/info/")["models"]["in_context"]["labels"].items()}
    file = folder / f"{series}.nrrd"
    file.write_bytes(server.post_infer(series, "image", result_extension=".nrrd").content)
    slices = []
    for part in np.moveaxis(read_label(file).array, 2, 0):
        values, counts = np.unique(part, return_counts=True)
        slices.append({names[int(v)]: int(n) for v, n in zip(values, counts, strict=True) if v})
    return frozen(slices)


def frozen(slices: list[dict[str, int]]) -> Counter:
    """The slices without their order, which viewer and server may count from either end."""
    return Counter(tuple(sorted(found.items())) for found in slices)


@pytest.mark.parametrize("patient", ["phantomct_02", "phantommr_02"])
def test_the_viewer_shows_the_voxels_that_the_server_sent(server, series, page, tmp_path, patient):
    page.goto(f"{server.url}/ohif/")
    page.wait_for_selector(f"text={patient}", timeout=SLOW)
    segment(page, server, series[patient]["StudyInstanceUID"])
    shown = frozen(page.evaluate(COUNTS))
    assert shown == server_counts(server, series[patient]["id"], tmp_path)
    assert sum(n for found in shown for _, n in found) > 100
    pictured(page, patient, tmp_path)


def test_why_a_request_failed_is_shown_in_the_servers_own_words(server, series, page, tmp_path):
    """The plugin itself shows one fixed sentence for every failure."""
    opened(page, server, series["phantomct_02"]["StudyInstanceUID"], withhold_below="1")
    page.click('button[title="Run Segmentation"]')
    page.wait_for_selector(".iris-error", timeout=SLOW)
    said = page.inner_text(".iris-error")
    assert "Nothing that was found can be trusted" in said and "liver is withheld" in said
    pictured(page, "refused", tmp_path)
    page.click(".iris-error button")
    assert not page.locator(".iris-error").is_visible()


def test_what_to_mind_in_a_result_is_shown_beside_it(server, series, page, tmp_path):
    study = series["phantomct_02"]
    told = server.post_infer(study["id"]).json()
    expected = {entry["name"]: told["expected_dice"][entry["name"]] for entry in told["label_info"]}
    worst, second = sorted(expected, key=expected.__getitem__)[:2]
    bar = f"{(expected[worst] + expected[second]) / 2:.4f}"
    segment(page, server, study["StudyInstanceUID"], withhold_below=bar)
    page.wait_for_selector(".iris-warning", timeout=SLOW)
    assert f"{worst} is withheld" in page.inner_text(".iris-warning")
    assert not any(worst in found for found in page.evaluate(COUNTS))
    pictured(page, "warned", tmp_path)


@pytest.mark.parametrize(("kind", "organ"), [("mr", "thalamus_left"), ("ct", "liver")])
def test_a_seg_that_ohif_writes_becomes_a_reference_for_the_next_study(
    server, series, page, tmp_path, kind, organ
):
    study = series[f"phantom{kind}_02"]
    segment(page, server, study["StudyInstanceUID"])
    with page.expect_download(timeout=SLOW) as download:
        page.evaluate("() => commandsManager.runCommand('downloadSegmentation', {segmentationId: '1'})")
    seg = tmp_path / "ohif.dcm"
    download.value.save_as(seg)

    page.goto(f"{server.url}/ohif/")
    page.click("text=Upload", timeout=SLOW)
    with page.expect_response(lambda r: r.request.method == "POST" and r.url.endswith("/studies")):
        page.set_input_files("input[type=file] >> nth=0", str(seg))
    used = server.until(lambda: _used(server, series[f"phantom{kind}_03"]["id"], study["id"]))

    assert used == {series[f"phantom{kind}_01"]["id"], study["id"]}
    assert organ in server.get("/info/")["labels"]
    assert not any(name.startswith("label_") for name in server.get("/info/")["labels"])


def test_the_option_save_as_makes_a_result_in_ohif_a_reference_at_once(server, series, page):
    study = series["phantomct_03"]
    segment(page, server, study["StudyInstanceUID"], save_as="final")
    used = server.until(lambda: _used(server, series["phantomct_02"]["id"], study["id"]))
    assert used == {series["phantomct_01"]["id"], study["id"]}
    assert not any(name.startswith("label_") for name in server.get("/info/")["labels"])


def _used(server, query: str, wanted: str) -> set[str]:
    used = {r for names in server.post_infer(query).json()["references_used"].values() for r in names}
    return used if wanted in used else set()
