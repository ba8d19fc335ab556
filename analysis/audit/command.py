"""`heliograph audit`: is the execution of a team really decentralised?"""

from __future__ import annotations

import argparse
from pathlib import Path

from analysis.audit.budget import AuditBudget
from coordinator.commands import arguments
from coordinator.plan.options import add_options, read_options
from coordinator.plan.settings import RunSettings
from heliograph.certificates.arguments import add_trusted_key_argument
from heliograph.cli import Command
from heliograph.environments.arguments import add_permission_arguments
from heliograph.output_arguments import output_file, output_folder

REFUTED_EXIT_CODE = 1


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundles", type=Path, metavar="BUNDLES", help=arguments.BUNDLES_HELP)
    parser.add_argument("--environment", metavar="ID", help="refused unless the bundles were trained in it")
    add_permission_arguments(parser)
    add_trusted_key_argument(parser)
    arguments.add_override_argument(parser)
    add_options(
        parser,
        RunSettings,
        only=("run_seed", "greedy"),
        help={
            "run_seed": "seed of the recorded episodes and of everything drawn at random",
            "greedy": "audit the greedy policy (the default)",
        },
    )
    add_options(parser, AuditBudget)
    parser.add_argument("--central", action="store_true", help="also compare the run folder's centralised networks")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write the findings to FILE; - for stdout")
    parser.add_argument("--out", type=output_folder, metavar="FOLDER", help="write audit.json and audit.png here")
    parser.add_argument("--log-folder", type=output_folder, metavar="DIR", help="keep the nodes' logs here")


def run(namespace: argparse.Namespace) -> int:
    from analysis.audit.audit import audit
    from analysis.audit.report import draw, print_findings
    from coordinator.commands.exit_status import deliver
    from coordinator.plan.plan import make_plan
    from heliograph.documents import write_json
    from heliograph.errors import INTERRUPTED_EXIT_CODE
    from heliograph.optional import optional

    trust = arguments.trust(namespace)
    bundles, permission = trust.team(namespace.bundles)
    plan = make_plan(
        bundles,
        read_options(namespace, RunSettings, episodes=1),
        permission=permission,
        environment=namespace.environment,
        overrides=namespace.overrides,
    )
    findings = audit(
        plan,
        read_options(namespace, AuditBudget),
        networks=namespace.bundles if namespace.central else None,
        permission=trust.user,
        log_folder=namespace.log_folder,
    )
    document = findings.as_dict()
    try:
        deliver(document, namespace.json, show=lambda: print_findings(findings))
    finally:
        if namespace.out is not None:
            write_json(document, namespace.out / "audit.json")
            with optional("no drawing of the audit"):
                draw(findings, namespace.out / "audit.png")
    if findings.interrupted:
        return INTERRUPTED_EXIT_CODE
    return REFUTED_EXIT_CODE if findings.refuted else 0


COMMAND = Command(
    summary="try to refute that each agent depends on its own observations and its messages alone",
    configure=configure,
    run=run,
)
