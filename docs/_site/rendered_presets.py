"""The reference of the presets: what `heliograph train --list-presets` prints."""

from __future__ import annotations


def render() -> str:
    """One block."""
    from trainer.training.preset_families import in_words

    return f"```text\n{in_words()}\n```"
