"""Python packages: does their version suit what this project asks for, and can they be imported?"""

from __future__ import annotations

import sys
from importlib import metadata
from typing import TYPE_CHECKING

from heliograph.doctor.finding import Finding
from heliograph.doctor.trial import try_imports
from heliograph.extras import install
from heliograph.foreign_packages import PACKAGES, claimants, foreign, without

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

BASE = ""
"""In place of an extra: what every installation needs."""

_MODULES = {
    BASE: (
        "numpy",
        "grpc",
        "grpc_health.v1.health_pb2",
        "google.protobuf",
        "onnxruntime",
        "cryptography",
        "h2",
        "pydantic",
    ),
    "trainer": ("torch", "onnx", "onnxscript", "safetensors", "tensorboard", "matplotlib"),
    "pack": ("onnx",),
    "bandwidth": ("jinja2", "matplotlib", "PIL", "psutil"),
    "observe": ("prometheus_client", "starlette", "uvicorn"),
    "trace": ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"),
    "wandb": ("wandb",),
    "tune": ("optuna",),
    "slurm": ("submitit",),
    "hub": ("huggingface_hub", "httpx2"),
    "zenoh": ("zenoh",),
    "mpe": ("pettingzoo", "mpe2"),
    "flatland": ("flatland.envs.rail_env",),
    "smax": ("jaxmarl",),
    "mujoco": ("mujoco", "gymnasium_robotics"),
    "gymnasium": ("gymnasium",),
    "box2d": ("gymnasium", "Box2D", "pygame"),
}
"""What to import to believe that the packages of an extra work."""

EXTRAS = tuple(extra for extra in _MODULES if extra)


def examine_python() -> list[Finding]:
    """The interpreter against what the package declares."""
    version = ".".join(map(str, sys.version_info[:3]))
    try:
        needed = metadata.metadata("heliograph")["Requires-Python"]
    except metadata.PackageNotFoundError:
        return [Finding(name="heliograph", state="missing", remedy=install())]
    from packaging.specifiers import SpecifierSet

    if version not in SpecifierSet(needed):
        return [Finding(name="Python", state="wrong", detail=f"{version}, needs {needed}", remedy="Use another Python")]
    return [Finding(name="Python", state="ok", detail=version)]


def examine_names() -> list[Finding]:
    """Whether the packages of this project are those that Python finds by their names."""
    findings = []
    for package in PACKAGES:
        others = claimants(package)
        if (other := foreign(package)) is not None:
            findings.append(
                Finding(name=f"package {package}", state="wrong", detail=other.sentence, remedy=other.remedy)
            )
        elif others:
            detail = f"{', '.join(others)} installed a package of the same name; one has written over the other"
            findings.append(Finding(name=f"package {package}", state="wrong", detail=detail, remedy=without(others[0])))
    return findings


def examine_extra(extra: str) -> list[Finding]:
    """The packages of an extra, or of the base: versions first, and where these suit, whether they can be imported."""
    findings = examine_versions(extra)
    if any(finding.state != "ok" for finding in findings):
        return findings
    problems, gpus = try_imports(_MODULES[extra])
    findings += [
        Finding(name=f"import {module}", state="wrong", detail=problem, remedy="Install it again, or read what it says")
        for module, problem in problems.items()
    ]
    if "torch" in _MODULES[extra] and "torch" not in problems:
        findings.append(Finding(name="GPU", state="ok", detail=", ".join(gpus) or "none that torch can use: CPU alone"))
    return findings


def examine_versions(extra: str) -> list[Finding]:
    """What is installed of an extra's packages, by their metadata alone."""
    try:
        from packaging.requirements import Requirement

        declared = [Requirement(text) for text in metadata.requires("heliograph") or ()]
    except (ImportError, metadata.PackageNotFoundError) as error:
        return [Finding(name="heliograph", state="missing", detail=str(error), remedy=install(extra))]
    findings = []
    for requirement in declared:
        marker = requirement.marker
        always = marker is None or marker.evaluate({"extra": ""})
        if always if extra == BASE else marker is not None and not always and marker.evaluate({"extra": extra}):
            findings.append(_version(requirement.name, requirement.specifier, extra=extra))
    return findings


def _version(name: str, specifier: SpecifierSet, *, extra: str) -> Finding:
    remedy = install(extra)
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(name=name, state="missing", detail=f"needs {specifier}", remedy=remedy)
    if version not in specifier:
        return Finding(name=name, state="wrong", detail=f"{version}, needs {specifier}", remedy=remedy)
    return Finding(name=name, state="ok", detail=version)
