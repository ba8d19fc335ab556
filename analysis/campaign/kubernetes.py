"""The runs of a campaign as Kubernetes Jobs: rendered for `kubectl apply`, one for each run that is left."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from analysis.campaign.grid import Run

FILE = "campaign.toml"
"""What the campaign's file is called in its ConfigMap, whose keys cannot be all that a file's name can."""
USER = 10001
"""Of the images, which name it: by a name nobody can tell that it is not root."""
MOUNT = "/campaign"
"""Where the volume that all runs share is mounted; run folders and results are in it."""
SECONDS_TO_SAVE = 120
"""Between the signal to end and the kill, when a pod is evicted."""
TRIES = 6
"""Pods of one run, one after the other, before its Job fails; each goes on from the checkpoint that is there."""


def job_name(campaign: str, run: Run) -> str:
    """A name that Kubernetes allows, and no other run of the campaign has."""
    return _name(f"{campaign}/{run.name}")


def _name(whole: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", whole.lower()).strip("-")
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    return f"{plain[:50].rstrip('-')}-{digest}"


# Nine parameters: the campaign and its runs, and what of the cluster they are given.
def rendered_jobs(
    campaign: str,
    runs: Sequence[Run],
    *,
    file_text: str,
    image: str,
    claim: str,
    cpus: float,
    memory: str,
    gpus: int = 0,
    permission: Sequence[str] = (),
) -> dict[str, Any]:
    """A Kubernetes List: a ConfigMap with the campaign's file, and a Job for each run."""
    # Of the campaign alone, whichever of its runs are left: a Job that is there cannot be given another.
    settings = _name(campaign)
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": settings, "labels": {"app.kubernetes.io/name": "heliograph"}},
        "data": {FILE: file_text},
    }
    resources: dict[str, Any] = {"requests": {"cpu": f"{cpus:g}", "memory": memory}, "limits": {"memory": memory}}
    if gpus:
        resources["limits"]["nvidia.com/gpu"] = gpus
    jobs = [
        _job(
            job_name(campaign, run),
            arguments=[
                *("campaign", "work", f"/settings/{FILE}", "--run", run.name),
                *("--out", f"{MOUNT}/{campaign}", "--results", f"{MOUNT}/{campaign}/results", *permission),
            ],
            image=image,
            claim=claim,
            settings=settings,
            resources=resources,
            threads=max(1, int(cpus)),
        )
        for run in runs
    ]
    return {"apiVersion": "v1", "kind": "List", "items": [config, *jobs]}


# Seven parameters: what differs from Job to Job, and what is the same in all.
def _job(
    name: str,
    *,
    arguments: Sequence[str],
    image: str,
    claim: str,
    settings: str,
    resources: dict[str, Any],
    threads: int,
) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": "heliograph", "app.kubernetes.io/component": "campaign"}
    container = {
        "name": "run",
        "image": image,
        "args": list(arguments),
        "resources": resources,
        "env": [{"name": "OMP_NUM_THREADS", "value": str(threads)}],
        "volumeMounts": [
            {"name": "campaign", "mountPath": MOUNT},
            {"name": "settings", "mountPath": "/settings", "readOnly": True},
            {"name": "temporary", "mountPath": "/tmp"},
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": SECONDS_TO_SAVE,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {"name": "campaign", "persistentVolumeClaim": {"claimName": claim}},
            {"name": "settings", "configMap": {"name": settings}},
            {"name": "temporary", "emptyDir": {}},
        ],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {"backoffLimit": TRIES - 1, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }
