"""`heliograph evaluate`: teams of bundles, each in one process; the trainer's networks and references beside them."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.commands import arguments
from coordinator.observers.settings import ObserverSettings
from coordinator.plan.options import add_options, declared_in, read_options
from coordinator.plan.pace import Pace
from coordinator.plan.settings import PERMUTED, RunSettings
from heliograph.certificates.arguments import add_trusted_key_argument
from heliograph.cli import Command
from heliograph.errors import HeliographError, SettingsError
from heliograph.output_arguments import output_file

if TYPE_CHECKING:
    from coordinator.running.report import Report
    from coordinator.scoring.scores import Score
    from coordinator.scoring.suite import EvaluationRequest

POLICIES = {"greedy": (True,), "sampled": (False,), "both": (True, False)}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help=arguments.BUNDLES_HELP,
    )
    # One process has no clock, and waits for nobody.
    choice = arguments.add_episode_arguments(parser, without=[each.field for each in declared_in(Pace)])
    choice.add_argument("--policy", choices=POLICIES, help="the greedy policy, the sampled one, or one after the other")
    parser.add_argument(
        "--checkpoints",
        choices=("last", "all"),
        default="last",
        help="the bundles; or the run's snapshots and newest centralised networks",
    )
    parser.add_argument("--central", action="store_true", help="also evaluate the run folder's centralised networks")
    parser.add_argument(
        "--search",
        action="store_true",
        help="also evaluate the run folder's networks with a search before every step, which takes what all agents "
        "see; for algorithms that plan, such as mazero",
    )
    parser.add_argument(
        "--reference",
        action="append",
        default=[],
        metavar="NAME",
        help="also run a reference policy, such as random, in the runs' worlds or --environment",
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="processes that run bundles' episodes in parallel"
    )
    add_options(parser, ObserverSettings, only=("watch",))
    add_trusted_key_argument(parser)
    parser.add_argument("--marl-eval", type=output_file, metavar="FILE", help="add the results to a file for marl-eval")


def run(namespace: argparse.Namespace) -> int:
    if not namespace.paths and not (namespace.reference and namespace.environment):
        raise SettingsError(
            "there is nothing to evaluate", remedy="Name run folders, or a --reference and its --environment"
        )
    networks = namespace.central or namespace.search or namespace.checkpoints == "all"
    if namespace.overrides and networks:
        raise SettingsError("the trainer's networks are evaluated in the run's own world, without --set")
    for option, given in (("--channel", namespace.channel), ("--codec", namespace.codec != "bit-packed")):
        if given and networks:
            raise SettingsError(f"the trainer's networks are centralised, with no messages that {option} could change")
    if networks and PERMUTED in read_options(namespace, RunSettings).conditions:
        raise SettingsError(
            "the trainer's networks are centralised, with no messages that another episode's could stand in for"
        )
    if namespace.jobs < 1 or (namespace.jobs > 1 and (namespace.frames or namespace.watch)):
        raise SettingsError(
            f"--jobs {namespace.jobs}: at least one process is needed, and with --frames or --watch just one"
        )
    request = _request(namespace)
    single = len(namespace.paths) == 1 and namespace.checkpoints == "last" and namespace.policy != "both"
    if single and not namespace.reference and namespace.marl_eval is None:
        return _evaluate_one(namespace, request)
    return _evaluate_several(namespace, request)


def _request(namespace: argparse.Namespace) -> EvaluationRequest:
    """What the arguments ask for, be it one team or many."""
    from coordinator.scoring.suite import EvaluationRequest

    greedy = (namespace.greedy,) if namespace.policy is None else POLICIES[namespace.policy]
    return EvaluationRequest(
        paths=tuple(namespace.paths),
        references=tuple(namespace.reference),
        agents=namespace.agents,
        environment=namespace.environment,
        trust=arguments.trust(namespace),
        overrides=tuple(namespace.overrides),
        settings=read_options(namespace, RunSettings, greedy=greedy[0]),
        greedy=greedy,
        every_checkpoint=namespace.checkpoints == "all",
        jobs=namespace.jobs,
        central=namespace.central,
        search=namespace.search,
        marl_eval=namespace.marl_eval is not None,
    )


def _evaluate_one(namespace: argparse.Namespace, request: EvaluationRequest) -> int:
    """A suite of one team, with everything that is known of its episodes."""
    from coordinator.commands.exit_status import deliver, exit_code
    from coordinator.plan.plan import LABELS
    from coordinator.running.local import evaluate
    from coordinator.running.report import print_report
    from coordinator.scoring.centralised import central_team
    from coordinator.scoring.scored_run import score_central_team
    from coordinator.scoring.suite import check_searches, plans_of
    from coordinator.world.frames import filmed_in_words

    (path,) = request.paths
    asked = {"central": request.central, "search": request.search}
    team = central_team(path, request.trust.user) if any(asked.values()) else None
    if team is not None and request.search:
        check_searches(path, team)
    (plan,) = plans_of(path, request)
    report = evaluate(plan, jobs=request.jobs, observers=ObserverSettings(watch=namespace.watch))
    networks: dict[str, list[Score]] = {kind: [] for kind, wanted in asked.items() if wanted}
    failure: HeliographError | None = None
    if team is not None and not report.interrupted and report.output_failure is None:
        # Whatever ends them early, the bundles' episodes are finished, and are reported.
        try:
            with closing(team):
                for kind, scores in networks.items():
                    for name in plan.conditions:
                        scores.append(
                            score_central_team(path, team, team.newest, plan, name, searching=kind == "search")
                        )
        except KeyboardInterrupt:
            report = replace(report, interrupted=True)
        except HeliographError as error:
            failure = error
    document = report.as_dict()
    for kind, scores in networks.items():
        document[kind] = [
            {"label": LABELS[score.links], "episodes": plan.episodes, "outcome": vars(score.estimate)}
            for score in scores
        ]
    bits = team.search_bits if team is not None and request.search else None
    if bits is not None:
        document["search_bits_per_agent_step"] = dict(zip(("up", "down"), bits, strict=True))

    def show() -> None:
        print_report(report)
        for scores in filter(None, networks.values()):
            _print_comparison(report, scores)
        if bits is not None:
            _print_search_bits(*bits)
        whole = not report.interrupted and report.output_failure is None and report.undrawn is None
        if plan.frames is not None and whole:
            print(filmed_in_words(plan.frames, plan.conditions))

    deliver(document, namespace.json, show=show)
    if failure is not None:
        raise failure
    return exit_code(report, namespace.minimum_outcome)


def _print_comparison(report: Report, central: list[Score]) -> None:
    from coordinator.scoring.score_table import TEAMS
    from heliograph import display

    other_team = TEAMS[central[0].team]
    table = display.table(f"bundles, and the trainer's {other_team}", "", "bundles", other_team, "intervals")
    # Fewer than conditions, if they were interrupted.
    for summary, other in zip(report.summaries, central, strict=False):
        alone, together = summary.outcome, other.estimate
        overlap = alone.low <= together.high and together.low <= alone.high
        table.add_row(
            f"outcome {summary.label}",
            display.interval(alone.mean, alone.low, alone.high),
            display.interval(together.mean, together.low, together.high),
            "overlap" if overlap else "apart",
        )
    display.console().print(table)


def _print_search_bits(up: int, down: int) -> None:
    from heliograph import display

    display.console().print(
        f"at execution such a search would take {up} bits up and {down} down per agent-step (hidden state and action "
        "mask, action; computed); bundles do not search"
    )


def _evaluate_several(namespace: argparse.Namespace, request: EvaluationRequest) -> int:
    """Many teams, checkpoints or policies, with a row for each."""
    from coordinator.commands.exit_status import deliver
    from coordinator.scoring.score_table import print_scores
    from coordinator.scoring.scores import as_dict, evaluated_runs, groups
    from coordinator.scoring.suite import evaluate_suite
    from heliograph import marl_eval
    from heliograph.errors import INTERRUPTED_EXIT_CODE

    for name in ("record", "frames", "watch"):
        if getattr(namespace, name) is not None:
            raise SettingsError(
                f"--{name} shows one evaluation", remedy="Name one run, its last checkpoint, one policy"
            )
    every = request.every_checkpoint
    file = namespace.marl_eval
    earlier = marl_eval.read(file) if file is not None and file.exists() else []
    scores: list[Score] = []
    interrupted, failure = False, None  # type: bool, HeliographError | None
    try:
        evaluate_suite(request, scores)
    except KeyboardInterrupt:
        interrupted = True
    except HeliographError as error:
        if not scores:
            raise
        failure = error  # told last, after what was finished
    found = groups(scores, every_checkpoint=every)
    document = as_dict(scores, found, episodes=namespace.episodes, seed=namespace.seed, interrupted=interrupted)
    deliver(
        document,
        namespace.json,
        show=lambda: print_scores(scores, found, episodes=namespace.episodes, seed=namespace.seed),
    )
    if failure is not None:
        raise failure
    if file is not None and not interrupted:
        marl_eval.write(file, marl_eval.merge(earlier, evaluated_runs(scores, evaluation_seed=namespace.seed)))
        print(f"written to {file}", file=sys.stderr)
    if interrupted:
        print("interrupted: results cover completed episodes only", file=sys.stderr)
        return INTERRUPTED_EXIT_CODE
    return _minimum_exit_code(scores, namespace.minimum_outcome)


def _minimum_exit_code(scores: list[Score], minimum: float | None) -> int:
    """0, or 1 if any team with open links came out below the minimum; references need not reach it."""
    from coordinator.commands.exit_status import BELOW_MINIMUM_EXIT_CODE

    below = [s for s in scores if s.links == "open" and minimum is not None and s.estimate.mean < minimum]
    for score in below:
        print(
            f"{score.run}: outcome {score.estimate.mean:.3f} is below the minimum of {minimum:g}",
            file=sys.stderr,
        )
    return BELOW_MINIMUM_EXIT_CODE if below else 0


COMMAND = Command(summary="evaluate teams of bundles, each in one process", configure=configure, run=run)
