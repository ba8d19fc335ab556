"""The part of cert-manager's API (`cert-manager.io/v1`) that the manifests use, as a schema that takes nothing else."""

from __future__ import annotations

from typing import Any

_TEXT = {"type": "string", "minLength": 1}
_DURATION = {"type": "string", "pattern": "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$", "minLength": 2}
_USAGES = ("signing", "digital signature", "key encipherment", "key agreement", "cert sign", "crl sign")
_USAGES += ("server auth", "client auth")


def _closed(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    properties = required | (optional or {})
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


_CERTIFICATE = _closed(
    {"secretName": _TEXT, "issuerRef": _closed({"name": _TEXT}, {"kind": {"enum": ["Issuer"]}, "group": _TEXT})},
    {
        "isCA": {"type": "boolean"},
        "commonName": {"type": "string", "maxLength": 64},
        "uris": {"type": "array", "items": _TEXT},
        "dnsNames": {"type": "array", "items": _TEXT},
        "duration": _DURATION,
        "renewBefore": _DURATION,
        "usages": {"type": "array", "items": {"enum": list(_USAGES)}},
        "privateKey": _closed(
            {},
            {
                "algorithm": {"enum": ["RSA", "ECDSA", "Ed25519"]},
                "size": {"type": "integer"},
                "encoding": {"enum": ["PKCS1", "PKCS8"]},
                "rotationPolicy": {"enum": ["Never", "Always"]},
            },
        ),
    },
)
_ISSUER = _closed({}, {"selfSigned": _closed({}), "ca": _closed({"secretName": _TEXT})}) | {"minProperties": 1}


def schema_of(kind: str) -> dict[str, Any]:
    spec = {"Certificate": _CERTIFICATE, "Issuer": _ISSUER}[kind]
    metadata = _closed({"name": _TEXT, "labels": {"type": "object"}}, {"namespace": _TEXT})
    return _closed(
        {"apiVersion": {"const": "cert-manager.io/v1"}, "kind": {"const": kind}, "metadata": metadata, "spec": spec}
    )
