"""`heliograph bundle`: pack policies of others into bundles; look at bundles, check them and sign them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.cli import Command
from heliograph.errors import SettingsError
from heliograph.output_arguments import output_folder
from heliograph.packing import files_command
from heliograph.subcommands import with_subcommands

if TYPE_CHECKING:
    from heliograph.packing.naming import MessageNames


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models", type=Path, nargs="+", metavar="MODEL.onnx", help="one for all agents, or one per slot"
    )
    parser.add_argument(
        "--environment", required=True, metavar="ID", help="an id, or an import path, which is imported"
    )
    parser.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE", help="of the environment")
    parser.add_argument("--to", type=output_folder, required=True, metavar="FOLDER", help="for agent-0 ... agent-(N-1)")
    tensors = parser.add_argument_group("tensors of the graph, by their names")
    tensors.add_argument("--observation", required=True, metavar="INPUT", help="the agent's own observation")
    tensors.add_argument("--logits", metavar="OUTPUT", help="of numbered actions; or their values")
    tensors.add_argument("--mean", metavar="OUTPUT", help="of a Gaussian over vectors")
    tensors.add_argument("--deviation", metavar="OUTPUT", help="of that Gaussian; without it the mean is taken")
    tensors.add_argument("--deviation-is", choices=("scale", "log"), default="scale", help="or its natural logarithm")
    tensors.add_argument(
        "--squash",
        choices=("tanh", "clip"),
        default="tanh",
        help="how a sample becomes an action: by tanh, scaled to the bounds, or cut off at the bounds",
    )
    tensors.add_argument("--state", action="append", default=[], metavar="INPUT:OUTPUT", help="recurrent state")
    tensors.add_argument("--mask", metavar="INPUT", help="for the action mask, where the graph takes one")
    tensors.add_argument(
        "--append-id", action="store_true", help="append the agent's slot, one-hot, to the observation"
    )
    tensors.add_argument(
        "--fix", action="append", default=[], metavar="NAME=SIZE", help="a dimension that the graph leaves open"
    )
    talk = parser.add_argument_group("of a policy that talks in real vectors, which are sent as ids")
    talk.add_argument(
        "--message",
        metavar="OUTPUT:INPUT",
        help="the vector that it sends, and the input with a row for each slot",
    )
    talk.add_argument("--present", metavar="INPUT", help="who has sent, where the graph takes it")
    talk.add_argument("--no-own-message", action="store_true", help="the row of the agent itself is zeros")
    talk.add_argument("--message-low", type=float, metavar="X", default=-1.0, help="where its numbers begin")
    talk.add_argument("--message-high", type=float, metavar="X", default=1.0, help="and where they end")
    talk.add_argument("--message-levels", type=int, default=256, metavar="C", help="ids for each number")
    told = parser.add_argument_group("what the bundles say of themselves")
    told.add_argument("--algorithm", default="packed", help="what trained it")
    told.add_argument("--run-id", metavar="NAME", help="of the team (default: the digest of its graphs)")
    told.add_argument("--training-step", type=int, default=0, metavar="N", help="environment steps seen in training")
    parser.add_argument("--sign", type=Path, metavar="KEY", help="private key of `heliograph certificates signing-key`")
    parser.add_argument("--tar", action="store_true", help="write agent-0.tar ... instead of folders")


def _run(arguments: argparse.Namespace) -> int:
    from heliograph.certificates.signing_keys import read_signing_key
    from heliograph.packing.api import pack
    from heliograph.packing.naming import TensorNames
    from heliograph.settings import merge

    names = TensorNames(
        observation=arguments.observation,
        logits=arguments.logits,
        mean=arguments.mean,
        deviation=arguments.deviation,
        deviation_is=arguments.deviation_is,
        squash=arguments.squash,
        state=dict(_pair(text, ":", "--state INPUT:OUTPUT") for text in arguments.state),
        mask=arguments.mask,
        append_id=arguments.append_id,
        message=_message(arguments),
    )
    paths = pack(
        arguments.models,
        environment=arguments.environment,
        parameters=merge({}, arguments.parameter),
        names=names,
        fixed={name: _size(size) for name, size in (_pair(text, "=", "--fix NAME=SIZE") for text in arguments.fix)},
        to=arguments.to,
        algorithm=arguments.algorithm,
        run_id=arguments.run_id,
        training_step=arguments.training_step,
        signing_key=None if arguments.sign is None else read_signing_key(arguments.sign),
        tar=arguments.tar,
    )
    print("\n".join(map(str, paths)))
    return 0


def _message(arguments: argparse.Namespace) -> MessageNames | None:
    from heliograph.packing.naming import MessageNames

    if arguments.message is None:
        if arguments.present is not None:
            raise SettingsError("--present is of a policy that talks", remedy="Name its --message OUTPUT:INPUT as well")
        return None
    output, inbox = _pair(arguments.message, ":", "--message OUTPUT:INPUT")
    return MessageNames(
        output=output,
        inbox=inbox,
        present=arguments.present,
        own=not arguments.no_own_message,
        low=arguments.message_low,
        high=arguments.message_high,
        levels=arguments.message_levels,
    )


def _pair(text: str, mark: str, form: str) -> tuple[str, str]:
    # The last mark: names that exporters make may have one themselves.
    left, found, right = text.rpartition(mark)
    if not (found and left and right):
        raise SettingsError(f"{text!r} is not of the form {form}")
    return left, right


def _size(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 2**24:
        raise SettingsError(f"{text[:50]!r} is not the size of a dimension", remedy="Give --fix NAME=SIZE")
    return int(text)


PACK = Command(
    summary="wrap a policy that was trained elsewhere, an ONNX graph, into one bundle per agent",
    configure=_configure,
    run=_run,
)
COMMAND = with_subcommands(
    "pack policies of other trainers into bundles; inspect, verify and sign bundles",
    {"pack": PACK, "inspect": files_command.INSPECT, "verify": files_command.VERIFY, "sign": files_command.SIGN},
)
