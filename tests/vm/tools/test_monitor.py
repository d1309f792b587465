# SPDX-License-Identifier: GPL-2.0
"""tarpit-top and tarpit-exporter with real clients, on a terminal, in JSON and with Prometheus."""

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
# How long the clients of the picture are held. The picture of the docs has 3600, with --icount.
SECONDS_HELD = int(os.environ.get("SECONDS_HELD", "3"))


@pytest.fixture(scope="module", autouse=True)
def tracefs():
    if not INSTANCES.exists():
        sh("mount", "-t", "tracefs", "tracefs", TRACING)


@pytest.fixture
def one_processor():
    """No test here counts packets, so programs may use both CPUs."""


@pytest.fixture(autouse=True)
def no_instance_left():
    yield
    assert not list(INSTANCES.iterdir())


def held_client(lab, stack, family, address=None):
    """Returns a connected client with unsent data, which sends zero-window probes."""

    def bind(sock):
        if address:
            sock.bind((address, 0))

    client = stack.enter_context(lab.client.connect(family, prepare=bind))
    client.send(b"x" * 200)
    return client


@contextlib.contextmanager
def exporter(lab, *options, run_by=()):
    """Runs the exporter in the server's namespace. It serves requests when the block begins."""
    with lab.server.inside():
        argv = [*run_by, "tarpit-exporter", *options]
        process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: fetch(lab, METRICS), what="the exporter serves requests")
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
    """Returns the response of an HTTP server in the server's namespace, or None without one."""
    url += "?" + urllib.parse.urlencode(query) if query else ""
    with lab.server.inside(), contextlib.suppress(ConnectionError, urllib.error.URLError):
        with urllib.request.urlopen(url, timeout=20) as response:
            return response.read().decode()


@contextlib.contextmanager
def top_once(lab, seconds, *options):
    """Runs `tarpit-top --once` in parallel to the block, which begins when it traces segments.

    Yields a function that waits for the program and returns its output.
    """
    others = set(INSTANCES.iterdir())
    with lab.server.inside():
        process = subprocess.Popen(
            ["tarpit-top", f"--once={seconds}", *options], stdout=subprocess.PIPE, text=True
        )

    def is_tracing():
        new = set(INSTANCES.iterdir()) - others
        return any((instance / EVENT / "enable").read_text()[0] == "1" for instance in new)

    wait_until(is_tracing, what="tarpit-top traces segments")
    yield lambda: process.communicate(timeout=60)[0]
    assert process.wait(60) == 0


def once(lab, seconds):
    return json.loads(lab.server.run("tarpit-top", f"--once={seconds}", "--json"))


def test_top_lists_held_clients(lab):
    with contextlib.ExitStack() as stack:
        output_json = stack.enter_context(top_once(lab, 5, "--json"))
        output_text = stack.enter_context(top_once(lab, 5))
        ports = [held_client(lab, stack, family).getsockname()[1] for family in FAMILIES]
        report, text = json.loads(output_json()), output_text()
    assert report["clients_seen"] == 2
    assert report["clients_evicted"] == report["trace_events_lost"] == 0
    assert report["counters"]["syn"] == 2 and report["counters"]["trapped_ms"] > 0
    assert re.search("^client time wasted [0-9]+ s, 2 SYNs, [0-9]+ replies ", text, re.M), text
    netns = os.stat(lab.server.fd).st_ino
    for family, port in zip(FAMILIES, ports):
        [row] = [row for row in report["clients"] if row["source"] == family.client]
        assert (row["netns"], row["source_port"], row["country"]) == (netns, port, None)
        assert (row["destination"], row["port"]) == (family.server, PORT)
        assert row["last"] in ("probe", "data") and row["segments"] >= 3
        assert 0 < row["held"] < 6
        assert report["listening_since"] <= row["since"] < row["seen"] <= report["time"]
        [source] = [source for source in report["sources"] if source["source"] == family.client]
        assert (source["clients"], source["clients_open"]) == (1, 1)
        assert source["wasted"] == pytest.approx(row["held"], abs=0.01)
        line = rf"^{family.client} +{port} .*{re.escape(family.server)}.*:{PORT} .* (probe|data) "
        assert re.search(line, text, re.M), text


def test_top_includes_time_held_before_it_started(lab):
    with contextlib.ExitStack() as stack:

        def probes():
            return once(lab, 0)["counters"]["probe"]

        before = probes()
        held_client(lab, stack, V4)
        wait_until(lambda: probes() > before + 3, what="the client has sent probes")
        report = wait_until(lambda: (seen := once(lab, 1))["clients"] and seen, 60, "it is listed")
        [client] = report["clients"]
        assert client["since"] < report["listening_since"] - 0.5
        assert client["held"] > 0.5


def test_syns_are_counted_but_not_traced(lab):
    """The filter of the tracepoint discards SYNs, so a flood of them costs tarpit-top nothing."""
    with top_once(lab, 2, "--json") as output:
        before = once(lab, 0)["counters"]["syn"]
        for _ in range(200):
            Puppet(lab, V4, None, src=lab.stranger(V4)).send("S")
        counts = [path.read_text() for path in INSTANCES.glob("*/per_cpu/cpu*/stats")]
        assert counts
        for text in counts:
            assert re.search("^entries: 0$", text, re.M) and re.search(
                "^read events: 0$", text, re.M
            ), text
        report = json.loads(output())
    assert report["counters"]["syn"] >= before + 200
    assert (report["clients"], report["sources"], report["clients_seen"]) == ([], [], 0)


def test_top_counts_every_lost_trace_event(lab):
    """The kernel's buffer is full after a few thousand segments while tarpit-top is stopped."""
    peer = Puppet(lab, V4, None, src=lab.stranger(V4))
    packet = peer.packet("A", payload=b"xx")
    with top_once(lab, 6, "--json") as output:
        [instance] = INSTANCES.iterdir()
        pid = int(instance.name.rpartition("-")[2])
        os.kill(pid, signal.SIGSTOP)
        for _ in range(12000):
            lab.inject(packet)
        os.kill(pid, signal.SIGCONT)
        report = json.loads(output())
    [client] = report["clients"]
    assert client["source"] == peer.src and client["last"] == "midstream"
    assert report["trace_events_lost"] > 1000
    assert client["segments"] + report["trace_events_lost"] == 12000


def test_programs_report_missing_prerequisites(lab):
    for argv, status, message in (
        (("tarpit-top", "--once=1", "--geoip=/nowhere"), 1, "/nowhere: "),
        (("tarpit-exporter", "--geoip=/nowhere"), 1, "/nowhere: "),
        ((*NOBODY, "tarpit-top", "--once=1"), 1, "this needs root"),
        (("tarpit-top", "--sources=0"), 2, "--sources"),
        (("tarpit-exporter", "--sources=0"), 2, "--sources"),
    ):
        done = lab.server.run(*argv, check=False)
        assert done.returncode == status and message in done.stderr, done
    done = lab.server.run("tarpit-top", check=False)
    assert done.returncode == 1 and "--once" in done.stderr
    with without_module(lab):
        done = lab.server.run("tarpit-top", "--once=1", check=False)
        assert done.returncode == 1 and "xt_TARPIT is not loaded" in done.stderr


def test_exporter_exits_on_signals(lab):
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
        once(lab, 0)  # removes the instance


def test_exporter_exits_when_module_is_unloaded(lab):
    with exporter(lab) as process, without_module(lab):
        assert process.wait(20) == 1
        assert "xt_TARPIT" in process.stderr.read()


def test_exporter_serves_counters_without_tracing(lab):
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(exporter(lab, run_by=NOBODY))
        held_client(lab, stack, V4)
        page = fetch(lab, METRICS)
        assert 'xt_tarpit_segments_total{class="established"} ' in page
        assert "xt_tarpit_clients" not in page
        with without_module(lab):
            assert process.wait(20) == 1
        first, last = process.stderr.read().splitlines()
        assert "only the counters are served" in first and "this needs root" in first
        assert "xt_TARPIT is not loaded" in last


BAD_REQUESTS = {
    "no body": b"GET /metrics HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n",
    "endless head": b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100_000,
    "no request": b"",
    "not HTTP": b"\0" * 10_000 + b"\r\n\r\n",
}


def test_exporter_survives_stalled_and_malformed_requests(lab):
    """More connections than the exporter serves at a time, which neither read nor close."""
    with exporter(lab) as process, contextlib.ExitStack() as stack:
        for _ in range(5):
            for request in BAD_REQUESTS.values():
                with lab.server.inside():
                    client = socket.create_connection(("127.0.0.1", 12323), timeout=5)
                stack.enter_context(client)
                with contextlib.suppress(ConnectionError):
                    client.sendall(request)
        wait_until(lambda: fetch(lab, METRICS), 60, "the exporter serves requests again")
        assert process.poll() is None


def test_prometheus_scrapes_clients_and_dashboard_queries(lab, tmp_path):
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

        argv = [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path}/data",
            "--log.level=warn",
        ]
        with lab.server.inside(), open("/out/prometheus.log", "w", encoding="utf-8") as log:
            process = subprocess.Popen(
                [*argv, "--web.listen-address=127.0.0.1:9090"], stdout=log, stderr=log
            )
        stack.callback(process.wait, 30)
        stack.callback(process.terminate)

        def query(text):
            """Returns the values of a query, by source."""
            response = fetch(lab, f"{PROMETHEUS}/api/v1/query", query=text)
            found = json.loads(response or '{"data": {"result": []}}')["data"]["result"]
            return {one["metric"].get("source"): float(one["value"][1]) for one in found}

        wait_until(lambda: query("up") == {None: 1}, 60, "Prometheus has scraped")
        with contextlib.ExitStack() as clients:
            for family in FAMILIES:
                held_client(lab, clients, family)
            wait_until(lambda: query("xt_tarpit_clients_open") == {None: 2}, what="two are held")
            wasted = "xt_tarpit_source_wasted_seconds_total"
            sources = {V4.client, V6.client}
            wait_until(
                lambda: query(f"{wasted} > 1").keys() == sources, what="time of both is wasted"
            )
            assert query("xt_tarpit_source_clients_open").keys() == sources
            total = "xt_tarpit_wasted_seconds_total"
            wait_until(lambda: query(total).get(None, 0) > 0, what="the kernel counts time")
            for panel in json.loads(DASHBOARD.read_text())["panels"]:
                for target in panel["targets"]:
                    expr = target["expr"].replace("$instance", ".+")
                    expr = expr.replace("$__rate_interval", "1m")
                    wait_until(lambda expr=expr: query(expr), what=f"a result of {expr}")
        wait_until(lambda: query("xt_tarpit_clients_open") == {None: 0}, what="both are closed")
        assert query("xt_tarpit_source_clients_total") == dict.fromkeys(sources, 1)


class Terminal:
    """A terminal that runs a program."""

    WIDTH, HEIGHT = 100, 24

    def __init__(self, host, *argv):
        self.screen = pyte.Screen(self.WIDTH, self.HEIGHT)
        self.stream = pyte.ByteStream(self.screen)
        with host.inside():
            self.pid, self.fd = pty.fork()
            if self.pid == 0:
                os.environ["TERM"] = "xterm"
                fcntl.ioctl(
                    0, termios.TIOCSWINSZ, struct.pack("HHHH", self.HEIGHT, self.WIDTH, 0, 0)
                )
                os.execvp(argv[0], argv)

    def shows(self, pattern, limit=20):
        """Waits until the screen matches a pattern."""

        def search():
            self.draw()
            return re.search(pattern, "\n".join(self.screen.display), re.M)

        return wait_until(search, limit, f"the screen shows {pattern}")

    def draw_for(self, seconds):
        """Draws the program's output for this time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            select.select([self.fd], [], [], left)
            self.draw()

    def draw(self):
        while select.select([self.fd], [], [], 0)[0]:
            try:
                self.stream.feed(os.read(self.fd, 65536))
            except OSError:  # the program has exited
                break

    def type(self, keys):
        os.write(self.fd, keys)

    def status(self):
        """Waits until the program exits, and returns its wait status."""

        def exited():
            self.draw()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            return pid and (status,)

        return wait_until(exited, what="the program exits")[0]

    def svg(self):
        """Returns a picture of the screen."""
        em, line = 7.2, 17
        width, height = self.WIDTH * em + 20, self.HEIGHT * line + 16
        out = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"'
            ' font-size="12" font-family="DejaVu Sans Mono, Menlo, Consolas, monospace">',
            f'<rect width="{width:g}" height="{height:g}" rx="6" fill="#1c1f26"/>',
        ]
        for row in range(self.HEIGHT):
            cells = [self.screen.buffer[row][column] for column in range(self.WIDTH)]
            bright = any(cell.bold for cell in cells)
            reverse = any(cell.reverse for cell in cells)
            text = "".join(cell.data for cell in cells).rstrip()
            y = row * line + 20
            if reverse:
                out.append(
                    f'<rect x="6" y="{y - 13}" width="{width - 12:g}" height="{line}"'
                    ' fill="#c9d1d9"/>'
                )
            if text:
                colour = "#1c1f26" if reverse else "#ffffff" if bright else "#c9d1d9"
                text = html.escape(text)
                out.append(
                    f'<text x="10" y="{y}" fill="{colour}" xml:space="preserve">{text}</text>'
                )
        return "\n".join([*out, "</svg>", ""])


def test_top_renders_on_a_terminal(fresh_lab):
    """Also draws the picture for the docs, docs/tarpit-top.svg."""
    lab = fresh_lab
    more = [f"192.0.2.{n}" for n in (17, 40, 66, 101)]
    lab.client.ip(*(f"addr add {address}/24 dev c0" for address in more))
    with contextlib.ExitStack() as stack:
        top = Terminal(lab.server, "tarpit-top")
        top.shows("^0 held")
        for address in (*more, V4.client, V4.client):
            held_client(lab, stack, V4, address)
            top.draw_for(SECONDS_HELD / 7)
        held_client(lab, stack, V6)
        top.shows("^7 held, 7 seen")
        top.draw_for(SECONDS_HELD / 7)
        for address in (*more, V4.client, V6.client):
            top.shows(rf"^{re.escape(address)} +\d+ .*:{PORT} ")
        Path("/out/tarpit-top.svg").write_text(top.svg(), encoding="utf-8")
        top.type(b"s")
        top.shows(rf"^SOURCE +PORT.*\n{V4.client} .*\n{V4.client} .*\n192.0.2.17 ")
        top.type(b"\t")
        top.shows(rf"^{V4.client} +[^:]* 2 +2 ")
        top.type(b"q")
        assert top.status() == 0


def test_unit_is_valid_and_confined():
    """systemd accepts the unit without a warning, and rates its exposure below 3."""
    assert not sh("systemd-analyze", "verify", "--man=no", UNIT, check=False).stderr
    rating = sh("systemd-analyze", "security", "--offline=yes", UNIT)
    level = float(re.search(r"exposure level for .*: ([\d.]+)", rating)[1])
    assert level < 3, rating
