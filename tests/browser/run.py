# run.py: opens pages in one headless Chromium, spoken to by its DevTools protocol through a pipe.
#
#   run.py BROWSER FILE.html ... [--screenshots FOLDER]
#
# A page is looked at (look.js) in windows of 400, 1000 and 1600 pixels, in light and dark, and as it is printed; it is operated
# (click.js), and its first Tab is pressed. Nothing may be complained of in the console, and the file stays below 2 MB.
# --screenshots also writes what it looks like: NAME-light.png, NAME-dark-400.png, NAME.pdf.
import base64
import json
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MOST_BYTES = 2_000_000
PATIENCE = 60  # seconds for one answer


class Browser:
    """A browser whose commands and events are JSON, each ended by a zero byte: fd 3 to it, fd 4 from it."""

    def __init__(self, program, profile):
        to_browser, self.commands = os.pipe()
        self.answers, from_browser = os.pipe()
        moved = [os.dup2(to_browser, 100), os.dup2(from_browser, 101)]

        def place():
            os.dup2(100, 3)
            os.dup2(101, 4)

        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe"]
        self.process = subprocess.Popen(
            [program, *options, "--user-data-dir=" + profile, "about:blank"],
            preexec_fn=place, pass_fds=(3, 4), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )
        for fd in (to_browser, from_browser, *moved):
            os.close(fd)
        os.set_blocking(self.answers, False)
        self.rest, self.count, self.events = b"", 0, []

    def message(self):
        end = time.monotonic() + PATIENCE
        while b"\0" not in self.rest:
            try:
                part = os.read(self.answers, 1 << 20)
                if not part:
                    raise RuntimeError("the browser ended")
                self.rest += part
            except BlockingIOError:
                if time.monotonic() > end:
                    raise RuntimeError("the browser does not answer") from None
                time.sleep(0.005)
        first, self.rest = self.rest.split(b"\0", 1)
        return json.loads(first)

    def call(self, method, session=None, **parameters):
        self.count += 1
        request = {"id": self.count, "method": method, "params": parameters}
        if session:
            request["sessionId"] = session
        content = json.dumps(request).encode() + b"\0"
        while content:
            content = content[os.write(self.commands, content):]
        number = self.count
        while True:
            message = self.message()
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(method + ": " + message["error"]["message"])
                return message["result"]
            if "method" in message:
                self.events.append(message)

    def wait_for(self, method):
        while not any(event["method"] == method for event in self.events):
            message = self.message()
            if "method" in message:
                self.events.append(message)

    def close(self):
        try:
            self.call("Browser.close")
        except (RuntimeError, OSError):
            pass
        self.process.wait(timeout=20)


class Tab:
    def __init__(self, browser):
        self.browser = browser
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(domain + ".enable")

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def open(self, path):
        self.browser.events.clear()
        self.call("Page.navigate", url="file://" + os.path.abspath(path))
        self.browser.wait_for("Page.loadEventFired")

    def evaluate(self, script):
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def show(self, width, dark=False, media=""):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def press(self, key, code):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def screenshot(self, file, whole):
        taken = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        with open(file, "wb") as out:
            out.write(base64.b64decode(taken["data"]))

    def pdf(self):
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True, paperWidth=8.27, paperHeight=11.69)["data"])

    def console(self):
        """What the page was complained of."""
        words = []
        for event in self.browser.events:
            parameters = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                details = parameters["exceptionDetails"]
                words.append("console: " + details.get("exception", {}).get("description", details["text"]))
            elif event["method"] == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning"):
                words.append("console: " + " ".join(str(a.get("value", "")) for a in parameters["args"]))
            elif event["method"] == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
                words.append("console: " + parameters["entry"]["text"])
        return words


def first_tab(tab):
    """The first Tab must lead to something that is seen to have it."""
    tab.press("Tab", 9)
    seen = tab.evaluate(
        "(e => { const b = e.getBoundingClientRect(), s = getComputedStyle(e);"
        " return e !== document.body && b.right > 0 && b.bottom > 0 && b.top < innerHeight"
        " && (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0); })(document.activeElement)"
    )
    return [] if seen else ["the first Tab leads to nothing that shows it"]


def complaints_of(tab, path, look, click, screenshots):
    found = []
    size = os.path.getsize(path)
    if size > MOST_BYTES:
        found.append("%d bytes, more than %d" % (size, MOST_BYTES))
    tab.show(1000)
    tab.open(path)
    found += first_tab(tab)
    tab.evaluate("document.activeElement.blur()")
    for width, dark, media in ((1000, False, ""), (400, True, ""), (1600, False, ""), (680, False, "print")):
        tab.show(width, dark, media)
        found += ["%d pixels%s: %s" % (width, ", printed" if media else "", words) for words in tab.evaluate(look)]
        if screenshots and not media and width < 1600:
            name = os.path.join(screenshots, os.path.splitext(path)[0].replace("build/", "").replace("/", "_"))
            tab.screenshot(name + ("-dark-400.png" if dark else "-light.png"), True)
    tab.show(1000)
    said = tab.evaluate(click)
    if not said.startswith("ok"):
        found.append(said)
    if screenshots:
        with open(name + ".pdf", "wb") as out:
            out.write(tab.pdf())
    return found + tab.console(), said


def main(program, arguments):
    screenshots = None
    if "--screenshots" in arguments:
        at = arguments.index("--screenshots")
        screenshots = arguments[at + 1]
        os.makedirs(screenshots, exist_ok=True)
        arguments = arguments[:at] + arguments[at + 2:]
    look, click = (open(os.path.join(HERE, name), encoding="utf-8").read() for name in ("look.js", "click.js"))
    failed = 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        tab = Tab(browser)
        for path in arguments:
            try:
                found, said = complaints_of(tab, path, look, click, screenshots)
            except RuntimeError as failure:
                found, said = [str(failure)], ""
            failed += bool(found)
            for words in found:
                print("browser: %s: %s" % (path, words))
            if said.startswith("ok,") and not found:
                print("browser: %s: %s" % (path, said))
        browser.close()
    print("browser: %d pages, %d with complaints" % (len(arguments), failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
