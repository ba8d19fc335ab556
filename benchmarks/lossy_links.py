"""What teams of relay reach when messages are lost or late, beside the best that any team can reach.

    python benchmarks/lossy_links.py runs/relay mask runs/robust hold [--episodes 1000] [--json FILE]

Takes run folders, each with the late policy that it is run by, and plays their bundles under each channel, all in one
process, on the same episodes.  Delays are whole steps: a message that takes 200 of 100 ms is one step late.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

CHANNELS = {
    "nothing lost": "erasure=0",
    "10 % erased": "erasure=0.1",
    "30 % erased": "erasure=0.3",
    "50 % erased": "erasure=0.5",
    "bursts, 10 %": "burst=0.1:3",
    "bursts, 30 %": "burst=0.3:3",
    "1 step late": "delay-ms=200",
    "2 steps late": "delay-ms=300",
    "3 steps late": "delay-ms=400",
}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("teams", nargs="+", metavar="RUN POLICY", help="run folders, each with mask, hold or predict")
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args(argv)
    if len(arguments.teams) % 2 or any(late not in ("mask", "hold", "predict") for late in arguments.teams[1::2]):
        parser.error("name run folders, each with mask, hold or predict after it")

    import heliograph

    found = []
    for folder, late in zip(arguments.teams[::2], arguments.teams[1::2], strict=True):
        for name, channel in CHANNELS.items():
            report = heliograph.evaluate(
                folder, episodes=arguments.episodes, seed=arguments.seed, channel=channel, late=late
            )
            score, limit = report.summaries[0].outcome, report.channel_limit
            best = "unknown" if limit is None else f"{limit.low:.3f} to {limit.high:.3f}"
            print(f"{folder:30} {late:7} {name:14} {score.mean:.3f} ({score.low:.3f}-{score.high:.3f})  best {best}")
            sys.stdout.flush()
            found.append(
                {"run": folder, "late": late, "channel": channel, "score": vars(score)}
                | {"best": None if limit is None else vars(limit)}
            )
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
