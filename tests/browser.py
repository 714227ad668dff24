"""A real JupyterLab and a real Chromium for the tests."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

from conftest import needs
from playwright.sync_api import expect, sync_playwright

FLAGS = "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync --no-first-run"
TOKEN = "token"
expect.set_options(timeout=60_000)


@contextmanager
def lab(python, folder, *options):
    """`python -m lecture_utils lab` in ``folder``, with nothing of this process's environment; gives its address."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("VIRTUAL_ENV", "PYTHON", "JUPYTER", "LECTURE_"))}
    # Settings of whoever runs the tests must not matter.
    clean |= {
        "JUPYTER_TOKEN": TOKEN,
        "JUPYTER_CONFIG_DIR": str(folder / ".jupyter"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / ".jupyter"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / ".jupyter"),  # else what another test has open is opened here
    }
    command = [python, "-m", "lecture_utils", "lab", "--no-browser", "--port", str(port), *options]
    log = folder / "lab.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, env=clean, start_new_session=True
        )
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(f"{address}/api", process, log)
            yield address
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def wait_for(url, process, log, limit=900):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=5)
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.5)
    raise AssertionError(f"no answer from {url}:\n{log.read_text()}")


@contextmanager
def chromium(url):
    """A page in Chromium, Chrome or Edge that shows ``url``."""
    program = needs("browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS.split())
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(60_000)
        page.goto(f"{url}{'&' if '?' in url else '?'}token={TOKEN}")
        yield page
        browser.close()
