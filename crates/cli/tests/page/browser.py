"""Opens the report pages in headless Chromium, as a reader would.

Usage: browser.py PAGES SCREENSHOTS [AXE]
PAGES holds the pages; SCREENSHOTS takes what they look like; AXE is the script of
axe-core, which looks for barriers to access.
"""

import base64
import contextlib
import os
import pathlib
import re
import sys
import tempfile

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

DESKTOP, PHONE = (1280, 900), (390, 844)
# How many tokens each page has, and how many of them need attention.
PAGES = {
    "none": (0, 0),
    "one": (1, 1),
    "ten": (10, 0),
    "outage": (10, 1),
    "every-kind": (15, 8),
    "hostile": (8, 3),
    "accounts": (35, 9),
    "two-hundred": (200, 18),
}
# The most A4 pages that two hundred tokens may take.
MOST_SHEETS = 6


@contextlib.contextmanager
def browser():
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
        options.binary_location = os.environ["BROWSER"]
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options, Service(os.environ["CHROMEDRIVER"]))
        try:
            yield driver
        finally:
            driver.quit()


class Page:
    def __init__(self, driver, pages, name, size, scheme="light", medium="screen"):
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
        self.emulate(medium, scheme)
        driver.get((pages / f"{name}.html").as_uri())
        self.what = f"{name}, {width} px, {scheme}, {medium}"

    def emulate(self, medium, scheme):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        media = {"media": medium, "features": features}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)

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
            "return [...document.querySelectorAll('h1, th, td, dd, p')]"
            ".filter(e => e.getClientRects().length && !e.classList.contains('life')"
            " && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline')"
            ".map(e => e.outerHTML.slice(0, 200))"
        )
        self.check(not cut, f"this is cut off: {cut}")
        requests = self.script("return performance.getEntriesByType('resource').map(e => e.name)")
        self.check(not [r for r in requests if not r.startswith("data:")], f"it asked for {requests}")

    def has_timelines(self, count):
        """Each row has a drawing with something of its life in it, and what needs
        attention is at least as visible as a disc of 8 px."""
        drawn = self.script(
            "return [...document.querySelectorAll('tbody td.life > svg')].filter(svg =>"
            " svg.getBoundingClientRect().width > 100 && svg.querySelector('title').textContent &&"
            " [...svg.querySelectorAll('rect, path')].some(e => e.getBoundingClientRect().width > 0.5)"
            ").length"
        )
        self.check(drawn == count, f"{drawn} timelines, not {count}")
        faint = self.script(
            "return [...document.querySelectorAll('.urgent td.life > svg')].filter(svg => {"
            " const room = svg.getBoundingClientRect();"
            " return ![...svg.querySelectorAll('.end, .over, rect.unknown, .rest')].some(e => {"
            "  const box = e.getBoundingClientRect();"
            "  return Math.min(box.width, box.height) >= 6 && Math.max(box.width, box.height) >= 8"
            "   && box.left >= room.left - 6 && box.right <= room.right + 6; }); })"
            ".map(svg => svg.closest('tr').querySelector('.title').textContent)"
        )
        self.check(not faint, f"hardly anything is drawn for {faint}")

    def has_no_barriers(self, axe):
        if axe is None:
            return
        self.driver.execute_script(axe.read_text())
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
            ".then(result => {"
            # White on white might be text that is hidden on purpose, which axe can't know.
            " const unseen = result.incomplete.map(v => ({...v, nodes: v.nodes.filter(n =>"
            "  n.any.some(c => c.data && c.data.messageKey === 'equalRatio'))}));"
            " done([...result.violations, ...unseen].filter(v => v.nodes.length).map(v =>"
            " `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map(n => n.html + n.failureSummary).join(' | ')}`)) })"
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
            picture.write_bytes(base64.b64decode(shot["data"]))
        else:
            self.driver.save_screenshot(str(picture))


    def has_whole_ids(self):
        """An id is shown short, and selected as a whole."""
        wrong = self.script(
            "return [...document.querySelectorAll('.id')].filter(id => {"
            " getSelection().selectAllChildren(id);"
            " return getSelection().toString() !== id.title"
            "  || id.getBoundingClientRect().height > 20"
            "  || id.getBoundingClientRect().width > 90; })"
            ".map(id => id.outerHTML)"
        )
        self.check(not wrong, f"these ids are too long, or no whole ids: {wrong[:3]}")

    def print(self, directory, name):
        """Prints the page on A4, and returns the number of sheets."""
        arguments = {"preferCSSPageSize": True, "printBackground": False}
        printed = self.driver.execute_cdp_cmd("Page.printToPDF", arguments)
        document = base64.b64decode(printed["data"])
        (directory / f"{name}.pdf").write_bytes(document)
        return len(re.findall(rb"/Type\s*/Page\b", document))


def main(pages, screenshots, axe=None):
    pages, screenshots = pathlib.Path(pages), pathlib.Path(screenshots)
    axe = pathlib.Path(axe) if axe else None
    with browser() as driver:
        for name, (count, urgent) in PAGES.items():
            for width, size in (("desktop", DESKTOP), ("phone", PHONE)):
                for scheme in ("light", "dark"):
                    page = Page(driver, pages, name, size, scheme)
                    page.is_sound()
                    # On a phone, only what needs attention has a timeline.
                    page.has_timelines(urgent if size == PHONE else count)
                    rows = page.names()
                    page.check(len(rows) == count, f"{len(rows)} rows, not {count}")
                    shown = len(page.all(".urgent tr"))
                    page.check(shown == urgent, f"{shown} need attention, not {urgent}")
                    page.check(not page.all("script"), "it has a script")
                    page.has_no_barriers(axe)
                    page.shoot(screenshots, f"{name}-{width}-{scheme}")
                page.has_whole_ids()
            if name == "accounts":
                headings = [heading.text for heading in page.all("main h2")]
                page.check(len(headings) == 4, f"the accounts are {headings}")
                page.check("expired" in page.one("h1").text, page.one("h1").text)
                page.check(len(page.all("section > p:not(.problem)")) == 4, "a verdict is missing")
                # The links of the accounts with a problem lead to their sections.
                dead = page.script(
                    "return [...document.querySelectorAll('a')].filter(link =>"
                    " !document.querySelector(link.getAttribute('href'))).length"
                )
                page.check(page.all(".problem a") and not dead, f"{dead} dead links")
            if name == "hostile":
                page.check("Service tokens of <script>" in driver.title, driver.title)
                odd = page.all("img, h1:not(:only-of-type), [onmouseover]")
                page.check(not odd, "a name became an element")
            # Paper is white, whatever the screen is.
            page = Page(driver, pages, name, DESKTOP, "dark", "print")
            page.has_no_barriers(axe)
            cut = page.script(
                "return [...document.querySelectorAll('tr, footer')].filter(e =>"
                " getComputedStyle(e).breakInside !== 'avoid').length"
            )
            page.check(not cut, f"{cut} rows may be cut by the end of a sheet")
            sheets = page.print(screenshots, name)
            page.check(1 <= sheets <= (MOST_SHEETS if count > 15 else 1), f"{sheets} sheets")
        print(f"two hundred tokens take {sheets} sheets of A4")
        page = Page(driver, pages, "two-hundred", DESKTOP)
        page.script("window.scrollTo(0, 3000)")
        top = page.script("return document.querySelector('thead th').getBoundingClientRect().top")
        page.check(top == 0, f"the axis is at {top} px when the page is scrolled")
        page.shoot(screenshots, "two-hundred-scrolled", whole=False)
    print(f"{len(PAGES)} pages at 2 widths, light, dark and printed: all well; see {screenshots}")


main(*sys.argv[1:])
