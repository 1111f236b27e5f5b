"""The page in a real browser: switches, hover, sorting, phone width, both colour schemes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import synthetic
from pipeline import compare, index, report
from pipeline.base.store import Place

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
NETWORKS = {"plain": (0.09, 5.0, 0.98), "adversarial": (0.21, 4.0, 0.97)}
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1280,900",
]  # fmt: skip

needs_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = synthetic.write(tmp_path_factory.mktemp("page"), NETWORKS)
    report.run(place, synthetic.config(NETWORKS))
    return place.reports / "index.html"


@pytest.fixture(scope="module")
def browser(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser: Any, page: Path) -> Any:
    _emulate(browser, width=1280)
    browser.get(page.as_uri())
    return browser


def _emulate(browser: Any, *, width: int, dark: bool = False, media: str = "") -> None:
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": [scheme]})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


@needs_browser
def test_no_console_message_and_no_request_but_the_page_itself(opened: Any) -> None:
    assert [entry for entry in opened.get_log("browser") if entry["level"] != "INFO"] == []
    sent = re.findall(
        r'"requestWillBeSent".*?"url":"([^"]{0,60})',
        "\n".join(entry["message"] for entry in opened.get_log("performance")),
    )
    assert {url.partition(":")[0] for url in sent} <= {"file", "data"}


@needs_browser
def test_a_switch_hides_its_network_and_only_that(opened: Any) -> None:
    shown = (
        "return [...document.querySelectorAll('#chart-curves-linf .series')]"
        ".filter(g => g.getBoundingClientRect().width > 0 && getComputedStyle(g).display != 'none')"
        ".map(g => g.dataset.network + ' ' + g.dataset.kind)"
    )
    press = "document.querySelector('#chart-curves-linf button[data-name={}]').click()"
    every = {f"{n} {kind}" for n in NETWORKS for kind in ("attack", "noise", "noise_worst")}
    assert set(opened.execute_script(shown)) == every
    opened.execute_script(press.format("plain"))
    assert set(opened.execute_script(shown)) == {e for e in every if "plain" not in e}
    opened.execute_script(press.format("noise"))
    assert set(opened.execute_script(shown)) == {"adversarial attack", "adversarial noise_worst"}
    opened.execute_script(press.format("plain"))
    opened.execute_script(press.format("noise"))
    assert set(opened.execute_script(shown)) == every


@needs_browser
def test_a_switch_works_from_the_keyboard(opened: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    button = opened.find_element(By.CSS_SELECTOR, "#chart-curves-linf button[data-name=plain]")
    button.send_keys(Keys.SPACE)
    assert button.get_attribute("aria-pressed") == "false"


@needs_browser
def test_a_point_tells_its_value(opened: Any) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    group = "#chart-curves-linf .series[data-network=adversarial][data-kind=attack] .hit"
    point = opened.find_elements(By.CSS_SELECTOR, group)[3]
    # At once: while the page scrolls smoothly, the point moves away from under the pointer.
    to_point = "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})"
    opened.execute_script(to_point, point)
    ActionChains(opened).move_to_element(point).perform()
    tip = opened.find_element(By.ID, "tip")
    WebDriverWait(opened, 10).until(lambda _: tip.is_displayed())
    assert re.fullmatch(
        r"adversarial, attack, ε = 0.1: [\d.]+ % \([\d.]+–[\d.]+\)", tip.text.replace("\u00a0", " ")
    )


@needs_browser
def test_a_column_sorts_both_ways(opened: Any) -> None:
    column = (
        "return [...document.querySelectorAll('#survival-linf tbody:not([hidden]) tr')]"
        ".map(row => Number(row.cells[4].dataset.sort))"
    )
    head = "document.querySelectorAll('#survival thead th')[4].querySelector('button').click()"
    opened.execute_script(head)
    up = opened.execute_script(column)
    opened.execute_script(head)
    assert up == sorted(up)
    assert opened.execute_script(column) == up[::-1]


@needs_browser
def test_a_picked_eps_shows_its_numbers_and_keeps_the_order(opened: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    def shown() -> list[str]:
        rows = opened.find_elements(By.CSS_SELECTOR, "#survival-linf tbody tr")
        return [row.text for row in rows if row.is_displayed()]

    at_headline = shown()
    assert len(at_headline) == len(NETWORKS)
    picker = opened.find_element(By.CSS_SELECTOR, "input[data-table=survival-linf]")
    picker.send_keys(Keys.HOME)
    smallest = shown()
    told = opened.find_element(By.CSS_SELECTOR, "#survival-linf caption").text
    assert "ε = 0.02," in told.replace("\u00a0", " ")
    assert picker.get_attribute("aria-valuetext").replace("\u00a0", " ") == "ε = 0.02"
    assert len(smallest) == len(NETWORKS) and not set(smallest) & set(at_headline)


@needs_browser
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_page_never_scrolls_sideways(opened: Any, width: int) -> None:
    _emulate(opened, width=width)
    opened.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width


CONTRAST = """
const parse = c => c.match(/[\\d.]+/g).map(Number);
const light = c => { const [r, g, b] = parse(c).slice(0, 3).map(v => v / 255)
  .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b; };
const paper = e => { for (; e; e = e.parentElement) {
  const c = getComputedStyle(e).backgroundColor;
  if (!c.startsWith('rgba') || parse(c)[3] == 1) return c; } };
const poor = [];
for (const e of document.querySelectorAll('body *')) {
  const own = [...e.childNodes].some(n => n.nodeType == 3 && n.textContent.trim());
  const style = getComputedStyle(e);
  if (!own || !e.getClientRects().length || ['SCRIPT', 'STYLE'].includes(e.tagName)) continue;
  const svg = e instanceof SVGElement;
  if (svg && e.tagName != 'text') continue;
  const [a, b] = [light(svg ? style.fill : style.color), light(paper(e))];
  const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  if (ratio < 4.5) poor.push(e.tagName + ' ' + e.textContent.slice(0, 40) + ' ' + ratio);
}
return poor;
"""


@needs_browser
@pytest.mark.parametrize("dark", [False, True])
def test_every_text_has_contrast(opened: Any, dark: bool) -> None:
    _emulate(opened, width=1280, dark=dark)
    opened.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert opened.execute_script(CONTRAST) == []


@needs_browser
def test_the_pages_of_a_comparison_and_of_all_experiments_hold_up_too(
    browser: Any, page: Path, tmp_path: Path
) -> None:
    now = Place(page.parent.parent)
    weaker = NETWORKS | {"adversarial": (0.12, 4.0, 0.97)}
    synthetic.write(tmp_path / "base", weaker)
    compare.run(now, synthetic.config(NETWORKS), str(tmp_path / "base"), out=tmp_path)
    for made in (tmp_path / "compare.html", index.write(now.folder)):
        for width, dark in ((320, False), (1280, True)):
            _emulate(browser, width=width, dark=dark)
            browser.get(made.as_uri())
            assert browser.execute_script("return document.documentElement.scrollWidth") <= width
            assert browser.execute_script(CONTRAST) == []
        assert [line for line in browser.get_log("browser") if line["level"] != "INFO"] == []
    browser.get((tmp_path / "compare.html").as_uri())
    shown = (
        "return [...document.querySelectorAll('#chart-change-linf .series')]"
        ".filter(e => !e.hasAttribute('hidden')).map(e => e.dataset.kind)"
    )
    assert set(browser.execute_script(shown)) == {"base", "now"}
    browser.execute_script(
        "document.querySelector('#chart-change-linf button[data-name=base]').click()"
    )
    assert browser.execute_script(shown) == ["now"] * len(NETWORKS)


@needs_browser
def test_print_is_on_white_even_where_the_screen_is_dark(opened: Any) -> None:
    _emulate(opened, width=1280, dark=True, media="print")
    colors = opened.execute_script(
        "const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]"
    )
    assert colors == ["rgb(255, 255, 255)", "rgb(17, 17, 17)"]
    assert opened.execute_script(CONTRAST) == []


class _Reader(HTMLParser):
    """What stands in the file itself, without a browser."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.text: list[str] = []
        self.counts: dict[str, int] = {}
        self.bare: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        given = dict(attrs)
        if tag == "img" and not given.get("alt"):
            self.bare.append("img without alt")
        if tag == "th" and "scope" not in given:
            self.bare.append("th without scope")
        if tag == "svg" and given.get("role") != "img" and given.get("aria-hidden") != "true":
            self.bare.append("svg without a role")
        if tag in ("script", "style"):
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.stack and self.stack[-1] == tag:
            self.stack.pop()

    def handle_data(self, data: str) -> None:
        if not self.stack:
            self.text.append(data)


def test_without_javascript_everything_is_there(page: Path) -> None:
    reader = _Reader()
    reader.feed(page.read_text())
    text = " ".join(" ".join(reader.text).split())
    for wanted in [
        "How far must a pixel move?", "eps50", "How many images survive?", "worst case",
        "What happens as ε grows?", "What does it look like?", "Can the networks learn by heart?",
        "How was it measured?", "Glossary", *NETWORKS,
    ]:  # fmt: skip
        assert wanted in text
    assert reader.counts["img"] > 4 * 6 * len(NETWORKS)
    assert reader.bare == []
    # values of a chart stand in its table too, for those who cannot see it
    assert reader.counts["details"] >= 5
