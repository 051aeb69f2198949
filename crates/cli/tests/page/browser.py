"""Opens the report pages in headless Chromium, as a reader would.

Usage: browser.py PAGES SCREENSHOTS [AXE]
PAGES holds the pages; SCREENSHOTS takes what they look like; AXE is the script of
axe-core, which looks for barriers to access.
"""

import contextlib
import os
import pathlib
import sys
import tempfile

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

DESKTOP, PHONE = (1280, 900), (360, 740)
EVERY_KIND = 15


@contextlib.contextmanager
def browser(scripts=True):
    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        for flag in (
            "headless",
            "no-sandbox",
            "disable-gpu",
            "disable-quic",
            "no-first-run",
            "disable-background-networking",
            "disable-component-update",
            "disable-sync",
            "hide-scrollbars",
            f"user-data-dir={profile}",
        ):
            options.add_argument(f"--{flag}")
        if not scripts:
            content = {"profile.managed_default_content_settings.javascript": 2}
            options.add_experimental_option("prefs", content)
        options.binary_location = os.environ["BROWSER"]
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options, Service(os.environ["CHROMEDRIVER"]))
        try:
            yield driver
        finally:
            driver.quit()


class Page:
    def __init__(self, driver, pages, name, size, scheme="light"):
        self.driver = driver
        width, height = size
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {
                "width": width,
                "height": height,
                "deviceScaleFactor": 2 if size == PHONE else 1,
                "mobile": size == PHONE,
            },
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        driver.get((pages / f"{name}.html").as_uri())
        self.what = f"{name}, {width} px, {scheme}"

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def script(self, text, *arguments):
        return self.driver.execute_script(text, *arguments)

    def names(self):
        """The names of the rows that are shown, from top to bottom."""
        return self.script(
            "return [...document.querySelectorAll('tbody tr')]"
            ".filter(row => row.getClientRects().length)"
            ".map(row => row.querySelector('.title').textContent)"
        )

    def check(self, holds, words):
        if not holds:
            raise SystemExit(f"{self.what}: {words}")

    def is_sound(self):
        """What must hold of every page, at every width."""
        log = self.driver.get_log("browser")
        self.check(not log, f"the console says {log}")
        over = self.script(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        self.check(over <= 0, f"it is {over} px too wide")
        cut = self.script(
            "return [...document.querySelectorAll('th, td, dd, p, button, input')]"
            ".filter(e => e.getClientRects().length && !e.classList.contains('life')"
            " && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline')"
            ".map(e => e.outerHTML.slice(0, 200))"
        )
        self.check(not cut, f"this is cut off: {cut}")
        requests = self.script("return performance.getEntriesByType('resource').map(e => e.name)")
        self.check(not [r for r in requests if not r.startswith("data:")], f"it asked for {requests}")

    def has_timelines(self, count):
        """Each row has a drawing with something of its life in it."""
        drawn = self.script(
            "return [...document.querySelectorAll('tbody td.life > svg')].filter(svg =>"
            " svg.getBoundingClientRect().width > 100 && svg.querySelector('title').textContent &&"
            " [...svg.querySelectorAll('rect, path')].some(e => e.getBoundingClientRect().width > 0.5)"
            ").length"
        )
        self.check(drawn == count, f"{drawn} timelines, not {count}")

    def has_no_barriers(self, axe):
        if axe is None:
            return
        self.driver.execute_script(axe.read_text())
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
            ".then(result => done(result.violations.map(v =>"
            " `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map(n => n.html + n.failureSummary).join(' | ')}`)))"
        )
        self.check(not found, "axe found " + "\n".join(found))

    def shoot(self, directory, name, whole=True):
        picture = directory / f"{name}.png"
        if whole:
            height = self.script("return document.documentElement.scrollHeight")
            width = self.script("return window.innerWidth")
            clip = {"x": 0, "y": 0, "width": width, "height": min(height, 2600), "scale": 1}
            shot = self.driver.execute_cdp_cmd(
                "Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True}
            )
            import base64

            picture.write_bytes(base64.b64decode(shot["data"]))
        else:
            self.driver.save_screenshot(str(picture))


def filters(page):
    search = page.one("#search")
    search.send_keys("EXPIRED")
    found = page.names()
    page.check(
        sorted(found) == ["expired", "expired long ago", "left out and expired"],
        f"a search by name found {found}",
    )
    page.check(page.one("output").text == "3 of 15", page.one("output").text)
    search.send_keys(Keys.CONTROL, "a")
    search.send_keys("0000000009")
    page.check(page.names() == ["well"], f"a search by id found {page.names()}")
    search.send_keys(Keys.CONTROL, "a")
    search.send_keys("no such")
    page.check(page.names() == [] and page.one("#none").is_displayed(), "it does not say so")
    search.send_keys(Keys.CONTROL, "a")
    search.send_keys(Keys.BACKSPACE)
    page.check(len(page.names()) == EVERY_KIND, "the search can't be taken back")

    for button in page.all("button[data-state]"):
        state, count = button.get_attribute("data-state"), int(button.text.split()[0])
        button.click()
        shown = page.script(
            "return [...document.querySelectorAll('tbody tr:not([hidden])')].map(r => r.dataset.state)"
        )
        page.check(len(shown) == count, f"{state}: {len(shown)} rows, not {count}")
        page.check(not state or set(shown) == {state}, f"{state}: {shown}")
        pressed = page.all("button[aria-pressed=true]")
        page.check(pressed == [button], "another button is pressed")
    page.one("button[data-state='']").click()


def sorts(page):
    first = page.names()
    page.check(first[:2] == ["no expiry", "expired long ago"], f"first comes {first[:2]}")
    page.check(first[-1] == "forever", f"last comes {first[-1]}")
    page.one("button[data-sort=name]").click()
    names = page.names()
    page.check(names == sorted(names, key=str.lower), f"not by name: {names}")
    page.check(page.one("th.name").get_attribute("aria-sort") == "ascending", "it does not say so")
    page.one("button[data-sort=name]").click()
    page.check(page.names() == names[::-1], "not by name, backwards")
    page.one("button[data-sort=state]").click()
    states = page.script("return [...document.querySelectorAll('tbody tr')].map(r => r.dataset.state)")
    runs = [state for before, state in zip([None] + states, states) if state != before]
    page.check(len(runs) == len(set(runs)) and runs[0] == "trouble", f"not by state: {runs}")
    page.one("button[data-sort=expires]").click()
    page.check(page.names() == first, "not by expiry")
    page.one("button[data-sort=expires]").click()
    page.check(page.names()[0] == "forever", "not by expiry, backwards")
    page.one("button[data-sort=expires]").click()


def main(pages, screenshots, axe=None):
    pages, screenshots = pathlib.Path(pages), pathlib.Path(screenshots)
    axe = pathlib.Path(axe) if axe else None
    counts = {"none": 0, "one": 1, "every-kind": EVERY_KIND, "hostile": 8, "thousand": 1000}
    with browser() as driver:
        for name, count in counts.items():
            for width, size in (("desktop", DESKTOP), ("phone", PHONE)):
                for scheme in ("light", "dark"):
                    page = Page(driver, pages, name, size, scheme)
                    page.is_sound()
                    page.has_timelines(count)
                    page.check(len(page.names()) == count, f"{len(page.names())} rows")
                    if name != "thousand":
                        page.has_no_barriers(axe)
                    page.shoot(screenshots, f"{name}-{width}-{scheme}")
                if name == "every-kind":
                    filters(page)
                    sorts(page)
                    page.is_sound()
                if name == "hostile":
                    page.check(driver.title.startswith("Service tokens of <script>"), driver.title)
                    odd = page.all("img, h1:not(:only-of-type), [onmouseover], main script")
                    page.check(not odd, "a name became an element")
        page = Page(driver, pages, "thousand", DESKTOP)
        took = page.script(
            "const start = performance.now(), search = document.querySelector('#search');"
            "search.value = '99'; search.dispatchEvent(new Event('input'));"
            "document.querySelector('[data-sort=name]').click(); document.body.offsetHeight;"
            "return Math.round(performance.now() - start)"
        )
        page.check(len(page.names()) == 19, f"{len(page.names())} rows have a 99")
        print(f"to filter and sort a thousand tokens took {took} ms")
        page.script("document.querySelector('#search').value = '';"
                    "document.querySelector('#search').dispatchEvent(new Event('input'));"
                    "window.scrollTo(0, 20000)")
        top = page.script("return document.querySelector('thead th').getBoundingClientRect().top")
        page.check(top == 0, f"the axis is at {top} px when the page is scrolled")
        page.shoot(screenshots, "thousand-scrolled", whole=False)
    with browser(scripts=False) as driver:
        page = Page(driver, pages, "every-kind", DESKTOP)
        page.check(not page.one(".search").is_displayed(), "a search that can't work is shown")
        page.has_timelines(EVERY_KIND)
        page.shoot(screenshots, "every-kind-without-scripts")
    print(f"{len(counts)} pages at 2 widths, light and dark: all well; see {screenshots}")


main(*sys.argv[1:])
