#!/usr/bin/env python3
"""How many machines a number of players needs and what they cost: the arithmetic of docs/operations.md, to repeat with your
own figures. `deploy/capacity.py --help`; `--markdown` prints the table of that page, which `deploy/check` compares.

Only the standard library. Prices are assumptions of November 2026, rounded, in US dollars; change them to what you pay."""

import argparse
import math

# (name, µs of processor time a client and tick, ticks a second, players a server process, UDP payload bytes a second down)
# from benches/README.md, "Arena: the whole server, a thousand clients"; the machine's core there is a virtual one, as a vCPU is.
SHAPES = [
    ("512 players a server", 9.05, 60, 512, 13_558),
    ("64 players a server", 9.44, 60, 64, 16_374),
]
HEADERS = 28  # IPv4 and UDP, a datagram; one datagram a client and tick
MONTH_H = 730


def plan(given, shape):
    """Everything that follows for one shape, by name."""
    _, us, hz, players, payload = shape
    servers = math.ceil(given.ccu / players * (1 + given.spare))
    work_m = us * hz * players / 1000  # thousandths of a core, as Kubernetes counts
    request_m = math.ceil(work_m / given.busy / 10) * 10
    vcpu = servers * (request_m + given.sidecar_m) / 1000
    machines = math.ceil(vcpu / given.vcpu / given.filled)
    machine_hour = given.price * (given.spot_share * given.spot_price + 1 - given.spot_share)
    bytes_s = given.ccu * (payload + HEADERS * hz)
    return {
        "players_core": 1e6 / (us * hz),
        "request_m": request_m,
        "servers": servers,
        "vcpu": vcpu,
        "machines": machines,
        "compute_hour": vcpu / given.vcpu / given.filled * machine_hour,
        "mbit_s": bytes_s * 8 / 1e6,
        "egress_hour": bytes_s * 3600 / 1e9 * given.egress,
    }


def arguments():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--ccu", type=int, default=1000, help="players at once (default 1000)")
    flags.add_argument("--busy", type=float, default=0.5, help="how much of its request a full server uses (default 0.5)")
    flags.add_argument("--spare", type=float, default=0.15, help="ready servers beside those in use (default 0.15)")
    flags.add_argument("--filled", type=float, default=0.8, help="how much of a machine the scheduler fills (default 0.8)")
    flags.add_argument("--sidecar-m", type=int, default=30, help="thousandths of a core for Agones' sidecar (default 30)")
    flags.add_argument("--vcpu", type=int, default=4, help="of a machine (default 4)")
    flags.add_argument("--price", type=float, default=0.20, help="of a machine on demand, an hour (default 0.20: 4 vCPU, 8 GiB)")
    flags.add_argument("--spot-price", type=float, default=0.35, help="of a spot machine beside it (default 0.35)")
    flags.add_argument("--spot-share", type=float, default=0.65, help="of the machines (default 0.65)")
    flags.add_argument("--egress", type=float, default=0.07, help="a GB to the internet (default 0.07)")
    flags.add_argument("--mean", type=float, default=0.5, help="mean of the day beside its peak (default 0.5)")
    flags.add_argument("--us", type=float, help="your own µs a client and tick, with --hz, --players and --bytes")
    flags.add_argument("--hz", type=int, default=60)
    flags.add_argument("--players", type=int, default=64, help="a server process")
    flags.add_argument("--bytes", type=int, default=10_000, help="UDP payload a client and second, down")
    flags.add_argument("--markdown", action="store_true")
    return flags.parse_args()


def rows(given):
    shapes = [("yours", given.us, given.hz, given.players, given.bytes)] if given.us else SHAPES
    plans = [(shape, plan(given, shape)) for shape in shapes]
    month = lambda found: (found["compute_hour"] + found["egress_hour"]) * given.mean * MONTH_H
    yield f"for {given.ccu} players at once", [shape[0] for shape, _ in plans]
    yield "players a core, wholly busy", [f"{found['players_core']:.0f}" for _, found in plans]
    yield f"request a server ({given.busy:.0%} busy when full)", [f"{found['request_m']}m" for _, found in plans]
    yield f"servers, {given.spare:.0%} ready beside", [str(found["servers"]) for _, found in plans]
    yield "vCPU requested, sidecars too", [f"{found['vcpu']:.2f}" for _, found in plans]
    yield f"machines of {given.vcpu} vCPU, {given.filled:.0%} filled", [str(found["machines"]) for _, found in plans]
    yield f"compute an hour, {given.spot_share:.0%} spot", [f"${found['compute_hour']:.3f}" for _, found in plans]
    yield "to players, Mbit/s", [f"{found['mbit_s']:.0f}" for _, found in plans]
    yield "traffic an hour", [f"${found['egress_hour']:.2f}" for _, found in plans]
    yield f"a month, mean {given.mean:.0%} of the peak", [f"${month(found):.0f}" for _, found in plans]


def table(given):
    lines = [f"| {name} | " + " | ".join(values) + " |" for name, values in rows(given)]
    lines.insert(1, "|---|" + "---:|" * (lines[0].count("|") - 2))
    return "\n".join(lines)


if __name__ == "__main__":
    given = arguments()
    if given.markdown:
        print(table(given))
    else:
        for name, values in rows(given):
            print(f"{name:44}" + "".join(f"{value:>24}" for value in values))
