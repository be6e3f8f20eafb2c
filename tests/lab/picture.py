"""One round of renewals as a picture (SVG): who held the lease, where each challenge was answered, when Apache reloaded.

`draw` takes the events of timeline.py: (moment, who, what). Colours and names of hosts are those of the lab.
"""

import re
from datetime import timedelta
from html import escape

GRANTED = re.compile(r"lease granted to ")
RELEASED = re.compile(r"lease released by ")
SWITCHED = re.compile(r"switched to this host: (.+)")
GIVEN_BACK = re.compile(r"given back to the peer: ([^;]+)")
RELOADED = re.compile(r"Apache reloaded|switched to this host|given back to the peer")
ASKED = re.compile(r"asks home for a token of (\S+): answered by (.+)")

LEFT, RIGHT, WIDTH = 218, 30, 960
ROW, TOP = 26, 74
STYLE = """
text { font: 13px sans-serif; fill: #1f2328 } .title { font-size: 15px; font-weight: bold } .small { font-size: 11px; fill: #57606a }
.paper { fill: #ffffff } .line { stroke: #d0d7de } .peer { fill: #d5dbe3 }
.vps { fill: #3465a4 } .home { fill: #c4620a } .reload { stroke: #1f2328; stroke-width: 2 } .issued { fill: #2da44e }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9198a1 } .paper { fill: #0d1117 } .line { stroke: #30363d } .peer { fill: #3d444d }
  .vps { fill: #6ea8fe } .home { fill: #ff9d4d } .reload { stroke: #e6edf3 } }
"""


def first_round(events):
    """Up to the second release of the lease: each host has renewed once."""
    releases = [at for at, (_, _, what) in enumerate(events) if RELEASED.match(what)]
    return events[: releases[1] + 1] if len(releases) > 1 else events


def held(events):
    """Who held the lease from when to when."""
    since = {}
    for moment, who, what in events:
        if GRANTED.match(what):
            since[who] = moment
        elif RELEASED.match(what) and who in since:
            yield who, since.pop(who), moment


def local(events):
    """Which name was answered at home itself, from when to when."""
    since = {}
    for moment, _, what in events:
        if found := SWITCHED.match(what):
            since.update(dict.fromkeys(found[1].split(), moment))
        elif found := GIVEN_BACK.match(what):
            for name in found[1].split():
                if name in since:
                    yield name, since.pop(name), moment


def draw(events, load):
    """The picture; `load` is the summary of the requests that were made meanwhile."""
    events = first_round(events)
    names = [name for name, _, until in sorted(local(events), key=lambda part: (part[2], part[0]))]
    begin, end = events[0][0] - timedelta(seconds=0.5), events[-1][0] + timedelta(seconds=1)
    scale = (WIDTH - LEFT - RIGHT) / (end - begin).total_seconds()
    rows = ["lease", *names, "certificates", "Apache reloads"]
    height = TOP + ROW * len(rows) + 74
    out = []

    def x(moment):
        return LEFT + max(0.0, (moment - begin).total_seconds()) * scale

    def y(row):
        return TOP + ROW * rows.index(row)

    def bar(row, kind, since, until, title, inset=4):
        out.append(
            f'<rect class="{kind}" x="{x(since):.1f}" y="{y(row) + inset}" width="{x(until) - x(since):.1f}" '
            f'height="{ROW - 2 * inset}" rx="3"><title>{escape(title)}</title></rect>'
        )

    def text(at, line, words, kind=""):
        out.append(f'<text class="{kind}" x="{at:.1f}" y="{line:.1f}">{escape(words)}</text>')

    text(16, 28, "vps renews three lineages, then home renews the same three", "title")
    text(16, 48, "A leads to vps, AAAA to home. The CA asks home for every challenge.", "small")
    for second in range(0, int((end - begin).total_seconds()) + 1, 5):
        at = LEFT + second * scale
        out.append(f'<line class="line" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{TOP + ROW * len(rows)}"/>')
        text(at + 3, TOP - 4, f"{second} s", "small")
    for row in rows:
        text(16, y(row) + 17, row)

    for who, since, until in held(events):
        bar("lease", who, since, until, f"{who} holds the lease")
        text(x(since) + 6, y("lease") + 17, who, "held")
    for name in names:
        bar(name, "peer", begin, end, f"{name}: home passes the challenge path on to vps", 10)
    for name, since, until in local(events):
        bar(name, "home", since, until, f"{name}: home answers itself", 10)
    # The CA's log has whole seconds.
    for moment, _, what in events:
        second = moment.replace(microsecond=0)
        if found := ASKED.match(what):
            kind = "home" if found[2] == "home" else "vps"
            middle = x(second + timedelta(seconds=0.5))
            out.append(
                f'<circle class="{kind}" cx="{middle:.1f}" cy="{y(found[1]) + ROW / 2}" r="7">'
                f"<title>{escape(what)}</title></circle>"
            )
        elif what == "issues a certificate":
            bar("certificates", "issued", second, second + timedelta(seconds=1), what, 7)
        elif RELOADED.match(what):
            out.append(
                f'<line class="reload" x1="{x(moment):.1f}" x2="{x(moment):.1f}" y1="{y("Apache reloads") + 6}" '
                f'y2="{y("Apache reloads") + ROW - 6}"><title>{escape(what)}</title></line>'
            )

    line = TOP + ROW * len(rows) + 24
    at = 16
    for kind, words in (
        ("vps", "the CA asks, vps answers through home"),
        ("home", "the CA asks, home answers itself"),
    ):
        out.append(f'<circle class="{kind}" cx="{at + 7}" cy="{line - 4}" r="7"/>')
        text(at + 20, line, words)
        at += 296
    out.append(f'<rect class="home" x="{at}" y="{line - 8}" width="24" height="6" rx="3"/>')
    text(at + 32, line, "switched to home")
    at += 166
    out.append(f'<rect class="issued" x="{at}" y="{line - 11}" width="14" height="12" rx="3"/>')
    text(at + 22, line, "issued")
    text(
        16,
        line + 28,
        f"Meanwhile: {load['requests']} requests to both addresses of each name, {load['failures']} failed. "
        "Each lineage's deploy hook gives its own names back.",
        "small",
    )
    body = "\n".join(out)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">\n'
        f"<style>{STYLE}.held {{ fill: #ffffff }}</style>\n"
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="8"/>\n{body}\n</svg>\n'
    )
