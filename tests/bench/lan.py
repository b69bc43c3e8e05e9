"""A class that opens the explorer at once: many clients that load a bundle from one server.

    python tests/bench/lan.py --boomerang target/release/boomerang --site dist BUNDLE

Starts `boomerang explore`, and clients that fetch as the page's worker does: the manifest, then one file
after the other, the smallest size first. Each client has a loopback address of its own, as it would have
in a class. Prints when each had its smallest size and everything, the transfer rate, and the memory of the
server. `--network` limits all together, `--rate` each of them. Only Linux, whose loopback has many addresses.
"""

import argparse
import http.client
import json
import re
import socket
import statistics
import subprocess
import threading
import time

CHUNK = 1 << 16


def files_in_order(manifest):
    """Paths of the smallest size, and of everything after it."""
    student, teacher = manifest["student"], manifest["teacher"]
    own = [student["own_ends"]] if "own_ends" in student else []
    first = [manifest.get("tokenizer_gz") or manifest["tokenizer"], student["ends"], *own, *student["layers"]]
    rest = [file for file in [teacher["ends"], *teacher["layers"]] if file["path"] != student["ends"]["path"]]
    return [file["path"] for file in first], [file["path"] for file in rest]


class Network:
    """What all clients share, as in a wireless network: bytes per second."""

    def __init__(self, rate):
        self.rate, self.lock, self.free = rate, threading.Lock(), 0.0

    def carry(self, n_bytes):
        if not self.rate:
            return
        with self.lock:
            self.free = max(self.free, time.monotonic()) + n_bytes / self.rate
            until = self.free
        time.sleep(max(0.0, until - time.monotonic()))


class Client(threading.Thread):
    def __init__(self, number, port, start, network, rate, delay):
        super().__init__(daemon=True)
        self.source = f"127.0.1.{number + 1}"
        self.port, self.begin, self.network, self.rate, self.delay = port, start, network, rate, delay
        self.n_bytes, self.error = 0, None
        self.first_seconds = self.all_seconds = None

    def connect(self):
        """A connection that receives little ahead: on loopback a buffer is no part of the network."""
        connection = socket.socket()
        connection.settimeout(600)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CHUNK)
        connection.bind((self.source, 0))
        connection.connect(("127.0.0.1", self.port))
        return connection

    def get(self, connection, path):
        connection.request("GET", "/bundle/" + path)
        response = connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"{path}: status {response.status}")
        whole = bytearray()
        while chunk := response.read(CHUNK):
            self.n_bytes += len(chunk)
            self.network.carry(len(chunk))
            if path == "manifest.json":
                whole += chunk
            if self.rate:
                ahead = self.n_bytes / self.rate - (time.monotonic() - self.started)
                if ahead > 0:
                    time.sleep(ahead)
        return bytes(whole)

    def run(self):
        self.begin.wait()
        time.sleep(self.delay)
        self.started = time.monotonic()
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port)
            connection.sock = self.connect()
            first, rest = files_in_order(json.loads(self.get(connection, "manifest.json")))
            for path in first:
                self.get(connection, path)
            self.first_seconds = time.monotonic() - self.started
            for path in rest:
                self.get(connection, path)
            self.all_seconds = time.monotonic() - self.started
        except Exception as error:  # Reported by the main thread.
            self.error = f"{self.source}: {error}"


def resident_bytes(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1)) * 1024


def in_words(name, seconds):
    seconds = sorted(seconds)
    middle = statistics.median(seconds)
    return f"{name}: {seconds[0]:.2f} s to {seconds[-1]:.2f} s, median {middle:.2f} s"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--boomerang", required=True, help="the program")
    parser.add_argument("--site", required=True, help="folder of the built page")
    parser.add_argument("--clients", type=int, default=30)
    parser.add_argument("--network", type=float, default=0, help="MB/s of the network that all share")
    parser.add_argument("--rate", type=float, default=0, help="MB/s of each client's own link")
    parser.add_argument("--spread", type=float, default=0, help="seconds between first and last arrival")
    options = parser.parse_args()

    command = [options.boomerang, "explore", options.bundle, "--site", options.site, "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = None
        while port is None:
            line = server.stdout.readline()
            if not line:
                raise SystemExit("the server ended")
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
            port = int(found.group(1)) if found else None
        time.sleep(0.5)
        before = resident_bytes(server.pid)
        start, network = threading.Event(), Network(options.network * 1e6)
        clients = [
            Client(number, port, start, network, options.rate * 1e6, options.spread * number / options.clients)
            for number in range(options.clients)
        ]
        for client in clients:
            client.start()
        began, most = time.monotonic(), before
        start.set()
        while any(client.is_alive() for client in clients):
            most = max(most, resident_bytes(server.pid))
            time.sleep(0.05)
        seconds = time.monotonic() - began
        errors = [client.error for client in clients if client.error]
        if errors:
            raise SystemExit("\n".join(errors))
        n_bytes = sum(client.n_bytes for client in clients)
        print(in_words("smallest size", [client.first_seconds for client in clients]))
        print(in_words("everything", [client.all_seconds for client in clients]))
        print(f"{n_bytes / 1e6:.0f} MB in {seconds:.1f} s: {n_bytes / 1e6 / seconds:.0f} MB/s")
        print(f"memory of the server: {before / 1e6:.1f} MB before, at most {most / 1e6:.1f} MB")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
