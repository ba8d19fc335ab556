"""`heliograph card`: a model card beside a team's bundles, of what was measured of exactly these."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.commands import arguments
from coordinator.plan.options import add_options, read_options
from coordinator.plan.settings import RunSettings
from heliograph.certificates.arguments import add_trusted_key_argument
from heliograph.cli import Command
from heliograph.environments.arguments import add_permission_arguments
from heliograph.errors import SettingsError
from heliograph.output_arguments import output_folder

if TYPE_CHECKING:
    from coordinator.plan.plan import Plan

LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,59}")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder, or folder of bundles")
    parser.add_argument("--to", type=output_folder, metavar="FOLDER", help="where the card goes; default: RUN/card")
    parser.add_argument(
        "--evaluate",
        action="store_true",
        help="first run the bundles as processes, with messages and with all masked, audit them and draw an episode; "
        "results are kept in RUN/evaluation",
    )
    add_options(parser, RunSettings, only=("episodes", "run_seed", "greedy"))
    parser.add_argument("--no-audit", action="store_true", help="evaluate without the audit, which takes longest")
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="what `heliograph run` or `evaluate` of these bundles wrote with --json; default: that of RUN/evaluation",
    )
    parser.add_argument(
        "--audit", type=Path, metavar="FILE", help="audit.json of these bundles; default: that of RUN/evaluation"
    )
    parser.add_argument("--name", help="how the card calls the team; default: its algorithm and environment")
    parser.add_argument(
        "--licence", "--license", default="unknown", metavar="ID", help="under which the team is given, as apache-2.0"
    )
    parser.add_argument("--sign", type=Path, metavar="KEY", help="private key of `heliograph certificates signing-key`")
    add_permission_arguments(parser)
    add_trusted_key_argument(parser)


def run(namespace: argparse.Namespace) -> int:
    from analysis.card.card import card_of
    from analysis.card.evaluation import FOLDER, make_evaluation, read_evaluation
    from analysis.card.folder import check_place, write_card
    from coordinator.scoring.scored_run import training_seed
    from heliograph.certificates.signing_keys import public_key, read_signing_key
    from heliograph.hub.team_folder import AUDIT, DRAWING, EVALUATION
    from heliograph.run_status import read_status

    if not LICENCE.fullmatch(namespace.licence):
        raise SettingsError(
            f"{namespace.licence[:60]!r} is no licence's id", remedy="Give one as hubs name it, such as apache-2.0"
        )
    if namespace.evaluate and (namespace.report or namespace.audit):
        raise SettingsError("--evaluate makes a report and an audit", remedy="Leave out --report and --audit")
    folder = namespace.to or namespace.run / "card"
    check_place(folder)
    key = None if namespace.sign is None else read_signing_key(namespace.sign)
    results = namespace.run / FOLDER
    if namespace.evaluate:
        plan = _plan(namespace)
        make_evaluation(plan, results, audited=plan.manifest.team_size > 1 and not namespace.no_audit)
    bundles, _ = arguments.trust(namespace).team(namespace.run)
    report, audit = namespace.report or results / EVALUATION, namespace.audit or results / AUDIT
    evaluation = read_evaluation(
        report,
        audit if namespace.audit or audit.exists() else None,
        bundles,
        remedy=f"Make one: heliograph card {namespace.run} --evaluate",
    )
    if key is not None:
        bundles = [bundle.sign(key) for bundle in bundles]
    manifest = bundles[0].manifest
    card = card_of(
        bundles,
        evaluation,
        name=namespace.name or f"{manifest.algorithm}-{manifest.environment.replace(':', '.')}",
        licence=namespace.licence,
        training_seed=training_seed(namespace.run),
        training_state=read_status(namespace.run).state,
        signing_key=None if key is None else public_key(key).hex(),
    )
    evidence = {EVALUATION: report, AUDIT: audit, DRAWING: results / DRAWING}
    # A drawing beside another report's evaluation may be of other bundles.
    known = {
        name: path for name, path in evidence.items() if path.exists() and not (name == DRAWING and namespace.report)
    }
    write_card(card, bundles, folder, evidence=known)
    print(f"written to {folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    if not card.signed:
        print("the bundles are not signed; --sign KEY signs those beside the card")
    return 0


def _plan(namespace: argparse.Namespace) -> Plan:
    from coordinator.plan.plan import make_plan

    bundles, permission = arguments.trust(namespace).team(namespace.run)
    manifest = bundles[0].manifest
    return make_plan(
        bundles,
        read_options(namespace, RunSettings),
        permission=permission,
        conditions=("open",) if manifest.message is None else ("open", "cut"),
    )


COMMAND = Command(summary="write a model card of a trained team, beside its bundles", configure=configure, run=run)
