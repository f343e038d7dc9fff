#!/usr/bin/env python3
"""Opens the HTML pages of `kerncast tune report` and `kerncast profile` in headless Chromium.

The pages are made by the command from real trials on the virtual GPU. Each is laid out at the width of a desk and of a
telephone, light and dark. Nothing may overflow or overlap, refer to anything outside of the page, or be complained about
on the console, and a screenshot must show what the page holds.

Usage: page_in_browser.py KERNCAST. Exit code 77 if Chromium or NVRTC is not installed.
"""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

SKIPPED = 77
BROWSERS = ["chromium", "chromium-browser", "google-chrome"]
WIDTHS = [1200, 420]

# Runs in a copy of a page, and leaves what it has measured as the text of one element.
MEASURE = """
<script>
addEventListener("load", () => {
  const boxes = (root, what) => [...root.querySelectorAll(what)].map(e => e.getBoundingClientRect());
  const inside = (a, b) => a.left >= b.left - 1 && a.right <= b.right + 1 && a.top >= b.top - 1 && a.bottom <= b.bottom + 1;
  const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 2 && b.top < a.bottom - 2;
  const count = what => document.querySelectorAll(what).length;
  let outside = 0, overlaps = 0;
  for (const svg of document.querySelectorAll("svg")) {
    const frame = svg.getBoundingClientRect();
    outside += boxes(svg, "circle, line, text").filter(box => !inside(box, frame)).length;
    const labels = boxes(svg, "text");
    labels.forEach((a, i) => labels.slice(i + 1).forEach(b => { overlaps += meet(a, b) ? 1 : 0; }));
  }
  const figures = boxes(document, "figure");
  figures.forEach((a, i) => figures.slice(i + 1).forEach(b => { overlaps += meet(a, b) ? 1 : 0; }));
  const dots = [...document.querySelectorAll("circle")].map(dot => getComputedStyle(dot).fill);
  const measured = {
    overflow: document.documentElement.scrollWidth - innerWidth, outside, overlaps,
    svg: count("svg"), circle: count("circle"), figure: count("figure"), h2: count("h2"), best: count("circle.best"),
    gained: count("figure.gained"), own_line: count(".own-line"), bound_line: count(".bound-line"),
    bar: count(".bar"), code: count(".code"), fills: new Set(dots).size,
    flat: figures.concat([...document.querySelectorAll(".track")].filter(e => !e.closest("details:not([open])"))
      .map(e => e.getBoundingClientRect())).filter(box => box.width < 40 || box.height < 2).length,
    resources: performance.getEntriesByType("resource").length,
    ground: getComputedStyle(document.body).backgroundColor,
  };
  const out = document.createElement("pre");
  out.id = "measured";
  out.textContent = JSON.stringify(measured);
  document.body.append(out);
});
</script>
"""


class Failure(Exception):
    pass


def require(condition, text):
    if not condition:
        raise Failure(text)


class Place:
    """A folder, the command in it, and the browser."""

    def __init__(self, command, browser, folder):
        self.command, self.browser, self.folder = command, browser, folder

    def run(self, *words):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KERNCAST_")}
        environment["KERNCAST_DRIVER"] = "sim"
        environment["KERNCAST_CACHE_DIR"] = str(self.folder / "cache")
        if "KERNCAST_NVRTC" in os.environ:
            environment["KERNCAST_NVRTC"] = os.environ["KERNCAST_NVRTC"]
        done = subprocess.run([self.command, *words], env=environment, cwd=self.folder, capture_output=True, text=True)
        require(done.returncode == 0, f"kerncast {' '.join(words)}: {done.stderr}")
        return done.stdout

    def browse(self, page, width, dark, *options):
        """What the browser writes to standard output; a message on the console of the page is a failure."""
        # Chromium's sandbox refuses root, who runs the tests of a container.
        words = [
            self.browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ]
        words += ["--hide-scrollbars", "--enable-logging=stderr", f"--user-data-dir={self.folder / 'profile'}"]
        words += [f"--window-size={width},900", f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
        words += [*options, page.as_uri()]
        done = subprocess.run(words, capture_output=True, text=True, timeout=240)
        console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        require(not console, f"{page.name}: the console says {console}")
        return done.stdout

    def measured(self, page, width, dark):
        copy = self.folder / "measured.html"
        copy.write_text(page.read_text().replace("</body>", MEASURE + "</body>"))
        found = re.search(r'<pre id="measured">(.*?)</pre>', self.browse(copy, width, dark, "--dump-dom"))
        require(found, f"{page.name}: the browser did not lay it out")
        return json.loads(found.group(1))

    def screenshot(self, page, width, dark):
        picture = self.folder / f"{page.stem}.png"
        picture.unlink(missing_ok=True)
        self.browse(page, width, dark, f"--screenshot={picture}")
        require(picture.exists(), f"{page.name}: there is no screenshot")
        return pixels_of(picture.read_bytes())


def pixels_of(png):
    """The rows of an 8-bit RGB or RGBA picture, each a list of (red, green, blue)."""
    require(png.startswith(b"\x89PNG\r\n\x1a\n"), "the screenshot is no PNG")
    at, data = 8, b""
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        chunk = png[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", chunk[:10])
            require(depth == 8 and colour in (2, 6), "the screenshot has another form than 8-bit RGB")
            size = 3 if colour == 2 else 4
        elif kind == b"IDAT":
            data += chunk
        at += length + 12
    raw, rows, above = zlib.decompress(data), [], bytearray(width * size)
    for y in range(height):
        start = y * (width * size + 1)
        rule, line = raw[start], bytearray(raw[start + 1 : start + 1 + width * size])
        for i in range(len(line)):
            left = line[i - size] if i >= size else 0
            up = above[i]
            corner = above[i - size] if i >= size else 0
            if rule == 4:
                guess = left + up - corner
                nearest = min((left, up, corner), key=lambda value: abs(guess - value))
                line[i] = (line[i] + nearest) & 255
            elif rule:
                line[i] = (line[i] + (left, up, (left + up) // 2)[rule - 1]) & 255
        rows.append([tuple(line[x : x + 3]) for x in range(0, len(line), size)])
        above = line
    return rows


def check_page(place, page, expected, colours):
    """Lays `page` out in every way. `expected` are counts; `colours` gives the ground and a mark, light and dark."""
    text = page.read_text()
    for reference in re.findall(
        r"""(?:\b(?:src|href)\s*=|@import|url\(|<script|<link|<iframe|https?:)[^>]{0,40}""", text
    ):
        raise Failure(f"{page.name} is not self-contained: {reference}")
    for dark in (False, True):
        ground, mark = colours[dark]
        for width in WIDTHS:
            found = place.measured(page, width, dark)
            where = f"{page.name} at {width} pixels, {'dark' if dark else 'light'}: {found}"
            for name in ("overflow", "outside", "overlaps", "flat", "resources"):
                require(found[name] <= 0, f"{name}: {where}")
            for name, count in expected.items():
                require(found[name] == count, f"{name} is not {count}: {where}")
            require(found["ground"] == f"rgb{ground}", f"its ground is not rgb{ground}: {where}")
        rows = place.screenshot(page, WIDTHS[0], dark)
        shown = {}
        for row in rows:
            for pixel in row:
                shown[pixel] = shown.get(pixel, 0) + 1
        require(rows[0][0] == ground, f"the screenshot of {page.name} begins with {rows[0][0]}, not with {ground}")
        require(len(shown) > 20, f"the screenshot of {page.name} is blank")
        require(shown.get(mark, 0) > 20, f"the screenshot of {page.name} shows nothing in the colour {mark}")


def check_tuning(place):
    tune = ["--strategy", "random:share=0.2", "--device", "estimate:h100", "--rows", "1,64,512"]
    place.run("tune", "norm.relative_l1", "--set", "hidden=256", *tune)
    place.run("tune", "moe.align_block_size", "--set", "experts=8", "--set", "top_k=2", *tune)
    place.run(
        "tune",
        "norm.relative_l1",
        "--set",
        "hidden=256",
        "--device",
        "sim:h100",
        "--rows",
        "64",
        "--strategy",
        "exhaustive",
    )
    report = json.loads(place.run("tune", "report", "--json", "--html", "tuning.html"))
    points = report["points"]
    require(len(points) == 7, f"there are {len(points)} points, not 7")
    gained = sum(1 for point in points if point["chosen"] != point["default"])
    require(gained > 0, "no point gains, so the page shows no winner beside the default")
    page = place.folder / "tuning.html"
    trials = sum(int(count) for count in re.findall(r'aria-label="(\d+) trials', page.read_text()))
    expected = {
        "svg": 7,
        "figure": 7,
        "h2": 3,
        "best": 7,
        "gained": gained,
        "own_line": 7,
        "bound_line": 7,
        "circle": trials,
    }
    check_page(place, page, expected, {False: ((255, 255, 255), (21, 128, 61)), True: ((20, 24, 28), (74, 222, 128))})


def check_profile(place):
    place.run("profile", "norm.rms_norm", "--set", "hidden=512", "--rows", "4", "--html", "profile.html")
    page = place.folder / "profile.html"
    text = page.read_text()
    expected = {"bar": len(re.findall(r'class="bar[ "]', text)), "code": text.count('class="code"')}
    require(expected["bar"] > 20 and expected["code"] > 50, f"the profile is all but empty: {expected}")
    check_page(place, page, expected, {False: ((255, 255, 255), (43, 108, 176)), True: ((20, 24, 28), (91, 155, 216))})


def main():
    browser = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if browser is None:
        print("skipped: there is no Chromium; install Debian's package chromium")
        return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        place = Place(str(Path(sys.argv[1]).resolve()), browser, Path(folder))
        found = subprocess.run([sys.argv[1], "doctor", "--json"], capture_output=True, text=True)
        if not json.loads(found.stdout)["nvrtc"]["found"]:
            print("skipped: there is no NVRTC, so nothing can be tuned")
            return SKIPPED
        try:
            check_tuning(place)
            check_profile(place)
        except Failure as failure:
            print(failure)
            return 1
    print("both pages are as they should be")
    return 0


sys.exit(main())
