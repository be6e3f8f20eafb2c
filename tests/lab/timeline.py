#!/usr/bin/python3
"""What happened in the lab, for people: who held the lease, what was switched when, which host answered the CA.

Reads what `see-it-work` collected in a folder: journal.HOST (journalctl -o short-iso-precise), access.HOST (Apache's
challenge requests), ca (pebble's log), load (load.py's summary). Prints the timeline and a last line with the counts;
exit status 0 means that all is as it has to be.
"""

import argparse
import json
import re
import sys
from datetime import datetime, timezone
from pathlib import Path

sys.dont_write_bytecode = True
import picture  # noqa: E402  # after the line above: nothing is written beside the sources

JOURNAL = re.compile(r"^(\S+) (\w+) certbaton[\w-]*\[\d+\]: (.*)$")
PEBBLE = re.compile(r"^Pebble (\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) (.*)$")
ASKED = re.compile(r"Attempting to validate w/ HTTP: http://([^/:]+)(?::80)?/\.well-known/acme-challenge/(\S+)")


def journal(folder, host):
    for line in (folder / f"journal.{host}").read_text().splitlines():
        if found := JOURNAL.match(line):
            moment = datetime.strptime(found[1], "%Y-%m-%dT%H:%M:%S.%f%z")
            yield moment, host, found[3]


def ca(folder):
    """One event per challenge, not per request: pebble asks three times."""
    proxied = (folder / "access.vps").read_text()
    seen = set()
    for line in (folder / "ca").read_text().splitlines():
        if not (found := PEBBLE.match(line)):
            continue
        moment = datetime.strptime(found[1], "%Y/%m/%d %H:%M:%S").replace(tzinfo=timezone.utc, microsecond=999999)
        if asked := ASKED.search(found[2]):
            name, token = asked[1], asked[2]
            if token not in seen:
                seen.add(token)
                who = "the vps, through home" if token in proxied else "home"
                yield moment, "CA", f"asks home for a token of {name}: answered by {who}"
        elif "Issued certificate" in found[2]:
            yield moment, "CA", "issues a certificate"
        elif "set INVALID" in found[2]:
            yield moment, "CA", "VALIDATION FAILED: " + found[2]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--since", required=True, help="UTC, as 2026-01-31T12:00:00")
    parser.add_argument("--picture", type=Path, help="draw the first round into this SVG file")
    parser.add_argument("--expected", type=int, required=True, help="certificates")
    parser.add_argument("--identical", choices=["yes", "no"], required=True)
    wanted = parser.parse_args()
    since = datetime.strptime(wanted.since, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)

    events = [event for host in ("vps", "home") for event in journal(wanted.folder, host)]
    events += ca(wanted.folder)
    # The CA's log shows whole seconds: its events are put behind the others of that second.
    events = sorted((event for event in events if event[0] >= since), key=lambda event: event[0])
    for moment, who, what in events:
        print(f"{moment:%H:%M:%S}  {who:4}  {what}")

    issued = sum(what == "issues a certificate" for _, _, what in events)
    invalid = sum(what.startswith("VALIDATION FAILED") for _, _, what in events)
    load = json.loads((wanted.folder / "load").read_text())
    for failure in load.get("failed", [])[:20]:
        print(f"failed request: {failure}", file=sys.stderr)
    print(
        f"{issued} certificates issued, {invalid} failed validations, "
        f"{load['failures']} failed requests of {load['requests']}, "
        f"configuration identical: {wanted.identical}"
    )
    if wanted.picture:
        wanted.picture.write_text(picture.draw(events, load))
    good = issued == wanted.expected and not invalid and not load["failed"] and load["requests"]
    sys.exit(0 if good and wanted.identical == "yes" else 1)


if __name__ == "__main__":
    main()
