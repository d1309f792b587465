# SPDX-License-Identifier: GPL-2.0
"""tarpit-top and tarpit-exporter: real clients are held, and seen on a terminal, in JSON and by a real Prometheus."""

import contextlib
import fcntl
import html
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pyte
import pytest
from lab import FAMILIES, PORT, V4, V6, Puppet, sh, unload, wait_until

TRACING = Path("/sys/kernel/tracing")
INSTANCES = TRACING / "instances"
EVENT = "events/xt_tarpit/xt_tarpit_segment"
UNIT = Path("/usr/lib/systemd/system/tarpit-exporter.service")
DASHBOARD = Path("/xt/monitor/grafana.json")
METRICS = "http://127.0.0.1:12323/metrics"
PROMETHEUS = "http://127.0.0.1:9090"
NOBODY = ("setpriv", "--reuid=65534", "--clear-groups")
# For how long the clients of the picture are held: `env SECONDS_HELD=3600` with --icount makes that of the docs.
SECONDS_HELD = int(os.environ.get("SECONDS_HELD", "3"))


@pytest.fixture(scope="module", autouse=True)
def tracefs():
    if not INSTANCES.exists():
        sh("mount", "-t", "tracefs", "tracefs", TRACING)


@pytest.fixture
def one_processor():
    """Nobody counts packets here: programs may use both."""


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    assert not list(INSTANCES.iterdir())


def held(lab, stack, family, address=None):
    """A client that has written something, so that it probes."""

    def bind(sock):
        if address:
            sock.bind((address, 0))

    client = stack.enter_context(lab.client.connect(family, prepare=bind))
    client.send(b"x" * 200)
    return client


@contextlib.contextmanager
def exporter(lab, *options, run_by=()):
    """The exporter in the server's namespace, which answers when the block begins; the process."""
    with lab.server.inside():
        argv = [*run_by, "tarpit-exporter", *options]
        process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: fetch(lab, METRICS), what="the exporter answers")
        yield process
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def without_module(lab):
    for family in FAMILIES:
        lab.server.iptables(family, "-F", "INPUT")
    unload()
    try:
        yield
    finally:
        sh("modprobe", "xt_TARPIT")
        lab.rules()


def fetch(lab, url, **query):
    """What an HTTP server in the server's namespace answers; nothing if there is none."""
    url += "?" + urllib.parse.urlencode(query) if query else ""
    with lab.server.inside(), contextlib.suppress(ConnectionError, urllib.error.URLError):
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.read().decode()


@contextlib.contextmanager
def listening(lab, seconds, *options):
    """`tarpit-top --once` beside the block, which begins when it listens; a function that gives what it has printed."""
    others = set(INSTANCES.iterdir())
    with lab.server.inside():
        process = subprocess.Popen(["tarpit-top", f"--once={seconds}", *options], stdout=subprocess.PIPE, text=True)

    def on():
        new = set(INSTANCES.iterdir()) - others
        return any((instance / EVENT / "enable").read_text()[0] == "1" for instance in new)

    wait_until(on, what="it listens")
    yield lambda: process.communicate(timeout=60)[0]
    assert process.wait(60) == 0


def once(lab, seconds):
    return json.loads(lab.server.run("tarpit-top", f"--once={seconds}", "--json"))


def test_who_is_held_is_seen(lab):
    with contextlib.ExitStack() as stack:
        what = stack.enter_context(listening(lab, 5, "--json"))
        text = stack.enter_context(listening(lab, 5))
        ports = [held(lab, stack, family).getsockname()[1] for family in FAMILIES]
        seen, text = json.loads(what()), text()
    assert (seen["clients_seen"], seen["clients_evicted"], seen["trace_events_lost"]) == (2, 0, 0)
    assert seen["counters"]["syn"] == 2 and seen["counters"]["trapped_ms"] > 0
    netns = os.stat(lab.server.fd).st_ino
    for family, port in zip(FAMILIES, ports):
        [row] = [row for row in seen["clients"] if row["source"] == family.client]
        assert (row["netns"], row["source_port"], row["country"]) == (netns, port, None)
        assert (row["destination"], row["port"]) == (family.server, PORT)
        assert row["last"] in ("probe", "data") and row["segments"] >= 3
        assert 0 < row["held"] < 6 and seen["listening_since"] <= row["since"] < row["seen"] <= seen["time"]
        [source] = [source for source in seen["sources"] if source["source"] == family.client]
        assert (source["clients"], source["clients_open"]) == (1, 1)
        assert source["wasted"] == pytest.approx(row["held"], abs=0.01)
        line = rf"^{family.client} +{port} .*{re.escape(family.server)}.*:{PORT} .* (probe|data) "
        assert re.search(line, text, re.M), text


def test_who_was_held_before_shows_since_when(lab):
    with contextlib.ExitStack() as stack:
        before = once(lab, 0)["counters"]["probe"]
        held(lab, stack, V4)
        wait_until(lambda: once(lab, 0)["counters"]["probe"] > before + 3, what="some time has passed")
        seen = wait_until(lambda: (seen := once(lab, 1))["clients"] and seen, 60, "it is seen")
        [client] = seen["clients"]
        assert client["since"] < seen["listening_since"] - 0.5
        assert client["held"] > 0.5


def test_syns_alone_are_counted_and_not_listed(lab):
    """The kernel does not even show them, so that a flood keeps nobody busy."""
    with listening(lab, 2, "--json") as what:
        before = once(lab, 0)["counters"]["syn"]
        for _ in range(200):
            Puppet(lab, V4, None, src=lab.stranger(V4)).send("S")
        counts = [path.read_text() for path in INSTANCES.glob("*/per_cpu/cpu*/stats")]
        assert counts
        for text in counts:
            assert re.search("^entries: 0$", text, re.M) and re.search("^read events: 0$", text, re.M), text
        seen = json.loads(what())
    assert seen["counters"]["syn"] >= before + 200
    assert (seen["clients"], seen["sources"], seen["clients_seen"]) == ([], [], 0)


def test_what_came_too_fast_is_counted(lab):
    """The kernel keeps a few thousand segments for who does not read; the others are lost, and each is known."""
    peer = Puppet(lab, V4, None, src=lab.stranger(V4))
    packet = peer.packet("A", payload=b"xx")
    with listening(lab, 6, "--json") as what:
        [instance] = INSTANCES.iterdir()
        pid = int(instance.name.rpartition("-")[2])
        os.kill(pid, signal.SIGSTOP)
        for _ in range(12000):
            lab.inject(packet)
        os.kill(pid, signal.SIGCONT)
        seen = json.loads(what())
    [client] = seen["clients"]
    assert client["source"] == peer.src and client["last"] == "midstream"
    assert seen["trace_events_lost"] > 1000
    assert client["segments"] + seen["trace_events_lost"] == 12000


def test_what_is_missing_is_said(lab):
    how = {"check": False}
    for argv, status, words in (
        (("tarpit-top", "--once=1", "--geoip=/nowhere"), 1, "/nowhere: "),
        (("tarpit-exporter", "--geoip=/nowhere"), 1, "/nowhere: "),
        ((*NOBODY, "tarpit-top", "--once=1"), 1, "this needs root"),
        (("tarpit-top", "--sources=0"), 2, "--sources"),
        (("tarpit-exporter", "--sources=0"), 2, "--sources"),
    ):
        done = lab.server.run(*argv, **how)
        assert done.returncode == status and words in done.stderr, done
    done = lab.server.run("tarpit-top", **how)
    assert done.returncode == 1 and "--once" in done.stderr
    with without_module(lab):
        done = lab.server.run("tarpit-top", "--once=1", **how)
        assert done.returncode == 1 and "xt_TARPIT is not loaded" in done.stderr


def test_it_ends_as_it_is_told(lab):
    with exporter(lab) as process:
        pass
    assert process.returncode == 0
    with exporter(lab) as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    with exporter(lab) as process:
        process.kill()
        process.wait(20)
        [left] = INSTANCES.iterdir()
        assert left.name == f"xt_tarpit-{process.pid}"
        once(lab, 0)  # which cleans up


def test_the_module_may_go(lab):
    with exporter(lab) as process, without_module(lab):
        assert process.wait(20) == 1
        assert "xt_TARPIT" in process.stderr.read()


def test_exporter_serves_counters_without_tracing(lab):
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(exporter(lab, run_by=NOBODY))
        held(lab, stack, V4)
        page = fetch(lab, METRICS)
        assert 'xt_tarpit_segments_total{class="established"} ' in page
        assert "xt_tarpit_clients" not in page
        with without_module(lab):
            assert process.wait(20) == 1
        first, last = process.stderr.read().splitlines()
        assert "only the counters are served" in first and "this needs root" in first
        assert "xt_TARPIT is not loaded" in last


RUDE = {
    "a body that does not come": b"GET /metrics HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n",
    "a head that does not end": b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100_000,
    "no word": b"",
    "no HTTP": b"\0" * 10_000 + b"\r\n\r\n",
}


def test_rude_guests_do_not_keep_it_from_its_work(lab):
    """More of them than it talks to at one time, who neither read nor go."""
    with exporter(lab) as process, contextlib.ExitStack() as stack:
        for _ in range(5):
            for words in RUDE.values():
                with lab.server.inside():
                    guest = stack.enter_context(socket.create_connection(("127.0.0.1", 12323), timeout=5))
                with contextlib.suppress(ConnectionError):
                    guest.sendall(words)
        wait_until(lambda: fetch(lab, METRICS), 60, "there is room again")
        assert process.poll() is None


def test_prometheus_sees_it(lab, tmp_path):
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs:\n"
        "  - {job_name: tarpit, static_configs: [{targets: ['127.0.0.1:12323']}]}\n"
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(exporter(lab))
        page = fetch(lab, METRICS)
        lint = sh("promtool", "check", "metrics", text=page, check=False)
        assert lint.returncode == 0, lint

        argv = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path}/data", "--log.level=warn"]
        with lab.server.inside(), open("/out/prometheus.log", "w", encoding="utf-8") as log:
            process = subprocess.Popen([*argv, "--web.listen-address=127.0.0.1:9090"], stdout=log, stderr=log)
        stack.callback(process.wait, 30)
        stack.callback(process.terminate)

        def query(text):
            """The values that Prometheus has for this, by source."""
            answer = fetch(lab, f"{PROMETHEUS}/api/v1/query", query=text)
            found = json.loads(answer or '{"data": {"result": []}}')["data"]["result"]
            return {one["metric"].get("source"): float(one["value"][1]) for one in found}

        wait_until(lambda: query("up") == {None: 1}, 60, "Prometheus has scraped")
        with contextlib.ExitStack() as clients:
            for family in FAMILIES:
                held(lab, clients, family)
            wait_until(lambda: query("xt_tarpit_clients_open") == {None: 2}, what="two are held")
            lost = "xt_tarpit_source_wasted_seconds_total"
            everybody = {V4.client, V6.client}
            wait_until(lambda: all(query(f"{lost} > 1").get(source) for source in everybody), what="they lose time")
            assert query("xt_tarpit_source_clients_open").keys() == everybody
            wait_until(lambda: query("xt_tarpit_wasted_seconds_total").get(None, 0) > 0, what="the kernel has seen it")
            for panel in json.loads(DASHBOARD.read_text())["panels"]:
                for target in panel["targets"]:
                    asked = target["expr"].replace("$instance", ".+").replace("$__rate_interval", "1m")
                    wait_until(lambda asked=asked: query(asked), what=f"Prometheus answers {asked}")
        wait_until(lambda: query("xt_tarpit_clients_open") == {None: 0}, what="both are gone")
        assert query("xt_tarpit_source_clients_total") == dict.fromkeys(everybody, 1)


class Terminal:
    """A terminal with a program on it."""

    WIDTH, HEIGHT = 100, 24

    def __init__(self, host, *argv):
        self.screen = pyte.Screen(self.WIDTH, self.HEIGHT)
        self.stream = pyte.ByteStream(self.screen)
        with host.inside():
            self.pid, self.fd = pty.fork()
            if self.pid == 0:
                os.environ["TERM"] = "xterm"
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", self.HEIGHT, self.WIDTH, 0, 0))
                os.execvp(argv[0], argv)

    def shows(self, pattern, limit=20):
        """Waits until a line of the screen is like this."""

        def look():
            self.draw()
            return re.search(pattern, "\n".join(self.screen.display), re.M)

        return wait_until(look, limit, f"the screen shows {pattern}")

    def watch(self, seconds):
        """Draws what comes meanwhile."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            select.select([self.fd], [], [], left)
            self.draw()

    def draw(self):
        while select.select([self.fd], [], [], 0)[0]:
            try:
                self.stream.feed(os.read(self.fd, 65536))
            except OSError:  # the program has ended
                break

    def type(self, keys):
        os.write(self.fd, keys)

    def status(self):
        """How the program has ended."""

        def ended():
            self.draw()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            return pid and (status,)

        return wait_until(ended, what="it ends")[0]

    def svg(self):
        """A picture of it."""
        em, line = 7.2, 17
        width, height = self.WIDTH * em + 20, self.HEIGHT * line + 16
        out = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" font-size="12"'
            ' font-family="DejaVu Sans Mono, Menlo, Consolas, monospace">',
            f'<rect width="{width:g}" height="{height:g}" rx="6" fill="#1c1f26"/>',
        ]
        for row in range(self.HEIGHT):
            cells = [self.screen.buffer[row][column] for column in range(self.WIDTH)]
            bright = any(cell.bold for cell in cells)
            reverse = any(cell.reverse for cell in cells)
            text = "".join(cell.data for cell in cells).rstrip()
            y = row * line + 20
            if reverse:
                out.append(f'<rect x="6" y="{y - 13}" width="{width - 12:g}" height="{line}" fill="#c9d1d9"/>')
            if text:
                colour = "#1c1f26" if reverse else "#ffffff" if bright else "#c9d1d9"
                text = html.escape(text)
                out.append(f'<text x="10" y="{y}" fill="{colour}" xml:space="preserve">{text}</text>')
        return "\n".join([*out, "</svg>", ""])


def test_people_see_it_on_a_terminal(fresh_lab):
    """And it is drawn for the docs: docs/tarpit-top.svg."""
    lab = fresh_lab
    more = [f"192.0.2.{n}" for n in (17, 40, 66, 101)]
    lab.client.ip(*(f"addr add {address}/24 dev c0" for address in more))
    with contextlib.ExitStack() as stack:
        top = Terminal(lab.server, "tarpit-top")
        top.shows("^0 held")
        for address in (*more, V4.client, V4.client):
            held(lab, stack, V4, address)
            top.watch(SECONDS_HELD / 7)
        held(lab, stack, V6)
        top.shows("^7 held, 7 seen")
        top.watch(SECONDS_HELD / 7)
        for address in (*more, V4.client, V6.client):
            top.shows(rf"^{re.escape(address)} +\d+ .*:{PORT} ")
        Path("/out/tarpit-top.svg").write_text(top.svg(), encoding="utf-8")
        top.type(b"s")
        top.shows(rf"^SOURCE +PORT.*\n{V4.client} .*\n{V4.client} .*\n192.0.2.17 ")
        top.type(b"\t")
        top.shows(rf"^{V4.client} +[^:]* 2 +2 ")
        top.type(b"q")
        assert top.status() == 0


def test_the_unit_is_right():
    """systemd reads it without complaint, and finds little that the service might do."""
    assert not sh("systemd-analyze", "verify", "--man=no", UNIT, check=False).stderr
    rating = sh("systemd-analyze", "security", "--offline=yes", UNIT)
    level = float(re.search(r"exposure level for .*: ([\d.]+)", rating)[1])
    assert level < 3, rating
