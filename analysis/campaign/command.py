"""`heliograph campaign`: a grid of methods, worlds and seeds, run and reported."""

from __future__ import annotations

from analysis.campaign import render_command, report_command, run_command, work_command
from analysis.campaign.tuning import command as tune_command
from heliograph.subcommands import with_subcommands

COMMAND = with_subcommands(
    "train and compare methods in worlds with seeds, from one file, resumable",
    {
        "run": run_command.COMMAND,
        "report": report_command.COMMAND,
        "render": render_command.COMMAND,
        "tune": tune_command.COMMAND,
        "work": work_command.COMMAND,
    },
    default="run",
)
