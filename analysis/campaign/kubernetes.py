"""The runs of a campaign as Kubernetes Jobs: rendered for `kubectl apply`, one for each run that is left."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from analysis.campaign.grid import Run

MOUNT = "/campaign"
"""Where the volume that all runs share is mounted; run folders and results are in it."""
SECONDS_TO_SAVE = 120
"""Between the signal to end and the kill, when a pod is evicted."""
TRIES = 6
"""Pods of one run, one after the other, before its Job fails; each goes on from the checkpoint that is there."""


def job_name(campaign: str, run: Run) -> str:
    """A name that Kubernetes allows, and no other run of the campaign has."""
    plain = re.sub(r"[^a-z0-9]+", "-", f"{campaign}-{run.name}".lower()).strip("-")
    digest = hashlib.sha256(f"{campaign}/{run.name}".encode()).hexdigest()[:8]
    return f"{plain[:50].rstrip('-')}-{digest}"


# Seven parameters: the campaign and its runs, and what of the cluster they are given.
def rendered_jobs(
    campaign: str,
    runs: Sequence[Run],
    *,
    file: str,
    file_text: str,
    image: str,
    claim: str,
    cpus: float,
    memory: str,
    gpus: int = 0,
    permission: Sequence[str] = (),
) -> dict[str, Any]:
    """A Kubernetes List: a ConfigMap with the campaign's file, and a Job for each run."""
    settings = f"{job_name(campaign, runs[0])[:40].rstrip('-')}-file" if runs else "campaign-file"
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": settings, "labels": {"app.kubernetes.io/name": "heliograph"}},
        "data": {file: file_text},
    }
    resources: dict[str, Any] = {"requests": {"cpu": f"{cpus:g}", "memory": memory}, "limits": {"memory": memory}}
    if gpus:
        resources["limits"]["nvidia.com/gpu"] = gpus
    jobs = [
        _job(
            job_name(campaign, run),
            arguments=[
                *("campaign", "work", f"/settings/{file}", "--run", run.name),
                *("--out", f"{MOUNT}/{campaign}", "--results", f"{MOUNT}/{campaign}/results", *permission),
            ],
            image=image,
            claim=claim,
            settings=settings,
            resources=resources,
        )
        for run in runs
    ]
    return {"apiVersion": "v1", "kind": "List", "items": [config, *jobs]}


# Six parameters, all by name: what differs from Job to Job, and what is the same in all.
def _job(
    name: str, *, arguments: Sequence[str], image: str, claim: str, settings: str, resources: dict[str, Any]
) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": "heliograph", "app.kubernetes.io/component": "campaign"}
    container = {
        "name": "run",
        "image": image,
        "args": list(arguments),
        "resources": resources,
        "env": [{"name": "OMP_NUM_THREADS", "value": "1"}],
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
        "securityContext": {"runAsNonRoot": True, "fsGroup": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
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
