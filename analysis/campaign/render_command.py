"""`heliograph campaign render`: what is left of a campaign as Kubernetes Jobs, for `kubectl apply -f -`."""

from __future__ import annotations

import argparse
import json

from analysis.campaign.request import add_campaign_arguments, request_of
from heliograph.cli import Command


def configure(parser: argparse.ArgumentParser) -> None:
    add_campaign_arguments(parser)
    parser.add_argument(
        "--image", required=True, help="of the Dockerfile's target campaign, with all that the worlds need"
    )
    parser.add_argument("--claim", required=True, help="PersistentVolumeClaim that all runs share (ReadWriteMany)")
    parser.add_argument("--cpus", type=float, default=1.0, help="of each run")
    parser.add_argument("--memory", default="4Gi", help="of each run")
    parser.add_argument("--gpus", type=int, default=0, help="of each run")


def run(namespace: argparse.Namespace) -> int:
    from analysis.campaign.kubernetes import rendered_jobs
    from analysis.campaign.standing import standings
    from heliograph.errors import SettingsError
    from heliograph.settings import read_toml_text

    if not 0 < namespace.cpus <= 1024 or not 0 <= namespace.gpus <= 64:
        raise SettingsError(f"no run can have {namespace.cpus:g} processors and {namespace.gpus} GPUs")
    request = request_of(namespace)
    found = standings(request.runs(), request.plans, request.places)
    rendered = rendered_jobs(
        request.settings.name,
        [each.run for each in found if not each.state.is_settled],
        file_text=read_toml_text(namespace.file),
        image=namespace.image,
        claim=namespace.claim,
        cpus=namespace.cpus,
        memory=namespace.memory,
        gpus=namespace.gpus,
        permission=request.permission,
    )
    print(json.dumps(rendered, indent=2))
    return 0


COMMAND = Command(summary="print what is left of a campaign as Kubernetes Jobs", configure=configure, run=run)
